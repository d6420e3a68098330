-- Replays changes that Redis lost, from the gateways' reports. Allowed at maxmemory: they were acknowledged.
--
-- Each change is checked before it is written: its effects on stock, counts and reservations are
-- computed again, and must equal the original ones. The sale stays fenced until adopt.lua.
-- ARGV  1 identity: with the ledger's epoch  2 … changes in their order, each JSON: sequence, kind, at, clock,
--       items (whose stock it changed), left and counts (free stock of each, and the counts after it; neither if it
--       was only acknowledged), fields (other fields of its entry), rows (each changed reservation: buyer, sub, row),
--       is_whole (of one that was only acknowledged: whether nothing of it is missing here)
-- Reply {'ok', header, number of appended changes}, or {'epoch', epoch}, {'damaged', …},
--       or {'blocked', sequence, why}: earlier ones were appended
-- Example  "!old incarnation" {"sequence":8,"kind":"reserve",…} -> ok, "8 …", 1

local s, refusal = read_state()
if not s then return refusal end
refusal = check_incarnation(s, ARGV[1]) or check_epoch(s, ARGV[1], 0)
if refusal then return refusal end
local bad = find_damages(s)
if #bad > 0 then return {'damaged', table.concat(bad, '; ')} end

local BUYERS = {reserve = true, amend = true, confirm = true, cancel = true, expire = true, refuse = true, grant = true}
local SIGNUP_KINDS = {signup = true, withdraw = true}
local PLACE_KINDS = {join = true, leave = true}
local OTHERS = {restock = true, adopt = true, lost = true}
local COUNTED = {'held', 'confirmed', 'cancelled', 'expired'}

-- Whether this recovery has lost a change, in whole or in part, or may have. Later entries then have the field `gap`: a
-- reader of the journal that has read them as they were must find that it has another history. What an entry that was
-- read says of an earlier recovery does not count: its readers have that history.
--
-- The field `gap` of the state has the epoch of the ledger since then: it is for the next call, whichever gateway makes
-- it. With the next epoch it ends by itself, and a Redis that takes over in mid replay has it with the entries.
local gap = redis.call('HGET', STATE, 'gap') == s.epoch
local is_noted = gap

local function add(delta, r, n)
  if r.state ~= 'held' and r.state ~= 'confirmed' then return end
  for _, item in ipairs(items_of(r.model, r.packages, r.store)) do delta[item] = (delta[item] or 0) + n end
end

-- The kind of a change that was only acknowledged: a call that finds a change made knows the state and not the way to it.
local function kind_of(before, r)
  if r.state ~= 'confirmed' and r.payment ~= before.payment then return 'refuse' end
  if before.state ~= r.state then return ({confirmed = 'confirm', cancelled = 'cancel'})[r.state] or 'refuse' end
  return (r.state == 'held' or r.state == 'confirmed') and 'amend' or 'refuse'
end

