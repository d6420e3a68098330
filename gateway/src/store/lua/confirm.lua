-- Turns a paid hold into a confirmed reservation. Allowed at maxmemory: a buyer who has paid keeps the car.
--
-- ARGV  1 identity  2 known sequence  3 id  4 payment reference  5 version that was paid for
-- Reply {'ok', header, row} (also if the same payment confirmed it before), {'not-found'},
--       {'not-held', header, row}: refund, {'late', header, stored row}: refund, too,
--       {'changed', header, row}: the version is outdated,
--       {'payment-conflict', header, row}: another payment confirmed it
-- Example  "epoch incarnation" 7 aliceAAAAAAAAAAAAAAAkey-AAAAAAAA pay-1 1
--       -> ok, "8 …", "key-AAAAAAAA fingerprint air - - - 1 1 confirmed …"

local payment = ARGV[4]
local record, r = find_reservation(s, ARGV[3])
if not record then return r end
if r.state == 'confirmed' then
  return {r.payment == payment and 'ok' or 'payment-conflict', header(s), format_row(r)}
end
if r.state ~= 'held' then return {'not-held', header(s), format_row(r)} end
if r.version ~= tonumber(ARGV[5]) then return {'changed', header(s), format_row(r)} end

r.state, r.payment = 'confirmed', payment
s.held, s.confirmed = s.held - 1, s.confirmed + 1
return commit_change(s, 'confirm', ARGV[3], record, r, {})
