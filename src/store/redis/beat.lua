-- A gateway says that it is there, and that its requests are. Returns how many gateways are, and until
-- when all that any of them spent is in the ledger ('' if one does not know).
-- KEYS: the set of gateways, until when each has written, then the claims of leases to renew
-- ARGV: this gateway, how long it is believed, lease ms, how old what it has not written is or '', how
--       long one is waited for that is gone and had not written all; then a ticket for each further key
redis.call('ZADD', KEYS[1], whole(now + tonumber(ARGV[2])), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now))
redis.call('PEXPIRE', KEYS[1], 3600000)
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4] == '' and '0' or whole(now - tonumber(ARGV[4])))
redis.call('PEXPIRE', KEYS[2], 3600000)
local written
local all = redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  local at = tonumber(all[i + 1])
  if at < now - tonumber(ARGV[5]) and not redis.call('ZSCORE', KEYS[1], all[i]) then
    -- What is left in its journal raises sums when it comes.
    redis.call('HDEL', KEYS[2], all[i])
  elseif not written or at < written then
    written = at
  end
end
for i = 3, #KEYS do
  local field = 'L' .. ARGV[3 + i]
  local lease = redis.call('HGET', KEYS[i], field)
  if lease then
    local rest = lease:match('^%d+(:.*)$')
    redis.call('HSET', KEYS[i], field, whole(now + tonumber(ARGV[3])) .. rest)
    redis.call('PEXPIRE', KEYS[i], 3600000)
  end
end
return {redis.call('ZCARD', KEYS[1]), written and written > 0 and whole(written) or ''}
