-- The prelude of the scripts in scripts.rs: keys, types, clocks, the text of a reservation, and the only commit.
--
-- KEYS of every script, in this order, all with the sale's hash tag (see keys.rs):
--   1 state       hash     incarnation, sequence, revision, clocks, terms, controls, counts of reservations and limits,
--                          `gap` (see replay.lua), and the sequences of the latest operator actions
--   2 stock       hash     item -> total - taken; an item without a limit counts down from 0. `aside:MODEL`: units that came back and
--                          are not free, but for the buyers who wait (see grants.lua)
--   3 records     hash     buyer's part of the id -> "sub " and one row for each reservation
--   4 journal     stream   one entry for each change, id <sequence>-0
--   5 taken       set      items that came back, so that a definition can't remove what was ever taken; and
--                          those of the first batch, so that a lost set is noticed
--   6 totals      hash     item -> total, for items with a limit
--   7 definition  string   the definition as last applied, JSON
--   8 signups     hash     buyer's part of the id -> "number sequence" of the sign-up, the sequence being that of its latest
--                          change; number 0: withdrawn
--   9 standby     hash     buyer's part of the id -> the buyer's place in a standby queue (see places.lua)
--  10 queue       zset     who waits, by model and in order
--
-- A script that fails is not rolled back. So everything is read and checked first, every key's type
-- included. The write that can still fail (XADD, if an id is not larger than the last) comes first.
--
-- The first argument of a script that changes something is the identity of the expected ledger: the
-- epoch of the Redis that the connection was opened to, a blank, and the sale's incarnation. A sale
-- that is purged and applied again, imported, or deleted by hand has another incarnation:
-- 14 hexadecimal digits of TIME in µs, then 18 random ones, so that a later one is the larger text.
--
-- Reply of every script: {'ok', ...} or {REFUSAL, detail}. A refusal of the ledger itself:
--   missing      the sale does not exist
--   incarnation  the ledger's incarnation and epoch: the caller expects another incarnation
--   damaged      a key in words: its type or a field of it is wrong, or it is missing
--   epoch        the epoch in the sale's state: the caller's Redis has another one
--   behind       the ledger's sequence: it is older than what the caller has seen
--   newer        the ledger's format: a later version of the gateway wrote it

local STATE, STOCK, RECORDS, JOURNAL, TAKEN, TOTALS, DEFINITION, SIGNUPS, STANDBY, QUEUE = unpack(KEYS)
local TYPES = {'hash', 'hash', 'hash', 'stream', 'set', 'hash', 'string', 'hash', 'hash', 'zset'}

-- The most that one tick advances the sale clock: an outage or a step of TIME returns the rest to the holders.
local TICK_MAX_MS = 2000

-- unpack() fails at several thousand values.
local CHUNK = 1000

-- The format of the ledger. A later one is refused: gateways of two versions may run side by side, and
-- the older must not write what the newer can't read. A ledger without the field has format 1.
--   2  the state has the sale's incarnation; rows have subs of any provider and a bounded list of changes
--   3  the sale takes sign-ups or has standby queues: only such a definition makes it, so that no other sale shuts out older gateways
--   4  the sale sells by a draw: likewise
local FORMAT = 4

local NUMBERS = {'sequence', 'revision', 'number', 'now', 'clock', 'tick', 'paused', 'frozen', 'closed',
  'opens', 'closes', 'hold', 'grace', 'per_buyer', 'attempts', 'held', 'confirmed', 'cancelled', 'expired',
  'swept', 'limits'}
-- From format 3 on: the terms of sign-up and standby, how many buyers are signed up and how many wait, the last numbers that were
-- given, and the second cursor of the sweep.
local FURTHER_NUMBERS = {'signup_opens', 'signup_closes', 'signup_required', 'signed_up', 'last_signup', 'standby', 'standby_hold',
  'standby_max', 'suspended', 'waiting', 'last_place', 'swept_grants'}
