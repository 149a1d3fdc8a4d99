-- What the scripts share. One hash for each claim, so that it is kept or evicted as a whole:
--   s r t        latest second of the window, and its sums of requests and tokens
--   r<i> t<i>    the same for each second, by second % 61
--   n p h        leases, requests at one time, money that is held
--   b e u        what was spent, the start of the term, until when a guess of it is good
--   c            what was paid since the hash was made; only grows
--   k q          marks, `ms:c`: how it stood when the ledger had all from before, and when it was last
--                to be asked
--   d            when it is to be asked again
--   L<ticket>    a lease: expiry:parallel:amount:second:tokens (second is -1 without a window)
--   w            when expired leases were looked for
-- Money is pico-dollars: added up by Redis as whole numbers, compared here as floating point.
local BUCKETS = 61
local clock = redis.call('TIME')
local sec = tonumber(clock[1])
local now = sec * 1000 + math.floor(tonumber(clock[2]) / 1000)

local function whole(number) return string.format('%.0f', number) end

-- Redis knows no "-0".
local function add(key, field, number)
  if number ~= 0 then redis.call('HINCRBY', key, field, whole(number)) end
end

local function num(value) return tonumber(value or '0') or 0 end

-- Lets go of what is a minute old. Returns the sums.
local function advance(key)
  local have = redis.call('HMGET', key, 's', 'r', 't')
  local last, r, t = tonumber(have[1] or ''), num(have[2]), num(have[3])
  if not last then
    redis.call('HSET', key, 's', sec, 'r', 0, 't', 0)
    return 0, 0, sec
  end
  if sec <= last then return r, t, last end
  local from = last + 1
  if sec - last >= BUCKETS then from = sec - BUCKETS + 1 end
  local names = {}
  for second = from, sec do
    names[#names + 1] = 'r' .. (second % BUCKETS)
    names[#names + 1] = 't' .. (second % BUCKETS)
  end
  local leaving = redis.call('HMGET', key, unpack(names))
  for i = 1, #leaving, 2 do
    r = r - num(leaving[i])
    t = t - num(leaving[i + 1])
  end
  redis.call('HDEL', key, unpack(names))
  redis.call('HSET', key, 's', sec, 'r', whole(r), 't', whole(t))
  return r, t, sec
end

-- Gives back what a lease holds beside its place in the window.
local function release(key, field, lease)
  local parallel, amount = lease:match('^%d+:(%d):(%d+):')
  redis.call('HDEL', key, field)
  redis.call('HINCRBY', key, 'n', -1)
  if parallel == '1' then redis.call('HINCRBY', key, 'p', -1) end
  if amount ~= '0' then redis.call('HINCRBY', key, 'h', '-' .. amount) end
end

-- Takes over what a gateway took so many ms ago without asking here; `reserved` is '' where no window
-- counts it. A lease that is there already is renewed. Returns the lease.
local function adopt(key, field, lease_ms, parallel, amount, age, reserved)
  local lease = redis.call('HGET', key, field)
  local expiry = whole(now + lease_ms)
  if lease then
    lease = expiry .. lease:match('^%d+(:.*)$')
  else
    local second = -1
    if reserved ~= '' then
      local _, _, last = advance(key)
      local taken = math.min(math.floor((now - age) / 1000), last)
      if taken + BUCKETS > last then
        second = taken
        add(key, 'r', 1)
        add(key, 't', num(reserved))
        add(key, 'r' .. (second % BUCKETS), 1)
        add(key, 't' .. (second % BUCKETS), num(reserved))
      end
    end
    redis.call('HINCRBY', key, 'n', 1)
    if parallel == '1' then redis.call('HINCRBY', key, 'p', 1) end
    if amount ~= '0' then redis.call('HINCRBY', key, 'h', amount) end
    lease = table.concat({expiry, parallel, amount, second, whole(num(reserved))}, ':')
  end
  redis.call('HSET', key, field, lease)
  redis.call('PEXPIRE', key, 3600000)
  return lease
end

-- Lets go of leases whose gateway is gone.
local function sweep(key)
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if all[i]:sub(1, 1) == 'L' and tonumber(all[i + 1]:match('^%d+')) <= now then
      release(key, all[i], all[i + 1])
    end
  end
  redis.call('HSET', key, 'w', whole(now))
end

-- How often the ledger is asked for an account, and how soon again where it may not have all.
local REFRESH, CONFIRM = 10000, 5000

-- What an account has spent in a term, of its fields b, e and u; false if that is not known.
local function spent_in(key, term, b, e, u)
  if not b or (u and now > num(u)) then return false end
  -- Only forward: gateways' clocks differ by a little.
  if term ~= '' and (not e or e == '' or tonumber(term) > tonumber(e)) then
    redis.call('HSET', key, 'b', '0', 'e', term)
    return '0'
  end
  return b
end

-- Has the ledger asked for an account by whoever is told: its mark, or '' if that is not due.
local function due(key, at)
  if at and now < num(at) then return '' end
  local mark = whole(now) .. ':' .. (redis.call('HGET', key, 'c') or '0')
  redis.call('HSET', key, 'd', whole(now + REFRESH), 'q', mark)
  return mark
end

-- Adds what was paid to an account that is known. Returns what it had spent before and after.
local function pay(key, cost)
  if cost == '0' then return {'', ''} end
  local before = redis.call('HGET', key, 'b')
  if not before then return {'', ''} end
  redis.call('HINCRBY', key, 'b', cost)
  redis.call('HINCRBY', key, 'c', cost)
  return {before, redis.call('HGET', key, 'b')}
end