-- The buyer's record with this reservation after the change, and the reservation before; or nil and the reason.
local function apply_row(records, e, row, delta, counts)
  local r = parse_row(row.row)
  if not r then return nil, 'one of its reservations is unreadable' end
  local record = records[row.buyer]
  if not record then
    local text = redis.call('HGET', RECORDS, row.buyer)
    record = text and parse_record(text)
    if text and not record then return nil, 'the record of buyer ' .. row.buyer .. ' can\'t be read' end
    record = record or {sub = row.sub, list = {}}
  end
  local before = find(record, r.key)
  if e.kind == 'reserve' or e.kind == 'grant' then
    if before then return nil, 'its reservation ' .. row.buyer .. r.key .. ' is there already' end
    if r.number <= s.number then return nil, 'the number ' .. integer(r.number) .. ' is taken' end
    gap = gap or (not e.left and r.number > s.number + 1)
    s.number = r.number
    record.list[#record.list + 1] = r
  else
    if not before then return nil, 'its reservation ' .. row.buyer .. r.key .. ' is not there' end
    for i = 1, #record.list do
      if record.list[i].key == r.key then record.list[i] = r end
    end
    if not e.left then e.kind = kind_of(before, r) end
    add(delta, before, 1)
    counts[before.state] = counts[before.state] - 1
  end
  add(delta, r, -1)
  counts[r.state] = counts[r.state] + 1
  records[row.buyer] = record
  return record, r, before
end

-- Repeats a sweep without known rows: the sale clock determines what it swept. If other gaps left it nothing, it is
-- recorded as lost. Of one that was only shown, the clock is a later one: it may sweep more.
local function repeat_sweep(e)
  gap = gap or not e.is_whole
  local mark = gap and {'gap', '1'} or {}
  local expired, more
  repeat
    expired, more = sweep(s, 64, mark)
    if not expired then return more[2] end
  until expired > 0 or not more
  if expired == 0 then
    commit(s, 'lost', {'who', 'gateways', 'reason', 'a sweep', unpack(mark)}, {}, {}, {})
    gap = true
  end
end

-- Replays sign-ups, or a withdrawal, by their rows: "choices number at" or "-"; returns the reason if it can't. Of a batch that was
-- only acknowledged in part the numbers need not follow each other, and the sign-up that a change was of may be lost.
local function replay_signups(e, named)
  if s.format < 3 then return 'the sale takes no sign-ups' end
  local numbers, changed, lines, signed, last = {}, {}, {}, s.signed_up, s.last_signup
  -- From here on the numbers are new, of whatever is lost.
  local first = e.left and 1 or tonumber(named.first) or math.huge
  for i, row in ipairs(e.rows) do
    lines[i] = row.sub .. ' ' .. row.row
    local buyer, number = row.buyer, tonumber(row.row:match('^%S+ (%d+) %d+$') or row.row == '-' and 0 or nil)
    if not number then return 'one of its sign-ups is unreadable' end
    local known = redis.call('HGET', SIGNUPS, buyer)
    local before = numbers[buyer] or (known and tonumber(known:match('^(%d+) '))) or 0
    if number > 0 then
      if before > 0 and before ~= number then return 'its buyer ' .. buyer .. ' has the number ' .. integer(before) end
      local is_late = before == 0 and number <= last
      if is_late and number >= first then return 'its number ' .. integer(number) .. ' is taken' end
      gap = gap or is_late or (not e.left and number > last + 1)
      last = math.max(last, number)
    elseif before == 0 then
      if e.left then return 'its buyer ' .. buyer .. ' is not signed up' end
      gap = true
    end
    signed = signed + (number > 0 and 1 or 0) - (before > 0 and 1 or 0)
    numbers[buyer], changed[buyer] = number, integer(number) .. ' ' .. integer(e.sequence)
  end
  if named.signed and named.signed ~= integer(signed) then
    return 'it counted ' .. named.signed .. ' sign-ups, and would count ' .. integer(signed) .. ' now'
  end
  local fields = e.fields
  -- New sign-ups have the time of their entry: where that is another one now, their lines name theirs.
  if s.time ~= e.at then
    gap = gap or not e.left
    for i = 1, #fields, 2 do
      if fields[i] == 'signups' then fields[i + 1] = table.concat(lines, '\n') end
    end
  end
  if not named.signed then fields[#fields + 1], fields[#fields + 2] = 'signed', integer(signed) end
  gap = gap or (not e.left and not e.is_whole)
  if (gap or named.gap) and not named.gap then fields[#fields + 1], fields[#fields + 2] = 'gap', '1' end
  s.signed_up, s.last_signup = signed, last
  commit(s, e.kind, fields, {}, {}, {signed_up = signed, last_signup = last})
  store_pairs(SIGNUPS, flat(changed))
end

-- Replays who joined or left standby queues, by their rows: "choice number" or "-"; returns the reason if it can't.
local function replay_places(e, named)
  if s.standby ~= 1 then return 'the sale has no standby queues' end
  local known, removed, added, waiting, last = {}, {}, {}, s.waiting, s.last_place
  for _, row in ipairs(e.rows) do
    local buyer = row.buyer
    local before = known[buyer] or find_place(buyer)
    local was_waiting = before and before.state == 'waiting'
    local choice, number = row.row:match('^(%S+) (%d+)$')
    number = tonumber(number)
    if not number and row.row ~= '-' then return 'one of its places is unreadable' end
    if not number and not was_waiting then
      if e.left then return 'its buyer ' .. buyer .. ' does not wait' end
      gap = true
    end
    if number and not (was_waiting and before.number == number) then
      local is_late = number <= last
      if is_late and e.left then return 'its place ' .. integer(number) .. ' is taken' end
      gap = gap or is_late or (not e.left and number > last + 1)
      last = math.max(last, number)
    end
    if was_waiting then removed[queue_member(before.model, before.number, buyer)] = true end
    waiting = waiting + (number and 1 or 0) - (was_waiting and 1 or 0)
    local p = {sub = row.sub, state = number and 'waiting' or 'left', choice = choice or (before and before.choice),
      number = number or (before and before.number), sequence = integer(e.sequence)}
    -- Who did not wait keeps the place of before.
    if p.choice and (number or was_waiting) then known[buyer] = parse_place(format_place(p)) end
  end
  gap = gap or (not e.left and not e.is_whole)
  local fields = e.fields
  if gap and not named.gap then fields[#fields + 1], fields[#fields + 2] = 'gap', '1' end
  local state, why = draw_state(s, e, named)
  if not state then return why end
  state.waiting, state.last_place = waiting, last
  if s.last_place == 0 then state.swept_grants = s.sequence end
  s.waiting, s.last_place, s.swept_grants = waiting, last, state.swept_grants or s.swept_grants
  -- What the loss of others' reservations has freed is for those who wait.
  local stock = {}
  for _, p in pairs(known) do
    local item = 'model:' .. p.model
    -- But not while a draw allocates: it is for the next entrant.
    local is_theirs = gap and p.state == 'waiting' and s.opens ~= NEVER
    local free = is_theirs and redis.call('HEXISTS', TOTALS, item) == 1 and fetch_stock({item, aside_of(item)})
    if free and free[item] > 0 then
      stock[item], stock[aside_of(item)] = 0, free[aside_of(item)] + free[item]
    end
  end
  commit(s, e.kind, fields, flat(stock), {}, state)
  for buyer, p in pairs(known) do
    if p.state == 'waiting' then added[queue_member(p.model, p.number, buyer)] = true end
    store_pairs(STANDBY, {buyer, format_place(p)})
  end
  unqueue(list_of(removed))
  enqueue(list_of(added))
end

-- The places of those who are granted or skipped, by buyer, and their members of the queue; or nil and the reason. Who was only shown
-- a grant may have joined in a change that is lost.
local function end_places(e, named)
  local places, members = {}, {}
  local function end_place(buyer, state, key)
    local p = find_place(buyer)
    if p and p.state == 'waiting' then
      members[#members + 1] = queue_member(p.model, p.number, buyer)
      p.state, p.sequence, p.key = state, integer(e.sequence), key
      places[buyer] = format_place(p)
      return
    end
    if e.left and not gap then return 'its buyer ' .. buyer .. ' does not wait' end
    gap = true
  end
  for _, row in ipairs(e.rows) do
    local why = end_place(row.buyer, 'granted', row.row:match('^%S+'))
    if why then return nil, why end
  end
  for buyer in (named.skipped or ''):gmatch('(%S+) %S+') do
    local why = end_place(buyer, 'skipped')
    if why then return nil, why end
  end
  gap = gap or not e.left
  return places, members
end

-- Moves the units of models in `delta` to where they are set aside: as the entry has it, or as the scripts would do it.
local function note_asides(e, named, delta)
  local listed = {}
  for i, item in ipairs(e.items) do listed[item] = e.left and e.left[i] or true end
  local models = {}
  for item, n in pairs(delta) do
    if item:sub(1, 6) == 'model:' and n ~= 0 then models[item] = n end
  end
  for item, n in pairs(models) do
    local aside, is_aside = aside_of(item), e.kind == 'grant'
    -- A late payment takes a unit that came back while a draw allocates.
    local is_retaken = n < 0 and e.kind == 'confirm' and is_reserved_for_draw(s, item)
    if not is_aside and e.left then is_aside = (n > 0 or is_retaken) and listed[aside] ~= nil end
    if not is_aside and not e.left then is_aside = is_retaken or (n > 0 and is_set_aside(s, item)) end
    local stock = e.kind == 'restock' and n < 0 and fetch_stock({item, aside})
    if stock then
      local free, spare = stock[item], stock[aside]
      shift(s, stock, item, n)
      delta[item], delta[aside] = stock[item] - free, stock[aside] - spare
    elseif is_aside then
      local set_aside = e.kind == 'grant' and not e.left and fetch_stock({aside})
      -- Of a grant that was only shown the buyer's joining may be lost, and then nothing was set aside.
      local taken = set_aside and math.max(n, -set_aside[aside]) or n
      delta[item], delta[aside] = n - taken, (delta[aside] or 0) + taken
    end
  end
  if not e.left then
    -- Of a change that was only acknowledged, the release of what it took may be lost: then that is still set aside.
    for item in pairs(models) do
      local aside = aside_of(item)
      local stock = redis.call('HEXISTS', TOTALS, item) == 1 and fetch_stock({item, aside})
      local lacking = stock and -(stock[item] + delta[item]) or 0
      local spare = stock and math.max(stock[aside] + (delta[aside] or 0), 0) or 0
      if lacking > 0 and spare > 0 then
        local n = math.min(lacking, spare)
        delta[item], delta[aside] = delta[item] + n, (delta[aside] or 0) - n
        gap = true
      end
    end
  end
  for model, n in (named.released or ''):gmatch('(%S+) (%d+)') do
    local item = 'model:' .. model
    delta[item] = (delta[item] or 0) + tonumber(n)
    delta[aside_of(item)] = (delta[aside_of(item)] or 0) - tonumber(n)
  end
end

-- Appends one change; returns the reason if it can't, else nil.
local function append(e)
  if e.sequence ~= s.sequence + 1 then return 'the ledger is at ' .. integer(s.sequence) end
  if e.kind == 'define' then return 'it changed the definition' end
  if not (BUYERS[e.kind] or SIGNUP_KINDS[e.kind] or PLACE_KINDS[e.kind] or DRAW_KINDS[e.kind] or OTHERS[e.kind]
    or control_of(e.kind)) then
    return 'the kind ' .. e.kind .. ' is unknown'
  end
  s.now, s.clock = math.max(s.now, e.at), math.max(s.clock, e.clock)
  s.time, s.sale_clock = s.now, s.clock
  if e.kind == 'expire' and #e.rows == 0 then return repeat_sweep(e) end
  local named = {}
  for i = 1, #e.fields, 2 do named[e.fields[i]] = e.fields[i + 1] end
  if SIGNUP_KINDS[e.kind] then return replay_signups(e, named) end
  if PLACE_KINDS[e.kind] then return replay_places(e, named) end
  local records, delta, counts, lines, number, was, deadline = {}, {}, {}, {}, s.number, nil, nil
  for _, state in ipairs(COUNTED) do counts[state] = s[state] end
  for i, row in ipairs(e.rows) do
    local record, r, before = apply_row(records, e, row, delta, counts)
    if not record then
      s.number = number
      return r
    end
    lines[i], deadline = journal_line(row.buyer, record, r), r.deadline
    if e.kind == 'amend' and r.state == 'confirmed' and (r.model ~= before.model or r.packages ~= before.packages) then
      was = before.model .. ' ' .. before.packages
    end
  end
  local field, value = control_of(e.kind)
  local state, why = draw_state(s, e, named)
  if not state then
    s.number = number
    return why
  end
  for name, at in pairs(field and control_state(s, field, value) or {}) do state[name] = at end
  local totals = {}
  state.number, s.number = s.number, number
  if e.kind == 'restock' then
    if redis.call('HGET', TOTALS, named.item) ~= named.was then return named.item .. ' had another total' end
    delta[named.item] = tonumber(named.total) - tonumber(named.was)
    totals = {named.item, named.total}
  end

  if s.standby == 1 then note_asides(e, named, delta) end
  local places, members = {}, {}
  if e.kind == 'grant' then
    places, members = end_places(e, named)
    if not places then
      s.number = number
      return members
    end
    state.waiting = s.waiting - #members
  end

  -- An acknowledged change lists only the items that its entry refers to.
  local items, known = {}, {}
  for i, item in ipairs(e.items) do items[i], known[item] = item, true end
  for item, n in pairs(delta) do
    if n ~= 0 and not known[item] then
      if e.left then return 'its entry lacks what was left of ' .. item end
      items[#items + 1] = item
    end
  end
  local stock, damage = fetch_stock(items)
  if not stock then return damage[2] end
  local left, touched = {}, {}
  for i, item in ipairs(items) do
    local n = stock[item] + (delta[item] or 0)
    local is_counted = item:sub(1, 6) == 'aside:' or redis.call('HEXISTS', TOTALS, item) == 1
    if n < 0 and is_counted then return item .. ' is taken by now' end
    if e.left and e.left[i] ~= n then
      return 'it left ' .. integer(e.left[i]) .. ' of ' .. item .. ', and would leave ' .. integer(n) .. ' now'
    end
    left[2 * i - 1], left[2 * i] = item, integer(n)
    if n ~= stock[item] and e.kind ~= 'restock' then touched[#touched + 1] = (item:gsub('^aside:', 'model:')) end
  end
  local after = {}
  for i, name in ipairs(COUNTED) do after[i] = integer(counts[name]) end
  after = table.concat(after, ' ')
  if e.counts and e.counts ~= after then return 'it counted ' .. e.counts .. ', and would count ' .. after .. ' now' end

  local fields, is_marked = e.fields, named.gap
  if e.kind == 'grant' then
    if not e.left then fields = {'deadline', integer(deadline), 'data', table.concat(lines, '\n')} end
  elseif BUYERS[e.kind] and e.kind ~= 'reserve' then
    fields, is_marked = {'data', table.concat(lines, '\n'), was and 'was', was}, false
  end
  if (gap or named.gap) and not is_marked then
    fields[#fields + 1], fields[#fields + 2] = 'gap', '1'
  end
  -- A batch of which the reports may lack winners has the field already.
  gap = gap or (not e.left and (e.kind == 'lost' or named.gap ~= nil))
  for _, name in ipairs(COUNTED) do s[name] = counts[name] end
  if field then s[field] = value end
  s.number = state.number
  s.waiting = state.waiting or s.waiting
  commit(s, e.kind, fields, left, record_texts(records), state, touched)
  store_pairs(TOTALS, totals)
  store_pairs(STANDBY, flat(places))
  unqueue(members)
end

local appended = 0
for i = 2, #ARGV do
  local e = cjson.decode(ARGV[i])
  -- Another gateway may have appended the earlier ones.
  if e.sequence > s.sequence then
    local why = append(e)
    if why then return {'blocked', integer(e.sequence), why} end
    appended = appended + 1
    if gap and not is_noted then
      store_pairs(STATE, {'gap', s.epoch})
      is_noted = true
    end
  end
end
s.time = math.max(s.raw, s.now)
return {'ok', header(s), integer(appended)}
