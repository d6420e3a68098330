-- What comes back, a prelude for the scripts that return units: those of a model that buyers wait for go to them.
--
-- Such units are never free: they are counted in `aside:MODEL` of the stock until they are granted, in the same script as far as its
-- bound allows. Nothing of a model is free while buyers wait for it, and so reserve.lua need not know of the queues.

-- Whether the allocation of a draw is under way.
local function is_allocating(s) return s.opens == NEVER and s.allocated > 0 end

-- Whether all that is free of an item is for the entrants of a draw: nobody else can take it, and its total can't go down.
local function is_reserved_for_draw(s, item) return is_allocating(s) and item:sub(1, 6) == 'model:' end

-- Whether returned units of an item are set aside: those of a model with a limit, if buyers wait or an operator suspended grants.
-- Before a draw allocates, units are free, so that it can; meanwhile they are set aside, so that nothing changes its result.
local function is_set_aside(s, item)
  local model = s.standby == 1 and item:match('^model:(.*)$')
  if not model or (s.opens == NEVER and s.allocated == 0) then return false end
  return (s.suspended == 1 or is_allocating(s) or count_waiting(model) > 0) and redis.call('HEXISTS', TOTALS, item) == 1
end

-- The counter of what is set aside of a model; nil for other items.
local function aside_of(item) return item:sub(1, 6) == 'model:' and 'aside:' .. item:sub(7) or nil end

