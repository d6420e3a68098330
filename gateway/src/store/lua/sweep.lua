-- The sweep of due holds, a prelude for the scripts that sweep: expire.lua and replay.lua.

-- One bounded sweep: expires holds past their deadline and grace, and returns their stock.
--
-- All holds of a sale last equally long, so they end in the journal's order: `swept` in the state is the sequence up to
-- which all holds are done. The reservations of one batch have one deadline, so an entry is swept whole.
-- `mark` lists further fields of its entry, if any.
-- Returns the number of expired holds, whether there may be more to sweep now, and "due made" of the first remaining
-- batch ('' if none was seen); or nil and a refusal.
local function sweep(s, count, mark)
  local function entries_after(n)
    return redis.call('XRANGE', JOURNAL, '(' .. integer(s.swept), '+', 'COUNT', n)
  end

  local function damaged_entry(entry, what)
    return {'damaged', JOURNAL .. ' does not have ' .. what .. ' in entry ' .. entry[1]}
  end

  -- The fields of an entry, with the due time of its holds, if any; nil and a refusal if the entry is unreadable.
  local function read_entry(entry)
    local fields = {}
    for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
    if fields.kind ~= 'reserve' then return fields end
    local deadline = tonumber(fields.deadline)
    if not deadline then return nil, damaged_entry(entry, 'a deadline') end
    if not (fields.buyers and fields.who) then return nil, damaged_entry(entry, 'buyers and their keys') end
    fields.due = deadline + s.grace
    return fields
  end

  -- Mostly nothing is due, and the next entry shows it.
  local head = entries_after(1)[1]
  if not head then return 0, false, '' end
  local fields, refusal = read_entry(head)
  if not fields then return nil, refusal end
  -- A buyer's part of an id has 20 characters, with a blank between two.
  local function first_left() return integer(fields.due) .. ' ' .. integer((#fields.buyers + 1) / 21) end

  if fields.due and s.sale_clock < fields.due then return 0, false, first_left() end

  local entries = entries_after(count)
  local buyers, keys, swept, more = {}, {}, s.swept, #entries == count
  -- Bounds the reply even if every entry is a full batch.
  local HOLDS_MAX = 512
  local left = ''

  for _, entry in ipairs(entries) do
    fields, refusal = read_entry(entry)
    if not fields then return nil, refusal end
    if fields.due then
      if s.sale_clock < fields.due then
        more, left = false, first_left()
        break
      end
      if #buyers >= HOLDS_MAX then
        more, left = true, first_left()
        break
      end
      for buyer in fields.buyers:gmatch('%S+') do buyers[#buyers + 1] = buyer end
      for key in fields.who:gmatch('%S+ (%S+) %S+') do keys[#keys + 1] = key end
      if #buyers ~= #keys then return nil, damaged_entry(entry, 'as many buyers as keys') end
    end
    swept = tonumber(entry[1]:match('^%d+'))
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

  if expired > 0 then
    local names = {}
    for item in pairs(returned) do names[#names + 1] = item end
    local stock, damage = fetch_stock(names)
    if not stock then return nil, damage end
    for item, n in pairs(returned) do stock[item] = stock[item] + n end
    s.held, s.expired = s.held - expired, s.expired + expired
    local entry = {'data', table.concat(lines, '\n'), unpack(mark or {})}
    commit(s, 'expire', entry, flat(stock), record_texts(records), {swept = swept}, names)
  elseif swept ~= s.swept then
    store_pairs(STATE, {'swept', integer(swept)})
  end
  s.swept = swept
  return expired, more, left
end

