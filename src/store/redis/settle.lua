-- Replaces what a request holds by what it used. Done twice, it changes nothing the second time: the
-- lease is gone by then. If that was because it expired, the ledger says what was spent. What a lease
-- that expired had reserved stays as it is.
-- ARGV: ticket, counted (0/1), tokens, cost, told before (0/1); then for each key: pays (0/1)
-- Returns what each had spent before and after.
local ticket, counted, tokens, cost = ARGV[1], ARGV[2] == '1', num(ARGV[3]), ARGV[4]
local again = ARGV[5] == '1'
local sums = {}
for i, key in ipairs(KEYS) do
  local field = 'L' .. ticket
  local lease = redis.call('HGET', key, field)
  if lease then
    release(key, field, lease)
    local second, reserved = lease:match('^%d+:%d:%d+:(%-?%d+):(%d+)$')
    second, reserved = tonumber(second), tonumber(reserved)
    if second >= 0 then
      local _, _, last = advance(key)
      local less_r, less_t = 0, reserved - tokens
      if not counted then less_r, less_t = 1, reserved end
      if less_t < 0 then
        add(key, 't', -less_t)
        add(key, 't' .. (last % BUCKETS), -less_t)
      elseif second + BUCKETS > last then
        add(key, 'r', -less_r)
        add(key, 't', -less_t)
        add(key, 'r' .. (second % BUCKETS), -less_r)
        add(key, 't' .. (second % BUCKETS), -less_t)
      end
    end
  end
  sums[i] = {'', ''}
  if ARGV[5 + i] == '1' and (lease or not again) then sums[i] = pay(key, cost) end
end
return sums
