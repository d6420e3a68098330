-- Applies a definition, all or nothing: creates the sale, or changes what differs. Denied at maxmemory.
--
-- The caller has compared the definition with that of a revision; the script refuses if the ledger has another.
-- ARGV  1 identity: for a new sale with its new incarnation  2 known sequence
--       3 revision compared with, 0 for a new sale  4 definition, JSON
--       5 opens, ms  6 closes, ms  7 hold, ms  8 grace, ms  9 per_buyer  10 attempts
--       11 fields that differ and are locked once a reservation exists, joined by ',', or '-'
--       12 who  13 reason or '-'
--       14 TIME when sign-up opens, ms, or '-': the sale takes none  15 when it closes, ms  16 '1': only who has signed up
--          may reserve, else '0'
--       17 '1': it has standby queues, else '0'  18 how long a granted hold lasts, ms  19 the most places in a queue, 0: no limit
--       20 '1': it sells by a draw, else '0'  21 fields of the draw that differ and are locked once sign-up has opened, joined by
--          ',', or '-'  22 a new secret of its pseudonyms, 64 hexadecimal digits, for a sale without one
--       then three values for each item that differs:
--         item, stock before ('' no limit, '-' not there), stock now ('' no limit, '-' removed)
-- Reply {'ok', header, revision}, or {'revision', …}, {'locked', field, …} (`signup`, `standby`: there are sign-ups
--       or places, so it can't go; `stock`: buyers wait for a model, so its limit can't go),
--       {'late'}: it sells by a draw, and its sign-up has opened before its commitment stood there,
--       {'stock-taken', item, taken, …}: the items whose new total is below what is taken,
--       {'item-taken', item, …}: items that were ever taken and can't be removed
-- Example  "epoch incarnation" 0 0 {…} 1700000000000 1800000000000 900000 60000 1 5 - ops - - 0 0 0 0 0 0 - - model:air - 3000
--       -> ok, "1 …", 1

local fresh = redis.call('EXISTS', STATE, JOURNAL) == 0
local s, refusal
if fresh then
  if ARGV[3] ~= '0' then return {'missing'} end
  for i = 1, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 1 then return {'damaged', KEYS[i] .. ' is there without a sale'} end
  end
  s = {epoch = ARGV[1]:sub(1, -34), incarnation = ARGV[1]:sub(-32), format = 2, raw = now(), sequence = 0, revision = 0,
    number = 0, paused = 0, frozen = 0, closed = 0, held = 0, confirmed = 0, cancelled = 0, expired = 0, swept = 0, limits = 0}
  s.time, s.sale_clock = s.raw, 0
