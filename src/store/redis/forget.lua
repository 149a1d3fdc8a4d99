-- Forgets what a payer has spent, in every period that anybody has; what is held stays. Every gateway says so, and
-- it counts once: between two of them something may have been spent that no ledger has yet.
-- KEYS: the set of periods; which change was heard of last
-- ARGV: what keys of its accounts begin with, up to the period, what they end with, and which change it is
local heard = redis.call('GET', KEYS[2])
if heard and tonumber(heard) >= tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[2], ARGV[3], 'PX', 3600000)
local function forget(key) redis.call('HDEL', key, 'b', 'e', 'u', 'k', 'q', 'd') end
forget(ARGV[1] .. ARGV[2])
for _, period in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  forget(ARGV[1] .. '#' .. period .. ARGV[2])
end
return 1
