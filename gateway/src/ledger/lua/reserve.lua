-- Decides a batch of taps, in their order, each exactly once. Denied at maxmemory.
--
-- ARGV  1 run_id  2 revision  3 known sequence  4 number of items n
--       5 .. 4+n   the items that the batch names, each once, '+' before those without a limit
--       then for each tap four values:
--         id            20 characters of the buyer, 12 of the key
--         sub           the buyer
--         fingerprint   of the request, 11 characters
--         wants         "MODEL PACKAGES STORE PARTIAL", the items by their place in the list from 1,
--                       packages joined by ',', '-' for no package; or "?" when one is unknown
-- Reply {'ok', header, answer, …}, one answer a tap, its first letter saying which:
--         W line   won: the new reservation's line
--         R line   replayed: the line as it stands
--         K        the key was used with another body
--         C, N, P  closed, not open yet, paused
--         U        an item is unknown
--         L ids    purchase limit: the ids that the buyer has
--         S items  sold out: the items, by their place in the list, joined by ','
--         D        the buyer's record is damaged: nothing was decided for this one
--       or {'revision', the ledger's}: nothing was decided, reload the definition, send again.
-- Example  ARGV run_id 1 0 2 model:air +package:cover aliceAAAAAAAAAAAAAAAkey-AAAAAAAA alice fingerprint "1 2 - 0"
--       -> ok, "2 1700000000000 5000 1", "Wkey-AAAAAAAA 1 1 held air cover - - fingerprint 1700000000000 905000 - 2"

local s, refusal = open(ARGV[1], ARGV[3])
if not s then return refusal end
if s.revision ~= tonumber(ARGV[2]) then return {'revision', whole(s.revision)} end

local count = tonumber(ARGV[4])
local names, limited = {}, {}
for i = 1, count do
  local name = ARGV[4 + i]
  limited[i] = name:sub(1, 1) ~= '+'
  names[i] = limited[i] and name or name:sub(2)
end
local stock
stock, refusal = fetch_stock(names)
if not stock then return refusal end

local first = 5 + count
local buyers = {}
for at = first, #ARGV, 4 do buyers[#buyers + 1] = ARGV[at]:sub(1, 20) end
local texts = fetch(RECORDS, buyers)

local stop = standstill(s)
local stop_letter = stop and ({closed = 'C', ['not-open'] = 'N', paused = 'P'})[stop]
local records, written, changed, taken, seen, lines, replies = {}, {}, {}, {}, {}, {}, {}

-- The ids that count against the limits of this buyer, or nil while there is room for one more.
local function at_limit(buyer, list)
  local active, all = {}, {}
  for i = 1, #list do
    local r = list[i]
    all[i] = buyer .. r.key
    if r.state == 'confirmed' or (r.state == 'held' and not lapsed(s, r)) then active[#active + 1] = all[i] end
  end
  if #active >= s.per_buyer then return active end
  if #all >= s.attempts then return all end
end

-- Takes what is wanted if it is all there (or, if partial, the model), or says which is gone.
local function take(wants, partial)
  local gone, got = {}, {}
  for i = 1, #wants do
    local at = wants[i]
    if limited[at] and stock[names[at]] < 1 then gone[#gone + 1] = at else got[#got + 1] = at end
  end
  local model_gone = gone[1] == wants[1]
  if #gone > 0 and (model_gone or not partial) then return nil, partial and {wants[1]} or gone end
  for i = 1, #got do
    local name = names[got[i]]
    stock[name] = stock[name] - 1
    changed[name] = stock[name]
    if not seen[name] then
      seen[name] = true
      taken[#taken + 1] = name
    end
  end
  return got, gone
end

local function bare(name) return (name:gsub('^%a+:', '')) end

local function decide(id, sub, fingerprint, wanted)
  local buyer, key = id:sub(1, 20), id:sub(21)
  local record = records[buyer]
  if not record then
    if texts[buyer] then record = parse_record(texts[buyer]) else record = {sub = sub, list = {}} end
    if not record then return 'D' end
    records[buyer] = record
  end
  local r = find(record, key)
  if r then
    if r.fingerprint ~= fingerprint then return 'K' end
    return 'R' .. format_line(r)
  end
  if stop_letter then return stop_letter end
  if wanted == '?' then return 'U' end
  local limit = at_limit(buyer, record.list)
  if limit then return 'L' .. table.concat(limit, ' ') end

  local model, packages, store, partial = wanted:match('^(%d+) (%S+) (%d+) (%d)$')
  local wants = {tonumber(model)}
  for at in packages:gmatch('%d+') do wants[#wants + 1] = tonumber(at) end
  wants[#wants + 1] = tonumber(store)
  local got, gone = take(wants, partial == '1')
  if not got then return 'S' .. table.concat(gone, ',') end

  local got_packages, got_store, left_off = {}, '-', {}
  for i = 2, #got do
    local name = names[got[i]]
    if name:sub(1, 6) == 'store:' then got_store = bare(name) else got_packages[#got_packages + 1] = bare(name) end
  end
  for i = 1, #gone do left_off[i] = names[gone[i]] end
  s.number = s.number + 1
  s.held = s.held + 1
  r = {key = key, number = s.number, version = 1, state = 'held', model = bare(names[wants[1]]),
    packages = #got_packages > 0 and table.concat(got_packages, ',') or '-', store = got_store,
    unavailable = #left_off > 0 and table.concat(left_off, ',') or '-', fingerprint = fingerprint,
    held_at = s.time, deadline = s.sale_clock + s.hold, payment = '-', changes = '-'}
  touch(s, r)
  record.list[#record.list + 1] = r
  written[buyer] = record
  lines[#lines + 1] = journal_line(buyer, record, r)
  return 'W' .. format_line(r)
end

for at = first, #ARGV, 4 do
  replies[#replies + 1] = decide(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end

if #lines > 0 then
  local texts_now = {}
  for buyer, record in pairs(written) do texts_now[buyer] = format_record(record) end
  commit(s, 'reserve', {'data', table.concat(lines, '\n')}, changed, texts_now, {number = s.number}, taken)
end
return {'ok', header(s), unpack(replies)}
