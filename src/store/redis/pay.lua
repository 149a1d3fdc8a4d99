-- Adds a cost for which nothing is held, once however often it is told.
-- KEYS: what says that it was done, then the accounts
-- ARGV: how long that is kept, cost
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 0 end
for i = 2, #KEYS do pay(KEYS[i], ARGV[2]) end
return 1
