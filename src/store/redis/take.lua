-- Takes what a request needs of all claims, or of none.
-- ARGV: ticket, lease ms, input, output, most, keep ms; then for each key
--       requests, tokens, parallel, max budget (each or ''), pays (0/1), start of the term or ''
-- Returns {1, requests and tokens in each window, what each has spent and what of each is held, marks}
--      or {0, for each claim without room: index, what, limit, used or spent, wait ms ('' if
--          there never is room) or held; marks}
--      or {2, indexes of accounts that are not known, marks}
-- A mark that is not '' tells that the ledger is to be asked for this account, by whoever reads this.
local ticket, lease_ms = ARGV[1], tonumber(ARGV[2])
local input, output, most, keep = num(ARGV[3]), num(ARGV[4]), num(ARGV[5]), ARGV[6]
local found, over, unknown = {}, {}, {}

local function refuses(limit_r, limit_t, r, t, need)
  if limit_r and r >= limit_r then return 'r' end
  if limit_t and t + need > limit_t then return 't' end
end

-- How long until there is room: second by second, oldest first.
local function wait(key, claim, last)
  local names = {}
  for second = last - BUCKETS + 1, last do
    names[#names + 1] = 'r' .. (second % BUCKETS)
    names[#names + 1] = 't' .. (second % BUCKETS)
  end
  local have = redis.call('HMGET', key, unpack(names))
  local r, t = claim.r, claim.t
  for i = 1, #have, 2 do
    r = r - num(have[i])
    t = t - num(have[i + 1])
    if not refuses(claim.requests, claim.tokens, r, t, claim.need) then
      return (last - BUCKETS + 1 + (i - 1) / 2 + BUCKETS) * 1000 - now
    end
  end
  return (last + BUCKETS - 1) * 1000 - now
end

for i, key in ipairs(KEYS) do
  local at = 6 + (i - 1) * 6
  local claim = {
    requests = tonumber(ARGV[at + 1]), tokens = tonumber(ARGV[at + 2]),
    parallel = tonumber(ARGV[at + 3]), max = tonumber(ARGV[at + 4]),
    pays = ARGV[at + 5] == '1', term = ARGV[at + 6], amount = 0, spent = '0',
    mark = '',
  }
  found[i] = claim
  local leases = redis.call('HMGET', key, 'n', 'w')
  if num(leases[1]) > 0 and now - num(leases[2]) >= 1000 then sweep(key) end
  local have = redis.call('HMGET', key, 'p', 'h', 'b', 'e', 'u', 'd')
  local known = claim.pays and spent_in(key, claim.term, have[3], have[4], have[5])
  if claim.pays and not known then
    unknown[#unknown + 1] = i
  elseif claim.pays then
    claim.spent, claim.mark = known, due(key, have[6])
    if claim.max then
      local held = num(have[2])
      local left = claim.max - num(known) - held
      if left <= 0 or (left < most and held > 0) then
        over[#over + 1] = {i, 'b', whole(claim.max), known, have[2] or '0'}
      end
      claim.amount = math.min(most, math.max(left, 0))
    end
  end
  if claim.requests or claim.tokens then
    local last
    claim.r, claim.t, last = advance(key)
    claim.need = input + output
    if claim.tokens then
      claim.need = math.min(claim.need, math.max(claim.tokens, input))
    end
    local what = refuses(claim.requests, claim.tokens, claim.r, claim.t, claim.need)
    if what then
      local limit, used = claim.requests, claim.r
      if what == 't' then limit, used = claim.tokens, claim.t end
      local ms = ''
      if not refuses(claim.requests, claim.tokens, 0, 0, claim.need) then
        ms = whole(math.max(wait(key, claim, last), 1))
      end
      over[#over + 1] = {i, what, whole(limit), whole(used), ms}
    end
    claim.last = last
  end
  if claim.parallel and num(have[1]) >= claim.parallel then
    over[#over + 1] = {i, 'p', whole(claim.parallel), have[1] or '0', '0'}
  end
end

local marks = {}
for i, claim in ipairs(found) do marks[i] = claim.mark end
if #unknown > 0 then return {2, unknown, marks} end
if #over > 0 then return {0, over, marks} end

local rooms = {}
for i, key in ipairs(KEYS) do
  local claim = found[i]
  local second, reserved = -1, 0
  if claim.last then
    second, reserved = claim.last, claim.need
    claim.r, claim.t = claim.r + 1, claim.t + reserved
    redis.call('HSET', key, 'r', whole(claim.r), 't', whole(claim.t))
    redis.call('HINCRBY', key, 'r' .. (second % BUCKETS), 1)
    redis.call('HINCRBY', key, 't' .. (second % BUCKETS), whole(reserved))
  end
  local amount = whole(claim.amount)
  local parallel = claim.parallel and 1 or 0
  redis.call('HINCRBY', key, 'n', 1)
  if claim.parallel then redis.call('HINCRBY', key, 'p', 1) end
  if amount ~= '0' then redis.call('HINCRBY', key, 'h', amount) end
  redis.call('HSET', key, 'L' .. ticket, table.concat(
    {whole(now + lease_ms), parallel, amount, second, whole(reserved)}, ':'))
  redis.call('PEXPIRE', key, keep)
  rooms[i] = {whole(claim.r or 0), whole(claim.t or 0), claim.spent, amount}
end
return {1, rooms, marks}
