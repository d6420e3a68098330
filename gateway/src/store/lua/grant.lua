-- Grants what is set aside for the standby queues: one bounded step, for what other scripts could not grant. Allowed at maxmemory, as
-- the sweep is: what came back is promised to those who wait.
--
-- ARGV  1 identity  2 known sequence  3 the most grants  4 … models, as items
-- Reply {'ok', header, number of grants, 1 if there may be more to grant now, else 0}
-- Example  "epoch incarnation" 7 64 model:air -> ok, "8 …", 3, 0

local items = {}
for i = 4, #ARGV do items[#items + 1] = ARGV[i] end
local made, more = grant(s, items, tonumber(ARGV[3]))
if not made then return more end
return {'ok', header(s), made, more and 1 or 0}
