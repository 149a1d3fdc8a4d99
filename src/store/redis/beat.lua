-- A gateway says that it is there, and that its requests are. Returns how many gateways are, and until
-- when all that any of them spent is in the ledger ('' if one does not know), the time, and how many
-- gateways have told all since a time.
-- KEYS: the set of gateways, until when each has written, when each was known to have told all that it
--       let in alone, then the claims of leases to renew
-- ARGV: this gateway, how long it is believed, lease ms, how old what it has not written is or '', how
--       long one is waited for that is gone and had not written all, when this one had told all ('now',
--       a time that it was told here, or ''), since when the others are asked about or ''; then a ticket
--       for each further key
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
    redis.call('HDEL', KEYS[3], all[i])
  elseif not written or at < written then
    written = at
  end
end
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[6] == 'now' and whole(now) or ARGV[6])
  redis.call('PEXPIRE', KEYS[3], 3600000)
end
local told = 0
if ARGV[7] ~= '' then
  for _, at in ipairs(redis.call('HVALS', KEYS[3])) do
    if tonumber(at) >= tonumber(ARGV[7]) then told = told + 1 end
  end
end
for i = 4, #KEYS do
  local field = 'L' .. ARGV[4 + i]
  local lease = redis.call('HGET', KEYS[i], field)
  if lease then
    local rest = lease:match('^%d+(:.*)$')
    redis.call('HSET', KEYS[i], field, whole(now + tonumber(ARGV[3])) .. rest)
    redis.call('PEXPIRE', KEYS[i], 3600000)
  end
end
return {redis.call('ZCARD', KEYS[1]), written and written > 0 and whole(written) or '', whole(now), told}
