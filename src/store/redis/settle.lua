-- Replaces what a request holds by what it used. Done twice, it changes nothing the second time: the
-- lease is gone by then. If that was because it expired, the ledger says what was spent. What a lease
-- that expired had reserved stays as it is.
-- One that was taken elsewhere is taken over first, if nobody has told of it yet. That it is settled is
-- noted: what tells that it is held may still be on its way.
-- KEYS: the claims; of a lease that was taken elsewhere, what notes that it is settled before them
-- ARGV: ticket, counted (0/1), tokens, cost, told before (0/1), age ms of one that was taken elsewhere
--       or '', how long that it is settled is kept; then for each claim: pays (0/1), reserved or ''
-- Returns what each had spent before and after.
local ticket, counted, tokens, cost = ARGV[1], ARGV[2] == '1', num(ARGV[3]), ARGV[4]
local again, age = ARGV[5] == '1', tonumber(ARGV[6])
local sums, first = {}, 1
local is_open = false
if age then
  first = 2
  is_open = redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[7])
  again = true
end
for i = first, #KEYS do
  local key, at, field = KEYS[i], 7 + (i - first) * 2, 'L' .. ticket
  local lease = redis.call('HGET', key, field)
  if not lease and is_open then lease = adopt(key, field, 1000, '0', '0', age, ARGV[at + 2]) end
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
  local sum = {'', ''}
  if ARGV[at + 1] == '1' and (lease or not again) then sum = pay(key, cost) end
  sums[#sums + 1] = sum
end
return sums
