-- The sweep of due holds, a prelude for the scripts that sweep: expire.lua and replay.lua.

-- All holds of taps last equally long, and so do all granted ones: each kind ends in the journal's order. A cursor in the state is the
-- sequence up to which all its holds are done. The reservations of one entry have one deadline, so an entry is swept whole.
local CURSORS = {{field = 'swept', kind = 'reserve'}, {field = 'swept_grants', kind = 'grant'}}

local function damaged_entry(entry, what)
  return {'damaged', JOURNAL .. ' does not have ' .. what .. ' in entry ' .. entry[1]}
end

-- The due time of an entry's holds, their buyers and keys; nothing of one of another kind, nil and a refusal if it is unreadable.
local function read_holds(s, entry, kind)
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  -- Who was skipped holds nothing.
  if fields.kind ~= kind or (kind == 'grant' and not fields.data) then return {} end
  local deadline = tonumber(fields.deadline)
  if not deadline then return nil, damaged_entry(entry, 'a deadline') end
  local holds = {due = deadline + s.grace, buyers = {}, keys = {}}
  local function note(buyer, key)
    holds.buyers[#holds.buyers + 1] = buyer
    holds.keys[#holds.keys + 1] = key
  end
  if kind == 'grant' then
    for buyer, key in ('\n' .. fields.data):gmatch('\n(%S+) %S+ (%S+)') do note(buyer, key) end
    return holds
  end
  if not (fields.buyers and fields.who) then return nil, damaged_entry(entry, 'buyers and their keys') end
  local next_key = fields.who:gmatch('%S+ (%S+) %S+')
  for buyer in fields.buyers:gmatch('%S+') do note(buyer, next_key()) end
  if #holds.buyers ~= #holds.keys or next_key() then return nil, damaged_entry(entry, 'as many buyers as keys') end
  return holds
end

-- One bounded sweep: expires holds past their deadline and grace, and returns their stock. `mark` lists further fields of its entry,
-- if any. Each cursor reads at most `count` entries.
-- Returns the number of expired holds, whether there may be more to sweep now, "due made" of the first remaining batch ('' if none
-- was seen), and the items that came back; or nil and a refusal.
local function sweep(s, count, mark)
  -- Bounds the reply even if every entry is a full batch.
  local HOLDS_MAX = 512
  local buyers, keys, moved, more, left = {}, {}, {}, false, nil

  local function note_left(holds)
    if not left or holds.due < left.due then left = {due = holds.due, made = #holds.buyers} end
  end

  -- Collects what is due behind one cursor; returns a refusal if an entry is unreadable.
  local function collect(cursor)
    local swept = s[cursor.field]
    local function entries_after(n) return redis.call('XRANGE', JOURNAL, '(' .. integer(swept), '+', 'COUNT', n) end

    -- Mostly nothing is due, and the next entry shows it.
    local head = entries_after(1)[1]
    if not head then return nil end
    local holds, refusal = read_holds(s, head, cursor.kind)
    if not holds then return refusal end
    if holds.due and s.sale_clock < holds.due then
      note_left(holds)
      return nil
    end

    local entries = entries_after(count)
    local is_full = #entries == count
    for _, entry in ipairs(entries) do
      holds, refusal = read_holds(s, entry, cursor.kind)
      if not holds then return refusal end
      if holds.due then
        if s.sale_clock < holds.due then
          is_full = false
          note_left(holds)
          break
        end
        if #buyers >= HOLDS_MAX then
          is_full = true
          note_left(holds)
          break
        end
        for i, buyer in ipairs(holds.buyers) do
          buyers[#buyers + 1], keys[#keys + 1] = buyer, holds.keys[i]
        end
      end
      swept = tonumber(entry[1]:match('^%d+'))
    end
    more = more or is_full
    if swept ~= s[cursor.field] then moved[cursor.field] = swept end
  end

  for _, cursor in ipairs(CURSORS) do
    -- Before the first place of a standby queue there are no grants.
    if cursor.kind == 'reserve' or (s.last_place or 0) > 0 then
      local refusal = collect(cursor)
      if refusal then return nil, refusal end
    end
  end

  local texts = fetch(RECORDS, buyers)
  local records, returned, lines, expired = {}, {}, {}, 0
  for i, buyer in ipairs(buyers) do
    local record = records[buyer] or (texts[buyer] and parse_record(texts[buyer]))
    local r = record and find(record, keys[i])
    if not r then return nil, damaged_record(buyer) end
    if r.state == 'held' then
      r.state = 'expired'
      note_change(s, r)
      records[buyer] = record
      expired = expired + 1
      lines[expired] = journal_line(buyer, record, r)
      for _, item in ipairs(items_of(r.model, r.packages, r.store)) do returned[item] = (returned[item] or 0) + 1 end
    end
  end

  local names = {}
  if expired > 0 then
    for item in pairs(returned) do names[#names + 1] = item end
    local stock, damage = give_back(s, returned)
    if not stock then return nil, damage end
    s.held, s.expired = s.held - expired, s.expired + expired
    local entry = {'data', table.concat(lines, '\n'), unpack(mark or {})}
    for field, swept in pairs(moved) do s[field] = swept end
    local cursors = {swept = s.swept, swept_grants = s.swept_grants}
    commit(s, 'expire', entry, flat(stock), record_texts(records), cursors, names)
  elseif next(moved) then
    store_pairs(STATE, flat(moved))
    for field, swept in pairs(moved) do s[field] = swept end
  end
  return expired, more, left and (integer(left.due) .. ' ' .. integer(left.made)) or '', names
end