-- The counters after so many units of each item came back; nil and a refusal if one has no number.
local function give_back(s, returned)
  local places, names = {}, {}
  for item in pairs(returned) do
    places[item] = is_set_aside(s, item) and aside_of(item) or item
    names[#names + 1] = places[item]
  end
  local stock, damage = fetch_stock(names)
  if not stock then return nil, damage end
  for item, n in pairs(returned) do stock[places[item]] = stock[places[item]] + n end
  return stock
end

-- Changes how many units of an item nobody has taken, in a table that has its counters: more are set aside if buyers wait, fewer are
-- free first.
local function shift(s, stock, item, n)
  local aside = aside_of(item)
  if n > 0 and is_set_aside(s, item) then
    stock[aside] = stock[aside] + n
    return
  end
  local spared = aside and (stock[aside] or 0) > 0 and math.max(-n - math.max(stock[item], 0), 0) or 0
  stock[item] = stock[item] + n + spared
  if spared > 0 then stock[aside] = stock[aside] - spared end
end

-- A granted reservation of what a place asks for, packages and store as far as they are there.
local function granted_row(s, p, stock, totals)
  local left_off = {}
  local function take(item)
    local free = tonumber(stock[item])
    if not free or (totals[item] and free < 1) then
      left_off[#left_off + 1] = item
      return false
    end
    stock[item] = free - 1
    return true
  end
  local packages = {}
  for id in (p.packages == '-' and '' or p.packages):gmatch('[^,]+') do
    if take('package:' .. id) then packages[#packages + 1] = id end
  end
  local store = p.store ~= '-' and take('store:' .. p.store) and p.store or '-'
  s.number = s.number + 1
  return {key = p.key, fingerprint = 'standby', model = p.model,
    packages = #packages > 0 and table.concat(packages, ',') or '-', store = store,
    unavailable = #left_off > 0 and table.concat(left_off, ',') or '-', number = s.number, version = 1, state = 'held',
    held_at = s.time, deadline = s.sale_clock + s.standby_hold, payment = '-', changes = integer(s.sequence + 1)}
end

-- The items of what places ask for besides the model.
local function extras(places)
  local items = {}
  for _, p in pairs(places) do
    for _, item in ipairs(items_of(p.model, p.packages, p.store)) do
      if item ~= 'model:' .. p.model then items[item] = true end
    end
  end
  local names = {}
  for item in pairs(items) do names[#names + 1] = item end
  return names
end

-- Grants units of these items that are set aside to the buyers who wait first, at most `most`, with a hold that lasts `standby_hold`;
-- what nobody waits for becomes free again. Other items than models are ignored.
-- Returns the number of grants, and whether there are more to make now; or nil and a refusal: then nothing was done.
local function grant(s, items, most)
  if s.standby ~= 1 or s.suspended == 1 or refusing_phase(s) then return 0, false end
  local asides = {}
  for _, item in ipairs(items) do
    asides[#asides + 1] = aside_of(item)
  end
  -- In one order, whatever the order of the items: packages may suffice for one model only.
  table.sort(asides)
  local aside, damage = fetch_stock(asides)
  if not aside then return nil, damage end
  -- Who is skipped costs as much as who is granted.
  local LOOKED_MAX = most + 64
  local number_before = s.number
  local stock, records, places, gone, lines, skipped, released = {}, {}, {}, {}, {}, {}, {}
  local looked, made, more = 0, 0, false
  local touched, totals, taken = {}, {}, {}

  local function grant_model(name)
    local model, left, after = name:sub(7), aside[name], 0
    while left > 0 do
      local count = math.min(left, most - made, LOOKED_MAX - looked)
      if count < 1 then
        more = true
        break
      end
      local buyers, members = waiting_buyers(model, after, count)
      local rows, texts, found = fetch(STANDBY, buyers), fetch(RECORDS, buyers), {}
      for i, buyer in ipairs(buyers) do
        local p = rows[buyer] and parse_place(rows[buyer])
        if not p or p.state ~= 'waiting' or members[i] ~= queue_member(p.model, p.number, buyer) then
          return damaged_place(buyer)
        end
        found[buyer] = p
      end
      local unknown = {}
      for _, item in ipairs(extras(found)) do
        if touched[item] == nil then unknown[#unknown + 1] = item end
      end
      local counters, limits = fetch(STOCK, unknown), fetch(TOTALS, unknown)
      for _, item in ipairs(unknown) do touched[item], totals[item] = counters[item], limits[item] end
      for i, buyer in ipairs(buyers) do
        local p = found[buyer]
        local record = texts[buyer] and parse_record(texts[buyer]) or {sub = p.sub, list = {}}
        if texts[buyer] and #record.list == 0 then return damaged_record(buyer) end
        looked, gone[#gone + 1] = looked + 1, members[i]
        if reached_limit(s, buyer, record.list) then
          p.state, skipped[#skipped + 1] = 'skipped', buyer .. ' ' .. p.sub
        else
          p.key = grant_key(s, buyer)
          local r = granted_row(s, p, touched, totals)
          record.list[#record.list + 1] = r
          records[buyer], lines[#lines + 1] = record, journal_line(buyer, record, r)
          p.state, made, left = 'granted', made + 1, left - 1
          -- As in reserve.lua, so that a lost set is noticed.
          if number_before == 0 then
            for _, item in ipairs(items_of(r.model, r.packages, r.store)) do taken[#taken + 1] = item end
          end
        end
        p.sequence = integer(s.sequence + 1)
        places[buyer] = format_place(p)
      end
      after = after + #buyers
      if #buyers < count then break end
    end
    if left > 0 and not more then
      -- Nobody waits for these.
      local free, why = fetch_stock({'model:' .. model})
      if not free then return why end
      stock['model:' .. model] = free['model:' .. model] + left
      released[#released + 1] = model .. ' ' .. integer(left)
      left = 0
    end
    if left ~= aside[name] then stock[name] = left end
  end

  for _, name in ipairs(asides) do
    damage = aside[name] > 0 and grant_model(name)
    if damage then
      s.number = number_before
      return nil, damage
    end
  end
  if next(stock) == nil and #gone == 0 then return 0, more end
  for item, free in pairs(touched) do
    if type(free) == 'number' then stock[item] = free end
  end
  s.held, s.waiting = s.held + made, s.waiting - #gone
  local entry = {}
  local function add(name, list, separator)
    if #list == 0 then return end
    entry[#entry + 1], entry[#entry + 2] = name, table.concat(list, separator)
  end
  if made > 0 then add('deadline', {integer(s.sale_clock + s.standby_hold)}) end
  add('data', lines, '\n')
  add('skipped', skipped, '\n')
  add('released', released, ' ')
  commit(s, 'grant', entry, flat(stock), record_texts(records), {number = s.number, waiting = s.waiting}, taken)
  store_pairs(STANDBY, flat(places))
  unqueue(gone)
  return made, more
end

-- Commits the change of one reservation; returns the reply. `stock` is a table of the changed items with their free
-- stock, `returned` lists the items that came back. `was` has "model packages" of before, if a confirmed reservation has
-- others now: confirmed counts go by the journal alone.
local function commit_change(s, kind, id, record, r, stock, returned, was)
  note_change(s, r)
  local buyer = id:sub(1, 20)
  local entry = {'data', journal_line(buyer, record, r), was and 'was', was}
  commit(s, kind, entry, flat(stock), {buyer, format_record(record)}, {}, returned)
  -- As of its own entry, and not of the grants that follow.
  local reply = {'ok', header(s), format_row(r)}
  -- Should a queue be damaged, what came back stays set aside, and the next tick reports the damage.
  if returned then grant(s, returned, #returned) end
  return reply
end
