-- Advances the sale clock by the time since the last tick, at most 2 s, not while frozen. Allowed at maxmemory.
--
-- It changes no reservation, so it has no journal entry.
-- ARGV  1 identity  2 known sequence  3 …  items whose counters the caller compares with its own
-- Reply {'ok', header, the counters of the items in their order, '' for a missing one}
-- Example  "epoch incarnation" 7 model:air -> ok, "7 1700000000000 5000 1", {"12"}

local s, refusal = open_ledger(ARGV[1], ARGV[2])
if not s then return refusal end
note_clocks(s)
local items, counters = {}, {}
for i = 3, #ARGV do items[#items + 1] = ARGV[i] end
local found = fetch(STOCK, items)
for i = 1, #items do counters[i] = found[items[i]] or '' end
return {'ok', header(s), counters}
