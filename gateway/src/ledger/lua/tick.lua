-- Advances the sale clock by what has passed since the last tick, at most 2 s, not while frozen.
-- Allowed at maxmemory. It changes no reservation, so it has no journal entry.
--
-- ARGV  1 run_id  2 known sequence
-- Reply {'ok', header, TIME as it is now}
-- Example  run_id 7 -> ok, "7 1700000000000 5000 1", "1700000000000"

local s, refusal = open(ARGV[1], ARGV[2])
if not s then return refusal end
store_pairs(STATE, {now = s.time, tick = s.raw, clock = s.sale_clock})
return {'ok', header(s), whole(s.raw)}
