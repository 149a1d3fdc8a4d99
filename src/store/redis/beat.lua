-- A gateway says that it is there, and that its requests are. Returns how many gateways are.
-- KEYS: the set of gateways, then the claims of leases to renew
-- ARGV: this gateway, how long it is believed, lease ms; then a ticket for each further key
redis.call('ZADD', KEYS[1], whole(now + tonumber(ARGV[2])), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now))
redis.call('PEXPIRE', KEYS[1], 3600000)
for i = 2, #KEYS do
  local field = 'L' .. ARGV[2 + i]
  local lease = redis.call('HGET', KEYS[i], field)
  if lease then
    local rest = lease:match('^%d+(:.*)$')
    redis.call('HSET', KEYS[i], field, whole(now + tonumber(ARGV[3])) .. rest)
    redis.call('PEXPIRE', KEYS[i], 3600000)
  end
end
return redis.call('ZCARD', KEYS[1])
