-- Allocates what is for sale to a batch of entrants in order of rank. Denied at maxmemory.
--
-- Each is given a hold of the first choice whose model is free, packages and store as far as they are there. The others wait for
-- their first choice. The winners of a batch are an entry `reserve`, as of taps, and the others an entry `join` behind it; a batch
-- without either is an entry `allocate`. An entrant with a reservation of the draw, or with a place, is left alone: after a loss a
-- batch may be repeated. After the last rank an entry `allocate` with the field `over` ends it, and what is left sells first-come.
-- ARGV  1 identity  2 known sequence  3 rank of the first  4 … a line for each: "buyer sub choices"
-- Reply {'ok', header, ranks that are done, 1 if the allocation is over, else 0}, or nothing was done: {'none'}: nothing was drawn,
--       {'at', ranks that are done}: another gateway was faster, or {'stopped', 'not-open', 'paused' or 'closed'}
-- Example  "epoch incarnation" 7 1 "aliceAAAAAAAAAAAAAAA alice air/cover/;mini//" -> ok, "8 …", 1, 0

if s.format < 4 or s.drawn_in == 0 then return {'none'} end
if s.allocated_in > 0 then return {'ok', header(s), integer(s.entrants), 1} end
if s.closed == 1 or s.time >= s.closes then return {'stopped', 'closed'} end
if s.time < s.draw_opens then return {'stopped', 'not-open'} end
if s.paused == 1 then return {'stopped', 'paused'} end
if s.allocated + 1 ~= tonumber(ARGV[3]) then return {'at', integer(s.allocated)} end