-- From format 4 on: when the allocation of a draw starts, 0 if the sale has none; how many entrants there are, and to how many of
-- them, in order of rank, something was allocated or nothing could be; and the sequences of the entries that fixed the entrants, drew
-- the seed, and ended the allocation, 0 before. Besides them the state has the texts `draw_secret`, `draw_root`, `draw_reveal`,
-- `draw_beacon` and `draw_seed`, in hexadecimal.
local DRAW_NUMBERS = {'draw_opens', 'entrants', 'allocated', 'fixed_in', 'drawn_in', 'allocated_in'}

-- The opening instant of a sale until the allocation of its draw is over, so that reserve.lua and join.lua need not know of draws:
-- the last millisecond of the year 9999.
local NEVER = 253402300799999

-- A whole number as text; Lua's and Redis's own conversion takes twice as long.
local function integer(n) return string.format('%d', n) end

-- The incarnation of a ledger of the first format, derived from its first entry, so that every reader
-- gets the same; nil without such an entry. The next tick or change stores it (see `upgrade`).
local function derive_incarnation()
  if redis.call('TYPE', JOURNAL).ok ~= 'stream' then return nil end
  local first = redis.call('XRANGE', JOURNAL, '-', '+', 'COUNT', 1)[1]
  if not first then return nil end
  local at
  for i = 1, #first[2], 2 do
    if first[2][i] == 'at' then at = tonumber(first[2][i + 1]) end
  end
  return string.format('%014x', (at or 0) * 1000) .. redis.sha1hex(table.concat(first[2], '\n')):sub(1, 18)
end

-- The text for a key, by its place in KEYS, that has another type than it should have.
local function wrong_type(i, got)
  return KEYS[i] .. (got == 'none' and ' is gone' or ' is a ' .. got) .. ', should be a ' .. TYPES[i]
end