else
  s, refusal = open_ledger(ARGV[1], ARGV[2])
  if not s then return refusal end
  if s.revision ~= tonumber(ARGV[3]) then return {'revision', integer(s.revision)} end
  if ARGV[11] ~= '-' and s.number > 0 then
    local fields = {}
    for field in ARGV[11]:gmatch('[^,]+') do fields[#fields + 1] = field end
    return {'locked', unpack(fields)}
  end
  -- An operator's close is final; a closing instant that has passed is not.
  if s.closed == 1 and tonumber(ARGV[6]) ~= s.closes then return {'locked', 'closes_at'} end
end

local signup_opens, signup_closes, signup_required, standby, standby_hold, standby_max = unpack(ARGV, 14, 19)
local has_sign_ups = signup_opens ~= '-'
if not has_sign_ups then
  if (s.last_signup or 0) > 0 then return {'locked', 'signup'} end
  -- It is over before it begins.
  signup_opens, signup_closes, signup_required = '0', '0', '0'
end
-- Where grants were ever suspended, units may be set aside.
local is_in_use = s.standby == 1 and (s.last_place > 0 or redis.call('HEXISTS', STATE, 'suspended_in') == 1)
if standby == '0' and is_in_use then return {'locked', 'standby'} end
local sells_by_draw, draw_differs, secret = unpack(ARGV, 20, 22)
if draw_differs ~= '-' then
  local has_opened = (s.signup_closes or 0) > 0 and (s.time >= s.signup_opens or s.last_signup > 0)
  if has_opened or s.number > 0 or is_in_use then
    local fields = {}
    for field in draw_differs:gmatch('[^,]+') do fields[#fields + 1] = field end
    return {'locked', unpack(fields)}
  end
  if sells_by_draw == '1' and tonumber(signup_opens) <= s.time then return {'late'} end
end
-- A draw's sign-up can't seem not to have opened yet.
if (s.draw_opens or 0) > 0 and s.time >= s.signup_opens and tonumber(signup_opens) ~= s.signup_opens then
  return {'locked', 'signup.opens_at'}
end
-- Who is an entrant is fixed.
if (s.fixed_in or 0) > 0 and (tonumber(signup_opens) ~= s.signup_opens or tonumber(signup_closes) ~= s.signup_closes) then
  return {'locked', 'signup'}
end
if s.format < 3 and (has_sign_ups or standby == '1') then
  s.format, s.signed_up, s.last_signup = 3, 0, 0
  s.suspended, s.waiting, s.last_place, s.swept_grants = 0, 0, 0, 0
end
if s.format < 4 and sells_by_draw == '1' then
  s.format, s.entrants, s.allocated, s.fixed_in, s.drawn_in, s.allocated_in = 4, 0, 0, 0, 0, 0
end
local draw_opens, opens = 0, tonumber(ARGV[5])
if sells_by_draw == '1' then
  draw_opens = opens
  if s.allocated_in == 0 then opens = NEVER end
end

local items, before, after = {}, {}, {}
for at = 23, #ARGV, 3 do
  local item = ARGV[at]
  items[#items + 1] = item
  before[item], after[item] = ARGV[at + 1], ARGV[at + 2]
end
local counters, totals, asides = fetch(STOCK, items), fetch(TOTALS, items), {}
if s.standby == 1 then
  local names = {}
  for _, item in ipairs(items) do
    names[#names + 1] = aside_of(item)
  end
  asides = fetch(STOCK, names)
end
local stock, new_totals, gone, short, used, listed = {}, {}, {}, {}, {}, {}
for _, item in ipairs(items) do
  local counter, total = tonumber(counters[item]), tonumber(totals[item])
  local is_new = before[item] == '-'
  if is_new ~= not counter then return {'damaged', STOCK .. (is_new and ' already has ' or ' has no number in ') .. item} end
  if before[item] ~= '' and not is_new and not total then return {'damaged', TOTALS .. ' has no number in ' .. item} end
  local aside_name = aside_of(item)
  local aside = aside_name and tonumber(asides[aside_name] or 0) or 0
  local taken = (total or 0) - (counter or 0) - aside
  local is_awaited = aside > 0 or (s.standby == 1 and item:sub(1, 6) == 'model:' and count_waiting(item:sub(7)) > 0)
  if total then s.limits = s.limits - 1 end
  local is_other_limit = (before[item] == '') ~= (after[item] == '')
  if is_reserved_for_draw(s, item) and (is_new or is_other_limit) then return {'locked', 'stock'} end
  if after[item] == '-' then
    if taken ~= 0 or is_awaited or is_reserved_for_draw(s, item) or redis.call('SISMEMBER', TAKEN, item) == 1 then used[#used + 1] = item end
    gone[#gone + 1] = item
    listed[#listed + 1] = item .. ' -'
  else
    local now_total
    if after[item] ~= '' then
      -- A concurrent restock stays: only the difference between the definitions is applied.
      now_total = tonumber(after[item]) + (total and (total - tonumber(before[item])) or 0)
      local least = is_reserved_for_draw(s, item) and total or taken
      if now_total < least then
        short[#short + 1] = item
        short[#short + 1] = integer(least)
      end
      s.limits = s.limits + 1
    elseif is_awaited then
      return {'locked', 'stock'}
    end
    if total and now_total then
      local now = {[item] = counter}
      if aside_name then now[aside_name] = aside end
      shift(s, now, item, now_total - total)
      stock[item] = now[item]
      if aside_name and now[aside_name] ~= aside then stock[aside_name] = now[aside_name] end
    else
      stock[item] = (now_total or 0) - taken
    end
    new_totals[item] = now_total
    if total and not now_total then gone[#gone + 1] = item end
    listed[#listed + 1] = item .. ' ' .. (now_total and integer(now_total) or '*')
  end
end
if #used > 0 then return {'item-taken', unpack(used, 1, math.min(#used, CHUNK))} end
if #short > 0 then return {'stock-taken', unpack(short, 1, math.min(#short, CHUNK))} end

s.revision = s.revision + 1
local entry = {'revision', integer(s.revision), 'totals', table.concat(listed, ' '), 'who', ARGV[12], 'reason', ARGV[13]}
if fresh then
  entry[#entry + 1] = 'incarnation'
  entry[#entry + 1] = s.incarnation
end
local state = {epoch = s.epoch, format = math.max(s.format, 2), incarnation = s.incarnation, revision = s.revision,
  number = s.number, paused = s.paused, frozen = s.frozen, closed = s.closed, opens = opens, closes = ARGV[6], hold = ARGV[7],
  grace = ARGV[8], per_buyer = ARGV[9], attempts = ARGV[10], swept = s.swept, limits = s.limits}
if s.format > 2 then
  state.signup_opens, state.signup_closes, state.signup_required = signup_opens, signup_closes, signup_required
  state.signed_up, state.last_signup = s.signed_up, s.last_signup
  state.standby, state.standby_hold, state.standby_max = standby, standby_hold, standby_max
  state.suspended, state.waiting, state.last_place, state.swept_grants = s.suspended, s.waiting, s.last_place, s.swept_grants
end
if s.format > 3 then
  state.draw_opens, state.entrants, state.allocated = draw_opens, s.entrants, s.allocated
  state.fixed_in, state.drawn_in, state.allocated_in = s.fixed_in, s.drawn_in, s.allocated_in
  if redis.call('HEXISTS', STATE, 'draw_secret') == 0 then state.draw_secret = secret end
end
commit(s, 'define', entry, flat(stock), {}, state)
for _, item in ipairs(gone) do
  redis.call('HDEL', TOTALS, item)
  if after[item] == '-' then redis.call('HDEL', STOCK, item) end
end
store_pairs(TOTALS, flat(new_totals))
redis.call('SET', DEFINITION, ARGV[4])

-- By the new terms, what a higher total has set aside; the ticks go on with what this call can't grant.
s.opens, s.closes, s.per_buyer, s.attempts = opens, tonumber(ARGV[6]), tonumber(ARGV[9]), tonumber(ARGV[10])
s.grace, s.standby, s.standby_hold = tonumber(ARGV[8]), tonumber(standby), tonumber(standby_hold)
local reply = {'ok', header(s), integer(s.revision)}
grant(s, items, 64)
return reply
