-- Changes what a reservation contains, in one step; a refusal changes nothing. Denied at maxmemory.
--
-- The caller has read the reservation and passes its new content; the version detects concurrent changes.
-- ARGV  1 identity  2 known sequence  3 id  4 revision  5 expected version (0: none is right; for '?' any is)
--       6 'buyer' or 'service'
--       7 model, or '?' when an item is unknown  8 packages (joined by ',', or '-')  9 store or '-'
--       10 unavailable or '-'  11 TIME until which buyers may change what is confirmed, in ms, or '-'
--       12 …  of the three kinds of items named, those without a limit
-- Reply {'ok', header, row}, or {'revision', …}, {'not-found'}, {'not-held', header, row},
--       {'changed', header, row}, {'unknown-item', header}, {'sold-out', header, item, …},
--       {'late', header, stored row}, {'spent', header, row}: its buyer has used up all changes
-- Example  "epoch incarnation" 7 aliceAAAAAAAAAAAAAAAkey-AAAAAAAA 1 1 buyer air - gz-0001 - -
--       -> ok, "8 …", "key-AAAAAAAA fingerprint air - gz-0001 - 1 2 held …"

if s.revision ~= tonumber(ARGV[4]) then return {'revision', integer(s.revision)} end
local by, model, packages, store, unavailable, configure_until = unpack(ARGV, 6, 11)
local record, r = find_reservation(s, ARGV[3])
if not record then return r end

local expected = tonumber(ARGV[5])
if model == '?' and (expected == 0 or expected == r.version) then return {'unknown-item', header(s)} end

-- A service may change what is held or confirmed; a buyer a hold until its deadline, and what is confirmed until the
-- sale's instant for that.
local is_alive = r.state == 'held' or r.state == 'confirmed'
local in_time = by == 'service' or (r.state == 'held' and s.sale_clock < r.deadline)
  or (r.state == 'confirmed' and s.time < (tonumber(configure_until) or 0))
if not (is_alive and in_time) then
  if is_alive then note_clocks(s) end
  return {'not-held', header(s), format_row(r)}
end
if r.version ~= expected then return {'changed', header(s), format_row(r)} end
local same_products = model == r.model and packages == r.packages
if same_products and store == r.store and unavailable == r.unavailable then return {'ok', header(s), format_row(r)} end

-- Each change stays in the journal, so a buyer's changes are bounded. Services carry out what was sold: no bound.
local CHANGES_MAX = 100
if by == 'buyer' and r.version > CHANGES_MAX then return {'spent', header(s), format_row(r)} end

local unlimited = {}
for i = 12, #ARGV do unlimited[ARGV[i]] = true end
local difference = {}
for _, item in ipairs(items_of(r.model, r.packages, r.store)) do difference[item] = 1 end
for _, item in ipairs(items_of(model, packages, store)) do difference[item] = (difference[item] or 0) - 1 end
local names, returned, back = {}, {}, {}
for item, n in pairs(difference) do
  if n < 0 then names[#names + 1] = item end
  if n > 0 then returned[#returned + 1], back[item] = item, n end
end
local stock, damage = fetch_stock(names)
if not stock then return damage end
local gone = {}
for _, item in ipairs(items_of(model, packages, store)) do
  local is_new = difference[item] < 0 and not unlimited[item]
  if is_new and (stock[item] < 1 or is_reserved_for_draw(s, item)) then gone[#gone + 1] = item end
end
if #gone > 0 then return {'sold-out', header(s), unpack(gone)} end
local changed
changed, damage = give_back(s, back)
if not changed then return damage end
for _, item in ipairs(names) do changed[item] = stock[item] - 1 end

local was = r.state == 'confirmed' and not same_products and r.model .. ' ' .. r.packages or nil
r.model, r.packages, r.store, r.unavailable = model, packages, store, unavailable
r.version = r.version + 1
return commit_change(s, 'amend', ARGV[3], record, r, changed, returned, was)
