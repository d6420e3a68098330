-- Turns a paid hold into a confirmed reservation. Allowed at maxmemory: a buyer who has paid keeps the car.
--
-- A hold that has ended without payment can be taken again: all its items, if they are there and its buyer has room for
-- one more; `attempts` has counted it before. A refusal of that is final, since the payment is then refunded and a
-- delayed call must not take the car for it: the reservation keeps the refused payment (journal kind 'refuse').
-- ARGV  1 identity  2 known sequence  3 id  4 payment reference  5 version that was paid for
--       6 '1' takes a hold that has ended again, else '0'
-- Reply {'ok', header, row} (also if the same payment confirmed it before), {'not-found'},
--       {'not-held', header, row}: refund, {'late', header, stored row}: refund, too,
--       {'refused', header, row}: not taken again, refund,
--       {'changed', header, row}: the version is outdated, {'late-changed', header, stored row}: and the hold has ended,
--       {'payment-conflict', header, row}: another payment confirmed it
-- Example  "epoch incarnation" 7 aliceAAAAAAAAAAAAAAAkey-AAAAAAAA pay-1 1 0
--       -> ok, "8 …", "key-AAAAAAAA fingerprint air - - - 1 1 confirmed …"

local payment, accepts_late = ARGV[4], ARGV[6] == '1'
local record, r = find_reservation(s, ARGV[3], accepts_late)
if not record then return r end
local function answer(word) return {word, header(s), format_row(r)} end

if r.state == 'confirmed' then return answer(r.payment == payment and 'ok' or 'payment-conflict') end
-- Once an ended reservation has a payment, that one was refunded.
if r.state ~= 'held' and not (accepts_late and r.payment == '-') then return answer('not-held') end
-- Over, but not swept: it still has its stock.
local is_due = is_expired(s, r)
if r.version ~= tonumber(ARGV[5]) then
  if is_due then note_clocks(s) end
  return answer(is_due and 'late-changed' or 'changed')
end

r.payment = payment
local was = r.state
if was == 'held' and not is_due then
  r.state = 'confirmed'
  s.held, s.confirmed = s.held - 1, s.confirmed + 1
  return commit_change(s, 'confirm', ARGV[3], record, r, {})
end

local others = 0
for _, other in ipairs(record.list) do
  if other ~= r and is_active(s, other) then others = others + 1 end
end
local items = items_of(r.model, r.packages, r.store)
local totals = fetch(TOTALS, items)
-- While a draw allocates, what came back of the model is among what is set aside.
local counters = {}
for i, item in ipairs(items) do
  counters[i] = totals[item] and is_reserved_for_draw(s, item) and aside_of(item) or item
end
local stock, damage = fetch_stock(counters)
if not stock then return damage end
local fits = others < s.per_buyer
for i, item in ipairs(items) do
  if not is_due and totals[item] and stock[counters[i]] < 1 then fits = false end
end

local change, returned = {}, nil
if fits then
  r.state = 'confirmed'
  if not is_due then
    for item, free in pairs(stock) do change[item] = free - 1 end
  end
elseif is_due then
  r.state, returned = 'expired', items
  local back = {}
  for _, item in ipairs(items) do back[item] = 1 end
  change, damage = give_back(s, back)
  if not change then return damage end
end
s[was] = s[was] - 1
s[r.state] = s[r.state] + 1
local reply = commit_change(s, fits and 'confirm' or 'refuse', ARGV[3], record, r, change, returned)
if not fits then reply[1] = 'refused' end
return reply
