-- Forgets what a payer has spent, in every period that anybody has; what is held stays.
-- KEYS: the set of periods
-- ARGV: what keys of its accounts begin with, up to the period, and what they end with
local function forget(key) redis.call('HDEL', key, 'b', 'e', 'u', 'k', 'q', 'd') end
forget(ARGV[1] .. ARGV[2])
for _, period in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  forget(ARGV[1] .. '#' .. period .. ARGV[2])
end
return 1
