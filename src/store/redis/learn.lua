-- Takes over what the ledger knows of accounts that are not known here.
-- KEYS: the set of periods, then the accounts
-- ARGV: keep ms, how long a guess is good or ''; then for each account: period or '', term start or '',
--       spent
local guess = ARGV[2] ~= '' and whole(now + tonumber(ARGV[2])) or nil
for i = 2, #KEYS do
  local key, at = KEYS[i], 2 + (i - 2) * 3
  local period, term, spent = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local have = redis.call('HMGET', key, 'b', 'u', 'c')
  if not have[1] or have[2] then
    -- What was paid since a guess was made may be in the ledger already, or not yet.
    if num(have[1]) > num(spent) then spent = have[1] end
    redis.call('HSET', key, 'b', spent, 'e', term, 'd', whole(now + CONFIRM),
      'k', whole(now) .. ':' .. (have[3] or '0'))
    redis.call('HDEL', key, 'u', 'q')
    if guess then redis.call('HSET', key, 'u', guess) end
    if period ~= '' then redis.call('SADD', KEYS[1], period) end
  end
  redis.call('PEXPIRE', key, ARGV[1])
end
return 1
