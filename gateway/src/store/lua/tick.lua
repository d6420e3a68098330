-- Advances the sale clock by the time since the last tick, at most 2 s, not while frozen. Allowed at maxmemory.
--
-- It changes no reservation, so it has no journal entry.
-- ARGV  1 identity  2 known sequence  3 …  items whose counters the caller compares with its own
-- Reply {'ok', header, the counters of the items in their order, '' for a missing one}
-- Example  "epoch incarnation" 7 model:air -> ok, "7 1700000000000 5000 1", {"12"}

note_clocks(s)
local counters = fetch_range(STOCK, ARGV, 3, #ARGV)
for i = 1, #counters do counters[i] = counters[i] or '' end
return {'ok', header(s), counters}