-- The wrong types of keys, one text for each key. Before the first reservation there are neither
-- records nor taken items; without any limit there are no totals; before the first sign-up there are no sign-ups, before the first
-- place no places, and no queue while nobody waits.
local function find_damages(s)
  local list = {}
  for i = 1, s.format < 3 and 7 or 10 do
    local got = redis.call('TYPE', KEYS[i]).ok
    local may_miss = (i == 6 and s.limits == 0) or ((i == 3 or i == 5) and s.number == 0) or (i == 8 and s.last_signup == 0)
      or (i == 9 and s.last_place == 0) or (i == 10 and s.waiting == 0)
    if got ~= TYPES[i] and not (got == 'none' and may_miss) then list[#list + 1] = wrong_type(i, got) end
  end
  return list
end

-- The state as a table of numbers, with `time` (TIME, kept from running backwards) and
-- `sale_clock` computed; or nil and the refusal. It writes nothing.
local function read_state()
  local kind = redis.call('TYPE', STATE).ok
  -- A sale with a journal but without a state is damaged, not missing.
  if kind == 'none' and redis.call('EXISTS', JOURNAL) == 0 then return nil, {'missing'} end
  if kind ~= 'hash' then return nil, {'damaged', wrong_type(1, kind)} end
  local values = redis.call('HMGET', STATE, 'epoch', 'format', 'incarnation', unpack(NUMBERS))
  local s = {epoch = values[1], format = tonumber(values[2] or 1) or 0, incarnation = values[3]}
  if s.format > FORMAT then
    return nil, {'newer', values[2]}
  end
  if not s.incarnation and s.format < 2 then s.incarnation = derive_incarnation() end
  if not s.incarnation then return nil, {'damaged', STATE .. ' has no incarnation'} end
  local function read_numbers(names, found, before)
    for i = 1, #names do
      s[names[i]] = tonumber(found[i + before])
      if not s[names[i]] then return {'damaged', STATE .. ' has no number in ' .. names[i]} end
    end
  end
  local damage = read_numbers(NUMBERS, values, 3)
  if damage then return nil, damage end
  if s.format > 2 then
    damage = read_numbers(FURTHER_NUMBERS, redis.call('HMGET', STATE, unpack(FURTHER_NUMBERS)), 0)
    if damage then return nil, damage end
  end
  if s.format > 3 then
    damage = read_numbers(DRAW_NUMBERS, redis.call('HMGET', STATE, unpack(DRAW_NUMBERS)), 0)
    if damage then return nil, damage end
  end
  if not s.epoch then return nil, {'damaged', STATE .. ' has no epoch'} end
  s.raw = now()
  s.time = math.max(s.raw, s.now)
  s.step = s.frozen == 1 and 0 or math.min(math.max(s.raw - s.tick, 0), TICK_MAX_MS)
  s.sale_clock = s.clock + s.step
  return s
end

-- The refusal if the caller expects another incarnation of the sale.
local function check_incarnation(s, identity)
  if identity:sub(-32) ~= s.incarnation then return {'incarnation', s.incarnation, s.epoch} end
end

-- The refusal if the state has another epoch, or the ledger is older than what the caller has seen.
local function check_epoch(s, identity, known)
  if identity:sub(1, -34) ~= s.epoch then return {'epoch', s.epoch} end
  if s.sequence < tonumber(known) then return {'behind', integer(s.sequence)} end
end

-- Reads the state, and refuses another incarnation, a damaged ledger, another epoch, or an older ledger.
local function open_ledger(identity, known)
  local s, refusal = read_state()
  if not s then return nil, refusal end
  refusal = check_incarnation(s, identity)
  if refusal then return nil, refusal end
  local bad = find_damages(s)
  if #bad > 0 then return nil, {'damaged', table.concat(bad, '; ')} end
  refusal = check_epoch(s, identity, known)
  if refusal then return nil, refusal end
  return s
end

-- The phase that stops new reservations, or nil: closed > not open > paused.
local function refusing_phase(s)
  if s.closed == 1 or s.time >= s.closes then return 'closed' end
  if s.time < s.opens then return 'not-open' end
  if s.paused == 1 then return 'paused' end
end

-- The field and value that an operator action sets in the state; nil for an unknown action.
local function control_of(action)
  local field = ({pause = 'paused', resume = 'paused', freeze = 'frozen', unfreeze = 'frozen', close = 'closed',
    ['standby-suspend'] = 'suspended', ['standby-resume'] = 'suspended'})[action]
  return field, (action == 'resume' or action == 'unfreeze' or action == 'standby-resume') and 0 or 1
end

-- What an operator action stores in the state: also in which entry, so that who did it and why is found there.
local function control_state(s, field, value)
  return {[field] = value, [field .. '_in'] = s.sequence + 1}
end

-- The fields list[from] to list[to] of a hash, as a list in their order; absent ones are false.
local function fetch_range(key, list, from, to)
  if to - from < CHUNK then return to < from and {} or redis.call('HMGET', key, unpack(list, from, to)) end
  local found = {}
  for start = from, to, CHUNK do
    local values = redis.call('HMGET', key, unpack(list, start, math.min(start + CHUNK - 1, to)))
    for i = 1, #values do found[#found + 1] = values[i] end
  end
  return found
end

-- Many fields of a hash as a table field -> value; absent ones are false.
local function fetch(key, fields)
  local values, found = fetch_range(key, fields, 1, #fields), {}
  for i = 1, #fields do found[fields[i]] = values[i] end
  return found
end

-- The counters of the named items; nil and a refusal if one has no number. Before the first, nothing is set aside.
local function fetch_stock(items)
  local found = fetch(STOCK, items)
  for item, value in pairs(found) do
    local n = tonumber(value or (item:sub(1, 6) == 'aside:' and 0 or nil))
    if not n then return nil, {'damaged', STOCK .. ' has no number in ' .. item} end
    found[item] = n
  end
  return found
end

-- A table as fields and values in turn, numbers as text: the form of hash writes and of commit's arguments.
local function flat(map)
  local list = {}
  for field, value in pairs(map) do
    list[#list + 1] = field
    list[#list + 1] = type(value) == 'number' and integer(value) or value
  end
  return list
end

local function store_pairs(key, list)
  for from = 1, #list, CHUNK do
    redis.call('HSET', key, unpack(list, from, math.min(from + CHUNK - 1, #list)))
  end
end

-- Upgrades a ledger of the first format: adds to the fields of the state that are about to be written.
local function upgrade(s, state)
  if s.format < 2 then state.format, state.incarnation = state.format or 2, s.incarnation end
end

-- Stores the current clocks, so that a decision by them stays valid if TIME steps back.
local function note_clocks(s)
  local state = {now = s.time, tick = s.raw, clock = s.sale_clock}
  upgrade(s, state)
  store_pairs(STATE, flat(state))
end

-- A reservation's row in its buyer's record, '-' for an empty field, packages and unavailable joined by ',':
--   key fingerprint model packages store unavailable number version state held_at deadline payment changes
-- `changes` is the sequence of its latest change, preceded by that of the change before it and a ','. No field
-- has a space or is a lone '-' (see domain/reservation.rs); a blank in a sub is written as '␣' (domain/subject.rs). Fields known
-- before the decision come first, so that reserve.lua only appends the others.
local ROW = '^' .. string.rep('(%S+) ', 12) .. '(%S+)$'

local function parse_row(row)
  local key, fingerprint, model, packages, store, unavailable, number, version, state, held_at, deadline,
    payment, changes = row:match(ROW)
  if not key then return nil end
  number, version, held_at, deadline = tonumber(number), tonumber(version), tonumber(held_at), tonumber(deadline)
  if not (number and version and held_at and deadline) then return nil end
  return {key = key, fingerprint = fingerprint, model = model, packages = packages, store = store,
    unavailable = unavailable, number = number, version = version, state = state, held_at = held_at, deadline = deadline,
    payment = payment, changes = changes}
end

local function format_row(r)
  return r.key .. ' ' .. r.fingerprint .. ' ' .. r.model .. ' ' .. r.packages .. ' ' .. r.store .. ' '
    .. r.unavailable .. ' ' .. integer(r.number) .. ' ' .. integer(r.version) .. ' ' .. r.state .. ' '
    .. integer(r.held_at) .. ' ' .. integer(r.deadline) .. ' ' .. r.payment .. ' ' .. r.changes
end

-- Parses a buyer's record: "sub row", and a line for each further row. Returns {sub = …, list = {reservation, …}};
-- nil if the text is damaged.
local function parse_record(text)
  local sub, rest = text:match('^(%S+) (.+)$')
  if not sub then return nil end
  local record = {sub = sub, list = {}}
  for row in rest:gmatch('[^\n]+') do
    local r = parse_row(row)
    if not r then return nil end
    record.list[#record.list + 1] = r
  end
  return record
end

local function format_record(record)
  local rows = {}
  for i = 1, #record.list do rows[i] = format_row(record.list[i]) end
  return record.sub .. ' ' .. table.concat(rows, '\n')
end

-- Changed records, as buyers and texts in turn.
local function record_texts(records)
  local list = {}
  for buyer, record in pairs(records) do
    list[#list + 1] = buyer
    list[#list + 1] = format_record(record)
  end
  return list
end

local function damaged_record(buyer) return {'damaged', RECORDS .. ' has no reservations in field ' .. buyer} end

-- Past its deadline and grace a hold is expired, swept or not.
local function is_expired(s, r) return r.state == 'held' and s.sale_clock >= r.deadline + s.grace end

-- Whether it counts against the limit of a buyer.
local function is_active(s, r) return r.state == 'confirmed' or (r.state == 'held' and not is_expired(s, r)) end

-- The letter of the limit that a buyer with these reservations has reached, and the ids that count; nil while one more is allowed.
local function reached_limit(s, buyer, list)
  local active, all = {}, {}
  for i = 1, #list do
    local r = list[i]
    all[i] = buyer .. r.key
    if is_active(s, r) then active[#active + 1] = all[i] end
  end
  if #active >= s.per_buyer then return 'L', active end
  if #all >= s.attempts then return 'A', all end
end

local function find(record, key)
  for i = 1, #record.list do
    if record.list[i].key == key then return record.list[i] end
  end
end

-- The common prefix of replies about reservations: sequence, time, sale clock, outstanding holds.
local function header(s)
  return integer(s.sequence) .. ' ' .. integer(s.time) .. ' ' .. integer(s.sale_clock) .. ' ' .. integer(s.held)
end

-- The buyer's record and reservation of an id; nil and a refusal otherwise: 'not-found', damage, or 'late'. After
-- deadline and grace every call stays refused, swept or not, but one that accepts a late payment.
local function find_reservation(s, id, accepts_late)
  local buyer, key = id:sub(1, 20), id:sub(21)
  local text = redis.call('HGET', RECORDS, buyer)
  if not text then return nil, {'not-found'} end
  local record = parse_record(text)
  if not record then return nil, damaged_record(buyer) end
  local r = find(record, key)
  if not r then return nil, {'not-found'} end
  if is_expired(s, r) and not accepts_late then
    note_clocks(s)
    return nil, {'late', header(s), format_row(r)}
  end
  return record, r
end

-- The items of a reservation, as a list.
local function items_of(model, packages, store)
  local items = {'model:' .. model}
  if packages ~= '-' then
    for id in packages:gmatch('[^,]+') do items[#items + 1] = 'package:' .. id end
  end
  if store ~= '-' then items[#items + 1] = 'store:' .. store end
  return items
end

-- An entry's line for one changed reservation.
local function journal_line(buyer, record, r) return buyer .. ' ' .. record.sub .. ' ' .. format_row(r) end

-- Stores the current change in a reservation, besides the one before it. The journal's line of that one names
-- its predecessor, so that all changes can be followed back although rows do not grow.
local function note_change(s, r) r.changes = r.changes:match('%d+$') .. ',' .. integer(s.sequence + 1) end

-- The only write. Flat lists: `entry` has the journal entry's fields, `stock` the changed items with their free
-- stock, `records` the changed buyers with their texts, `taken` items to store as ever taken (an item that is taken
-- now is visible in its counter). `state` is a table of further fields of the state.
--
-- The entry also has the free stock of those items and the counts, as values, so that it is idempotent. Its field
-- `who` is the operator of an operator action; in a reserve entry it has a line 'sub key fingerprint' for each winner.
-- Every change is a tick, too: a TIME that steps back must not undo a decision by the sale clock.
local function commit(s, kind, entry, stock, records, state, taken)
  s.sequence = s.sequence + 1
  local counts = integer(s.held) .. ' ' .. integer(s.confirmed) .. ' ' .. integer(s.cancelled) .. ' ' .. integer(s.expired)
  redis.call('XADD', JOURNAL, integer(s.sequence) .. '-0', 'kind', kind, 'at', integer(s.time),
    'clock', integer(s.sale_clock), 'stock', table.concat(stock, ' '), 'counts', counts, unpack(entry))
  store_pairs(STOCK, stock)
  store_pairs(RECORDS, records)
  if taken then
    for from = 1, #taken, CHUNK do
      redis.call('SADD', TAKEN, unpack(taken, from, math.min(from + CHUNK - 1, #taken)))
    end
  end
  state.sequence = s.sequence
  state.now, state.tick, state.clock = s.time, s.raw, s.sale_clock
  state.held, state.confirmed, state.cancelled, state.expired = s.held, s.confirmed, s.cancelled, s.expired
  upgrade(s, state)
  store_pairs(STATE, flat(state))
end
