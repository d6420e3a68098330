-- Expires holds past their deadline and grace: one bounded sweep (see sweep.lua). Allowed at maxmemory: it frees stock.
-- What buyers wait for is granted in the same step.
--
-- ARGV  1 identity  2 known sequence  3 the most entries to read
-- Reply {'ok', header, number of expired holds, 1 if there may be more to sweep now, else 0,
--        "due made" of the first remaining batch: its due time on the sale clock, and its
--        number of holds; '' if none was seen}
-- Example  "epoch incarnation" 7 100 -> ok, "8 …", 3, 0, "965000 12"

local expired, more, left, returned = sweep(s, tonumber(ARGV[3]))
if not expired then return more end
-- As of the sweep's own entry: recovery looks for the sweep there.
local as_of = header(s)
-- The ticks go on with what this call can't grant.
grant(s, returned, expired)
return {'ok', as_of, expired, more and 1 or 0, left}
