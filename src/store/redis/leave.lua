-- A gateway is gone, and has written all that was spent.
-- KEYS: the set of gateways, until when each has written, when each had told all
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return 1
