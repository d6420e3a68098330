-- Ends a reservation and returns its stock. Allowed at maxmemory: it frees stock.
--
-- ARGV  1 identity  2 known sequence  3 id  4 'buyer' (a hold only) or 'service' (also a refund)
-- Reply {'ok', header, row} (also if it was cancelled before), {'not-found'},
--       {'not-held', header, row}, {'late', header, stored row}
-- Example  "epoch incarnation" 7 aliceAAAAAAAAAAAAAAAkey-AAAAAAAA buyer
--       -> ok, "8 …", "key-AAAAAAAA fingerprint air - - - 1 1 cancelled …"

local s, refusal = open_ledger(ARGV[1], ARGV[2])
if not s then return refusal end
local id, by = ARGV[3], ARGV[4]
local record, r
record, r, refusal = find_reservation(id)
if not r then return refusal end
if is_expired(s, r) then return refuse_late(s, r) end
if r.state == 'cancelled' then return {'ok', header(s), format_row(r)} end
if r.state ~= 'held' and not (r.state == 'confirmed' and by == 'service') then
  return {'not-held', header(s), format_row(r)}
end

local items = items_of(r.model, r.packages, r.store)
local stock
stock, refusal = fetch_stock(items)
if not stock then return refusal end
for _, item in ipairs(items) do stock[item] = stock[item] + 1 end
s[r.state] = s[r.state] - 1
r.state = 'cancelled'
s.cancelled = s.cancelled + 1
note_change(s, r)
local buyer = id:sub(1, 20)
commit(s, 'cancel', {'data', journal_line(buyer, record, r)}, flat(stock), {buyer, format_record(record)}, {}, items)
return {'ok', header(s), format_row(r)}