local FIRST = 4
local buyers, subs, choices = {}, {}, {}
local items, seen = {}, {}
local function need(item)
  if not seen[item] then seen[item], items[#items + 1] = true, item end
end
local function parse_choices(words)
  local list = {}
  for word in words:gmatch('[^;]+') do
    local model, packages, store = word:match('^([^/]+)/([^/]*)/([^/]*)$')
    local choice = {word = word, model = 'model:' .. model}
    choice.extras = items_of(model, packages == '' and '-' or packages, store == '' and '-' or store)
    table.remove(choice.extras, 1)
    list[#list + 1] = choice
    need(choice.model)
    for _, item in ipairs(choice.extras) do need(item) end
  end
  return list
end

-- Many entrants want the same.
local parsed = {}
for i = FIRST, #ARGV do
  local n = i - FIRST + 1
  local words
  buyers[n], subs[n], words = ARGV[i]:match('^(%S+) (%S+) (%S+)$')
  parsed[words] = parsed[words] or parse_choices(words)
  choices[n] = parsed[words]
end
local texts, rows = fetch(RECORDS, buyers), fetch(STANDBY, buyers)
local stock, totals = fetch(STOCK, items), fetch(TOTALS, items)
for item, free in pairs(stock) do
  stock[item] = tonumber(free or nil)
  if not stock[item] and (free or totals[item]) then return {'damaged', STOCK .. ' has no number in ' .. item} end
end
for _, buyer in ipairs(buyers) do
  if texts[buyer] and not parse_record(texts[buyer]) then return damaged_record(buyer) end
  if rows[buyer] and not parse_place(rows[buyer]) then return damaged_place(buyer) end
end

local function is_free(item) return stock[item] and (not totals[item] or stock[item] > 0) end

local function free_choice(list)
  for _, choice in ipairs(list) do
    if is_free(choice.model) then return choice end
  end
end

-- The winners as columns, their rows, and the places of items in the entry's list of stock.
local first, deadline = s.number + 1, s.sale_clock + s.hold
local won, who, wants, records, listed, places, taken = {}, {}, {}, {}, {}, {}, {}
local function place_of(item)
  if not places[item] then
    listed[#listed + 1] = item
    places[item] = #listed
  end
  return places[item]
end

local function take(item)
  stock[item] = stock[item] - 1
  -- As in reserve.lua, so that a lost set is noticed.
  if first == 1 then taken[#taken + 1] = item end
  return place_of(item)
end

local function win(n, choice)
  local got, gone, packages, store, left_off = {take(choice.model)}, {}, {}, '-', {}
  for _, item in ipairs(choice.extras) do
    if is_free(item) then
      got[#got + 1] = take(item)
      local kind, id = item:match('^(%a+):(.*)$')
      if kind == 'store' then store = id else packages[#packages + 1] = id end
    else
      -- What the definition has no more has no place in a list of stock.
      if stock[item] then gone[#gone + 1], left_off[#left_off + 1] = place_of(item), item end
    end
  end
  local key = draw_key(buyers[n])
  s.number = s.number + 1
  won[#won + 1], who[#who + 1] = buyers[n], subs[n] .. ' ' .. key .. ' draw'
  wants[#wants + 1] = table.concat(got, ',') .. (#gone > 0 and ';' .. table.concat(gone, ',') or '')
  local row = format_row({key = key, fingerprint = 'draw', model = choice.model:sub(7),
    packages = #packages > 0 and table.concat(packages, ',') or '-', store = store,
    unavailable = #left_off > 0 and table.concat(left_off, ',') or '-', number = s.number, version = 1, state = 'held',
    held_at = s.time, deadline = deadline, payment = '-', changes = integer(s.sequence + 1)})
  records[#records + 1] = buyers[n]
  records[#records + 1] = texts[buyers[n]] and texts[buyers[n]] .. '\n' .. row or subs[n] .. ' ' .. row
end

-- Whether an entrant without a hold can wait for the first choice: not if its queue is full, or the model is not there any more.
local waiting = {}
local function may_wait(choice)
  local model = choice.model
  if s.standby ~= 1 or not totals[model] then return false end
  waiting[model] = waiting[model] or count_waiting(model:sub(7))
  if s.standby_max > 0 and waiting[model] >= s.standby_max then return false end
  waiting[model] = waiting[model] + 1
  return true
end

local losers = {}
for n, buyer in ipairs(buyers) do
  local is_done = rows[buyer] or (texts[buyer] and texts[buyer]:find(draw_key(buyer) .. ' draw ', 1, true))
  if not is_done then
    local choice = free_choice(choices[n])
    if choice then
      win(n, choice)
    elseif may_wait(choices[n][1]) then
      losers[#losers + 1] = n
    end
  end
end

-- The last entry of a batch has the ranks that are done.
local done = s.allocated + #buyers
local function note(entry, state, is_last)
  if is_last then
    entry[#entry + 1], entry[#entry + 2] = 'allocated', integer(done)
    state.allocated = done
  end
  return entry, state
end

if #won > 0 then
  local left = {}
  for i, item in ipairs(listed) do left[2 * i - 1], left[2 * i] = item, integer(stock[item]) end
  s.held = s.held + #won
  local entry, state = note({'first', integer(first), 'deadline', integer(deadline), 'buyers', table.concat(won, ' '),
    'who', table.concat(who, '\n'), 'wants', table.concat(wants, '\n')}, {number = s.number}, #losers == 0)
  commit(s, 'reserve', entry, left, records, state, taken)
end
if #losers > 0 then
  local lines, changed, members = {}, {}, {}
  local place, was_empty = s.last_place + 1, s.last_place == 0
  for i, n in ipairs(losers) do
    local choice = choices[n][1]
    s.last_place = s.last_place + 1
    lines[i] = subs[n] .. ' ' .. choice.word
    changed[buyers[n]] = format_place({sub = subs[n], state = 'waiting', choice = choice.word, number = s.last_place,
      sequence = integer(s.sequence + 1)})
    members[i] = queue_member(choice.model:sub(7), s.last_place, buyers[n])
  end
  s.waiting = s.waiting + #losers
  local entry, state = note({'first', integer(place), 'places', table.concat(lines, '\n')},
    {waiting = s.waiting, last_place = s.last_place}, true)
  -- Before the first place there were no grants.
  if was_empty then state.swept_grants = s.sequence end
  commit(s, 'join', entry, {}, {}, state)
  store_pairs(STANDBY, flat(changed))
  enqueue(members)
elseif #won == 0 and #buyers > 0 then
  commit(s, 'allocate', {'allocated', integer(done)}, {}, {}, {allocated = done})
end
s.allocated = done
if s.allocated >= s.entrants then
  commit(s, 'allocate', {'allocated', integer(done), 'over', '1'}, {}, {}, {opens = s.draw_opens, allocated_in = s.sequence + 1})
end
return {'ok', header(s), integer(done), s.allocated >= s.entrants and 1 or 0}
