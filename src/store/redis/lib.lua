-- What the scripts share. One hash for each claim, so that it is kept or evicted as a whole:
--   s r t        latest second of the window, and its sums of requests and tokens
--   r<i> t<i>    the same for each second, by second % 61
--   n p h        leases, requests at one time, money that is held
--   b e u        what was spent, the start of the term, until when a guess of it is good
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
