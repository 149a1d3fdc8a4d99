-- What accounts have spent; nothing is held.
-- ARGV: for each key: start of the term or ''
-- Returns for each {spent or '' if that is not known, mark as in take.lua}
local sums = {}
for i, key in ipairs(KEYS) do
  local have = redis.call('HMGET', key, 'b', 'e', 'u', 'd')
  local known = spent_in(key, ARGV[i], have[1], have[2], have[3])
  sums[i] = {known or '', known and due(key, have[4]) or ''}
end
return sums
