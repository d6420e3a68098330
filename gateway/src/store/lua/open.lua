-- The prelude of the scripts that serve a sale: opens the ledger that the caller expects, or refuses.
-- ARGV  1 identity  2 known sequence

local s, refusal = open_ledger(ARGV[1], ARGV[2])
if not s then return refusal end

