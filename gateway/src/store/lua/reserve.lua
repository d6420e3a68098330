-- Decides a batch of taps, in their order, each exactly once. Denied at maxmemory.
--
-- Most batches are cheap: either all taps win (enough stock, only new buyers), or the read model has
-- refused taps that can't win before. So common work is done once, on whole columns of ARGV. Stock is
-- taken first if it suffices for all, and returned for taps that do not win.
--
-- ARGV  1 identity  2 known sequence  3 revision  4 number of taps n  5 number of items m
--       6 flags     a character for each tap: '.', 'p' packages and store may be left off, '?' an item is unknown
--       7 limits    a character for each item: '1' its stock has a limit, '0' it has none
--       8 who       a line for each tap: "sub key fingerprint", key being the key's 12 characters of the id
--       9 wants     a line for each tap: its items by position in the list from 1, model first, joined by ','
--       then four columns: m items of the batch, each once; m numbers of taps that request it;
--       n buyers (their 20 characters of the id, visible ASCII);
--       n rows, "sub key fingerprint model packages store -": the record without the decided fields
--       For a tap with an unknown item, wants and the items in its row are '?' and not counted.
-- Reply {'ok', header, "first deadline", letters, detail, …}: the number of the first winner, the
--       deadline of all; a letter for each tap, and in their order the details of those that have one:
--         W         won all requested items; the winners' numbers increase by one from the first
--         V row     won in part: the new reservation's row
--         R row     replayed: the current row
--         K         the key was used with another body
--         C, N, P   closed, not open yet, paused
--         G         the sale requires a sign-up, and this buyer has none
--         U         an item is unknown
--         L, A ids  purchase limit of what a buyer has (per_buyer), or ever started (attempts): those reservations
--         S items   sold out: the items, by position in the list, joined by ','
--         D         the buyer's record is damaged: nothing was decided for this tap
--       or {'revision', the ledger's}: nothing was decided, reload the definition, send again.
-- Example  "epoch incarnation" 0 1 1 2 . 10 "alice key-AAAAAAAA fingerprint" 1,2 model:air package:cover 1 1
--          aliceAAAAAAAAAAAAAAA "alice key-AAAAAAAA fingerprint air cover - -"
--       -> ok, "2 1700000000000 5000 1", "1 905000", W
-- In the journal the winners are columns, too: first, deadline, buyers, who, and wants, whose positions are those in
-- the entry's list of stock; "1,3;2" took the first and the third, the second was sold out.

if s.revision ~= tonumber(ARGV[3]) then return {'revision', integer(s.revision)} end

local count, items = tonumber(ARGV[4]), tonumber(ARGV[5])
local flags, limits = ARGV[6], ARGV[7]
local WHO, WANTS = 8, 9
local NAMES = 9
local DEMANDS = NAMES + items
local BUYERS = DEMANDS + items
local ROWS = BUYERS + count
local PARTIAL, UNKNOWN, LIMITED = ('p'):byte(), ('?'):byte(), ('1'):byte()

-- The stock before the batch.
local before = fetch_range(STOCK, ARGV, NAMES + 1, NAMES + items)
local texts = fetch_range(RECORDS, ARGV, BUYERS + 1, BUYERS + count)
-- The buyers' sign-ups, if the sale requires them.
local signups = s.signup_required == 1 and fetch_range(SIGNUPS, ARGV, BUYERS + 1, BUYERS + count)
local stop = ({closed = 'C', ['not-open'] = 'N', paused = 'P'})[refusing_phase(s)]
local plenty = not stop
local stock = {}
for i = 1, items do
  local free = tonumber(before[i])
  if not free then return {'damaged', STOCK .. ' has no number in ' .. ARGV[NAMES + i]} end
  local left = free - tonumber(ARGV[DEMANDS + i])
  before[i], stock[i] = free, left
  if left < 0 and limits:byte(i) == LIMITED then plenty = false end
end
if not plenty then
  for i = 1, items do stock[i] = before[i] end
end

-- Whether a decision depends on the clocks, and must stay valid: the sale has closed, or a hold has expired.
local goes_by_clocks = false

-- The decisions: records as buyer and text in turn, with the index of each buyer's text.
local records, place, winners, won_wants, letters, details = {}, {}, {}, {}, {}, {}
local first, deadline = s.number + 1, s.sale_clock + s.hold
local tail = ' 1 held ' .. integer(s.time) .. ' ' .. integer(deadline) .. ' - ' .. integer(s.sequence + 1)

local function win(i, buyer, text)
  s.number = s.number + 1
  local at = place[buyer]
  if not at then
    at = #records + 2
    records[at - 1], place[buyer] = buyer, at
  end
  records[at] = text
  winners[#winners + 1] = i
end

-- The lines of an argument, split at the first use, which is rare.
local split = {}
local function line(at, i)
  if not split[at] then
    split[at] = {}
    for text in ARGV[at]:gmatch('[^\n]+') do table.insert(split[at], text) end
  end
  return split[at][i]
end

local function wanted(i)
  local list = {}
  for at in line(WANTS, i):gmatch('%d+') do list[#list + 1] = tonumber(at) end
  return list
end

-- Takes all requested items (or, if partial, at least the model), or returns those that are sold out.
local function take(wants, partial)
  local got, gone = {}, {}
  for _, at in ipairs(wants) do
    local there = plenty or limits:byte(at) ~= LIMITED or stock[at] > 0
    table.insert(there and got or gone, at)
  end
  if #gone > 0 and (gone[1] == wants[1] or not partial) then return nil, partial and {wants[1]} or gone end
  if not plenty then
    for _, at in ipairs(got) do stock[at] = stock[at] - 1 end
  end
  return got, gone
end

local function may_reserve(i) return not signups or (signups[i] and signups[i]:sub(1, 2) ~= '0 ') end

-- "model packages store unavailable" of the items that were taken, and those that were sold out.
local function named(got, gone)
  local model, packages, store, left_off = nil, {}, '-', {}
  for _, at in ipairs(got) do
    local kind, id = ARGV[NAMES + at]:match('^(%a+):(.*)$')
    if kind == 'model' then model = id elseif kind == 'store' then store = id else table.insert(packages, id) end
  end
  for i, at in ipairs(gone) do left_off[i] = ARGV[NAMES + at] end
  return model .. ' ' .. (#packages > 0 and table.concat(packages, ',') or '-') .. ' ' .. store .. ' '
    .. table.concat(left_off, ',')
end

-- Decides a tap that the common path can't: its letter, and its detail if there is one.
local function decide(i, buyer)
  local sub, key, fingerprint, asked = ARGV[ROWS + i]:match('^(%S+) (%S+) (%S+) (.*)$')
  local text = place[buyer] and records[place[buyer]] or texts[i]
  local list = {}
  if text then
    local record = parse_record(text)
    if not record then return 'D' end
    list = record.list
    local r = find(record, key)
    if r and r.fingerprint ~= fingerprint then return 'K' end
    if r then
      goes_by_clocks = goes_by_clocks or is_expired(s, r)
      return 'R', format_row(r)
    end
  end
  if stop then
    goes_by_clocks = goes_by_clocks or stop == 'C'
    return stop
  end
  if not may_reserve(i) then return 'G' end
  if flags:byte(i) == UNKNOWN then return 'U' end
  local limit, ids = reached_limit(s, buyer, list)
  if limit then return limit, table.concat(ids, ' ') end

  local got, gone = take(wanted(i), flags:byte(i) == PARTIAL)
  if not got then return 'S', table.concat(gone, ',') end
  if #gone > 0 then
    asked = named(got, gone)
    won_wants[i] = table.concat(got, ',') .. ';' .. table.concat(gone, ',')
  end
  local row = key .. ' ' .. fingerprint .. ' ' .. asked .. ' ' .. integer(s.number + 1) .. tail
  win(i, buyer, text and (text .. '\n' .. row) or (sub .. ' ' .. row))
  if #gone > 0 then return 'V', row end
  return 'W'
end

for i = 1, count do
  local buyer = ARGV[BUYERS + i]
  if plenty and not texts[i] and not place[buyer] and flags:byte(i) ~= UNKNOWN and may_reserve(i) then
    win(i, buyer, ARGV[ROWS + i] .. ' ' .. integer(s.number + 1) .. tail)
    letters[i] = 'W'
  else
    local letter, detail = decide(i, buyer)
    letters[i] = letter
    details[#details + 1] = detail
    if plenty and letter ~= 'W' then
      for _, at in ipairs(wanted(i)) do stock[at] = stock[at] + 1 end
    end
  end
end

if #winners > 0 then
  local buyers, who, wants
  if #winners == count and next(won_wants) == nil then
    buyers, who, wants = table.concat(ARGV, ' ', BUYERS + 1, BUYERS + count), ARGV[WHO], ARGV[WANTS]
  else
    buyers, who, wants = {}, {}, {}
    for n, i in ipairs(winners) do
      buyers[n], who[n], wants[n] = ARGV[BUYERS + i], line(WHO, i), won_wants[i] or line(WANTS, i)
    end
    buyers, who, wants = table.concat(buyers, ' '), table.concat(who, '\n'), table.concat(wants, '\n')
  end
  local left, taken = {}, {}
  for i = 1, items do
    left[2 * i - 1], left[2 * i] = ARGV[NAMES + i], integer(stock[i])
    if first == 1 and stock[i] < before[i] then taken[#taken + 1] = ARGV[NAMES + i] end
  end
  s.held = s.held + #winners
  commit(s, 'reserve', {'first', integer(first), 'deadline', integer(deadline), 'buyers', buyers, 'who', who, 'wants', wants},
    left, records, {number = s.number}, taken)
elseif goes_by_clocks then
  note_clocks(s)
end
return {'ok', header(s), integer(first) .. ' ' .. integer(deadline), table.concat(letters), unpack(details)}
