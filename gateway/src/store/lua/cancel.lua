-- Ends a reservation and returns its stock. Allowed at maxmemory: it frees stock.
--
-- ARGV  1 identity  2 known sequence  3 id  4 'buyer' (a hold only) or 'service' (also a refund)
-- Reply {'ok', header, row} (also if it was cancelled before), {'not-found'},
--       {'not-held', header, row}, {'late', header, stored row}
-- Example  "epoch incarnation" 7 aliceAAAAAAAAAAAAAAAkey-AAAAAAAA buyer
--       -> ok, "8 …", "key-AAAAAAAA fingerprint air - - - 1 1 cancelled …"

local record, r = find_reservation(s, ARGV[3])
if not record then return r end
if r.state == 'cancelled' then return {'ok', header(s), format_row(r)} end
if r.state ~= 'held' and not (r.state == 'confirmed' and ARGV[4] == 'service') then
  return {'not-held', header(s), format_row(r)}
end

local items = items_of(r.model, r.packages, r.store)
local returned = {}
for _, item in ipairs(items) do returned[item] = 1 end
local stock, damage = give_back(s, returned)
if not stock then return damage end
s[r.state] = s[r.state] - 1
r.state = 'cancelled'
s.cancelled = s.cancelled + 1
return commit_change(s, 'cancel', ARGV[3], record, r, stock, items)
