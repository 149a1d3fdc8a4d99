-- Takes over what the ledger knows of accounts that are not known here.
-- ARGV: keep ms, how long a guess is good or ''; then for each key: term start or '', spent
local guess = ARGV[2] ~= '' and whole(now + tonumber(ARGV[2])) or nil
for i, key in ipairs(KEYS) do
  local term, spent = ARGV[1 + 2 * i], ARGV[2 + 2 * i]
  local have = redis.call('HMGET', key, 'b', 'u')
  if not have[1] or have[2] then
    -- What was paid since a guess was made may be in the ledger already, or not yet.
    if num(have[1]) > num(spent) then spent = have[1] end
    redis.call('HSET', key, 'b', spent, 'e', term)
    redis.call('HDEL', key, 'u')
    if guess then redis.call('HSET', key, 'u', guess) end
  end
  redis.call('PEXPIRE', key, ARGV[1])
end
return 1
