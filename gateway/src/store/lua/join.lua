-- Lets a batch of buyers join standby queues, in their order. Denied at maxmemory.
--
-- A request that changes nothing is answered also when the sale is closed or paused: it is a retry.
-- ARGV  1 identity  2 known sequence  3 revision  4 … a line for each: "buyer sub choice", and " ?" behind it if an item is unknown
-- Reply {'ok', header, first, letters, detail, …}: the number of the first new place; a letter for each, and in their order the
--       details of those that have one:
--         J position           joined; the numbers of new places increase by one from the first
--         M position           was waiting for another model: the same
--         W "number position"  waits for the same model, with other packages or another store now
--         S "number position sequence"  waits for this already
--         H "number choice row"         has been granted this reservation, which is not over
--         C, N, P              closed, not open yet, paused
--         G                    the sale requires a sign-up, and this buyer has none
--         U                    an item is unknown
--         L, A ids             purchase limit of what a buyer has (per_buyer), or ever started (attempts): those reservations
--         I                    the model can be reserved
--         F                    the queue is full
--         D                    the buyer's place or record is damaged: nothing was decided
--       or {'revision', the ledger's}: nothing was decided, reload the definition, send again;
--       {'none'}: the sale has no standby queues.
-- Example  "epoch incarnation" 3 1 "aliceAAAAAAAAAAAAAAA alice air/cover/" -> ok, "4 …", 1, J, 1

if s.revision ~= tonumber(ARGV[3]) then return {'revision', integer(s.revision)} end
if s.standby ~= 1 then return {'none'} end

local FIRST = 4
local buyers, subs, choices, unknown, models = {}, {}, {}, {}, {}
for i = FIRST, #ARGV do
  local n = i - FIRST + 1
  buyers[n], subs[n], choices[n], unknown[n] = ARGV[i]:match('^(%S+) (%S+) (%S+)( ?%??)$')
  models[n] = choices[n]:match('^[^/]+')
end
local rows, texts = fetch(STANDBY, buyers), fetch(RECORDS, buyers)
local signups = s.signup_required == 1 and fetch(SIGNUPS, buyers)
local items = {}
for n, model in ipairs(models) do items[n] = 'model:' .. model end
local stock, totals = fetch(STOCK, items), fetch(TOTALS, items)
local stop = ({closed = 'C', ['not-open'] = 'N', paused = 'P'})[refusing_phase(s)]

local first, was_empty = s.last_place + 1, s.last_place == 0
-- The places as they are now, by buyer, and how many wait by model.
local known, waiting = {}, {}
local changed, added, removed, lines, letters, details = {}, {}, {}, {}, {}, {}
local went_by_time = false

local function waiting_for(model)
  waiting[model] = waiting[model] or count_waiting(model)
  return waiting[model]
end

-- How many wait before this place, and this one.
local function position(p, buyer)
  return p.position or redis.call('ZLEXCOUNT', QUEUE, (queue_range(p.model)), '[' .. queue_member(p.model, p.number, buyer))
end

-- Lets the n-th buyer wait at a place of this number and position.
local function put(n, number, at)
  local p = {sub = subs[n], state = 'waiting', choice = choices[n], number = number, model = models[n],
    sequence = integer(s.sequence + 1), position = at}
  known[buyers[n]], changed[buyers[n]] = p, format_place(p)
end

local function decide(n)
  local buyer, model = buyers[n], models[n]
  local p = known[buyer]
  if not p and rows[buyer] then
    p = parse_place(rows[buyer])
    if not p then return 'D' end
    known[buyer] = p
  end
  local record = texts[buyer] and parse_record(texts[buyer]) or {list = {}}
  if texts[buyer] and #record.list == 0 then return 'D' end
  if p and p.state == 'waiting' and p.choice == choices[n] then
    return 'S', integer(p.number) .. ' ' .. integer(position(p, buyer)) .. ' ' .. p.sequence
  end
  local r = p and p.state == 'granted' and find(record, p.key)
  local limit, ids = reached_limit(s, buyer, record.list)
  -- A buyer with room for more may wait for something else.
  if r and is_active(s, r) and (p.choice == choices[n] or limit) then
    return 'H', integer(p.number) .. ' ' .. p.choice .. ' ' .. format_row(r)
  end
  if stop then
    went_by_time = went_by_time or stop == 'C'
    return stop
  end
  local signup = signups and signups[buyer]
  if signups and (not signup or signup:sub(1, 2) == '0 ') then return 'G' end
  if unknown[n] ~= '' then return 'U' end
  local is_waiting = p and p.state == 'waiting'
  if is_waiting and p.model == model then
    lines[#lines + 1] = subs[n] .. ' ' .. choices[n] .. ' ' .. integer(p.number)
    put(n, p.number, p.position)
    return 'W', integer(p.number) .. ' ' .. integer(position(p, buyer))
  end
  if limit then return limit, table.concat(ids, ' ') end
  if not totals['model:' .. model] or tonumber(stock['model:' .. model] or 0) > 0 then return 'I' end
  if s.standby_max > 0 and waiting_for(model) >= s.standby_max then return 'F' end

  if is_waiting then
    waiting[p.model] = waiting_for(p.model) - 1
    local member = queue_member(p.model, p.number, buyer)
    -- It may have joined in this very batch.
    if added[member] then added[member] = nil else removed[#removed + 1] = member end
  else
    s.waiting = s.waiting + 1
  end
  s.last_place = s.last_place + 1
  lines[#lines + 1] = subs[n] .. ' ' .. choices[n]
  waiting[model] = waiting_for(model) + 1
  put(n, s.last_place, waiting[model])
  added[queue_member(model, s.last_place, buyer)] = true
  return is_waiting and 'M' or 'J', integer(waiting[model])
end

for n = 1, #buyers do
  local letter, detail = decide(n)
  letters[n] = letter
  details[#details + 1] = detail
end

if #lines > 0 then
  local state = {waiting = s.waiting, last_place = s.last_place}
  -- There is no grant before the first place.
  if was_empty then state.swept_grants = s.sequence end
  commit(s, 'join', {'first', integer(first), 'places', table.concat(lines, '\n')}, {}, {}, state)
  store_pairs(STANDBY, flat(changed))
  unqueue(removed)
  enqueue(list_of(added))
elseif went_by_time then
  note_clocks(s)
end
return {'ok', header(s), integer(first), table.concat(letters), unpack(details)}
