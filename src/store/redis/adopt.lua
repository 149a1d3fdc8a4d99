-- Takes over what a gateway took without asking here, and what was lost of what it holds. Told again, it
-- renews the leases. What was settled in the meantime is not taken any more.
-- KEYS: for each claim of each lease what says that it is settled, and the claim
-- ARGV: lease ms; then for each claim: ticket, parallel (0/1), amount, age ms, reserved or ''
local lease_ms = tonumber(ARGV[1])
for i = 1, #KEYS, 2 do
  local at = 1 + (i - 1) / 2 * 5
  if redis.call('EXISTS', KEYS[i]) == 0 then
    adopt(KEYS[i + 1], 'L' .. ARGV[at + 1], lease_ms, ARGV[at + 2], ARGV[at + 3],
      tonumber(ARGV[at + 4]), ARGV[at + 5])
  end
end
return 1
