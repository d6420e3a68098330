-- Reads one buyer's record and the clocks, in one step. Writes nothing, allowed at maxmemory.
--
-- ARGV  1 the buyer's 20 characters of the id  2 identity  3 known sequence
--       Without the latter two it reads a ledger in any state: for the support desk only, since a
--       reservation may be missing or expired only because the epoch was not adopted yet.
-- Reply {'ok', header, grace in ms, record or '', incarnation}, or {'missing'}, {'incarnation', …},
--       {'damaged', …}, {'epoch', …}, {'behind', …}
-- Example  aliceAAAAAAAAAAAAAAA
--       -> ok, "7 1700000000000 5000 1", "60000", "alice key-AAAAAAAA fingerprint air - - - 1 1 held …", incarnation

local s, refusal = read_state()
if not s then return refusal end
refusal = ARGV[2] and (check_incarnation(s, ARGV[2]) or check_epoch(s, ARGV[2], ARGV[3]))
if refusal then return refusal end
local kind = redis.call('TYPE', RECORDS).ok
if kind ~= 'hash' and (kind ~= 'none' or s.number > 0) then return {'damaged', wrong_type(3, kind)} end
local text = redis.call('HGET', RECORDS, ARGV[1])
if text == '' then return damaged_record(ARGV[1]) end
return {'ok', header(s), integer(s.grace), text or '', s.incarnation}
