-- Turns a paid hold into a confirmed reservation. Allowed at maxmemory: a buyer who has paid keeps the car.
--
-- ARGV  1 identity  2 known sequence  3 id  4 payment reference  5 version that was paid for
-- Reply {'ok', header, row} (also if the same payment confirmed it before), {'not-found'},
--       {'not-held', header, row}: refund, {'late', header, stored row}: refund, too,
--       {'changed', header, row}: the version is outdated,
--       {'payment-conflict', header, row}: another payment confirmed it
-- Example  "epoch incarnation" 7 aliceAAAAAAAAAAAAAAAkey-AAAAAAAA pay-1 1
--       -> ok, "8 …", "key-AAAAAAAA fingerprint air - - - 1 1 confirmed …"

local s, refusal = open_ledger(ARGV[1], ARGV[2])
if not s then return refusal end
local id, payment = ARGV[3], ARGV[4]
local record, r
record, r, refusal = find_reservation(id)
if not r then return refusal end
if is_expired(s, r) then return refuse_late(s, r) end
if r.state == 'confirmed' then
  return {r.payment == payment and 'ok' or 'payment-conflict', header(s), format_row(r)}
end
if r.state ~= 'held' then return {'not-held', header(s), format_row(r)} end
if r.version ~= tonumber(ARGV[5]) then return {'changed', header(s), format_row(r)} end

r.state, r.payment = 'confirmed', payment
s.held, s.confirmed = s.held - 1, s.confirmed + 1
note_change(s, r)
local buyer = id:sub(1, 20)
commit(s, 'confirm', {'data', journal_line(buyer, record, r)}, {}, {buyer, format_record(record)}, {})
return {'ok', header(s), format_row(r)}
