-- Brings accounts in step with what the ledger has said. It knows of all that was spent, but for what
-- gateways have not written yet: that is part of what was paid here since a mark, if all from before
-- the mark is written. Otherwise a sum is only raised.
-- ARGV: until when all is written (ms) or ''; then for each key: the mark under which it was asked, term
--       start or '', spent
local written = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  local at = 1 + (i - 1) * 3
  local mark, term, spent = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local have = redis.call('HMGET', key, 'q', 'b', 'e', 'c', 'k')
  -- Somebody may have learned something newer, or the account was forgotten.
  if have[1] == mark and have[2] then
    redis.call('HDEL', key, 'q')
    local mine, theirs = tonumber(have[3] or '') or 0, tonumber(term) or 0
    local since, paid = (have[5] or ''):match('^(%d+):(%d+)$')
    local holds = written and since and tonumber(since) <= written
    if theirs > mine then
      redis.call('HSET', key, 'b', spent, 'e', term)
    elseif theirs == mine then
      local most = num(spent) + num(have[4]) - num(paid)
      if num(have[2]) < num(spent) then
        redis.call('HSET', key, 'b', spent)
      elseif holds and num(have[2]) > most then
        redis.call('HSET', key, 'b', whole(most))
      end
    end
    if holds or not since then redis.call('HSET', key, 'k', mark) end
    if not holds then redis.call('HSET', key, 'd', whole(now + CONFIRM)) end
  end
end
return 1
