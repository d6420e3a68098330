-- The places in the standby queues, a prelude.
--
-- KEYS[10] has all queues: members "MODEL NUMBER BUYER" of equal score, the number in 15 digits and the buyer's part of the id, so
-- that the members of one model are a range, in the order in which they joined. KEYS[9] has a row for each buyer who ever joined:
--   sub state choice number sequence key
-- State is waiting, granted, skipped or left; choice is one word (see domain/choice.rs); the sequence is that of its latest change; key
-- has the 12 characters of the granted reservation's id, else '-'.
--
-- An entry of kind `join` has a line for each in its field `places`: "sub choice" of a new place, whose numbers count up from the
-- field `first`; "sub choice number" of a buyer who wants something else and keeps the place. One of kind `leave` has "sub -". One of
-- kind `grant` has the new reservations in `data`, a line "buyer sub" for each who was skipped in `skipped`, and in `released` models in
-- turn with how many of their units nobody waits for.

local function parse_place(text)
  local sub, state, choice, number, sequence, key = text:match('^(%S+) (%a+) (%S+) (%d+) (%d+) (%S+)$')
  local model, packages, store = (choice or ''):match('^([^/]+)/([^/]*)/([^/]*)$')
  if not model then return nil end
  return {sub = sub, state = state, choice = choice, number = tonumber(number), sequence = sequence, key = key, model = model,
    packages = packages == '' and '-' or packages, store = store == '' and '-' or store}
end

local function format_place(p)
  return p.sub .. ' ' .. p.state .. ' ' .. p.choice .. ' ' .. integer(p.number) .. ' ' .. p.sequence .. ' ' .. (p.key or '-')
end

local function damaged_place(buyer) return {'damaged', STANDBY .. ' has no place in field ' .. buyer} end

-- The place of a buyer, or nil if there never was one; and a refusal if it is damaged.
local function find_place(buyer)
  local text = redis.call('HGET', STANDBY, buyer)
  if not text then return nil end
  local p = parse_place(text)
  if not p then return nil, damaged_place(buyer) end
  return p
end

local function queue_member(model, number, buyer) return string.format('%s %015d %s', model, number, buyer) end

-- The first and the end of a model's members. A blank is below and '!' not below any character of an id.
local function queue_range(model) return '[' .. model .. ' ', '(' .. model .. '!' end

-- How many wait for a model.
local function count_waiting(model) return redis.call('ZLEXCOUNT', QUEUE, queue_range(model)) end

-- The buyers who wait for a model, in order, after so many of them.
local function waiting_buyers(model, after, count)
  local from, to = queue_range(model)
  local members = redis.call('ZRANGEBYLEX', QUEUE, from, to, 'LIMIT', after, count)
  local buyers = {}
  for i = 1, #members do buyers[i] = members[i]:sub(-20) end
  return buyers, members
end

-- The key of the reservation that a buyer is granted in the next entry: 12 characters of its id.
local function grant_key(s, buyer) return redis.sha1hex(STATE .. ' ' .. buyer .. ' ' .. integer(s.sequence + 1)):sub(1, 12) end

-- The members of a set, as a list.
local function list_of(set)
  local list = {}
  for member in pairs(set) do list[#list + 1] = member end
  return list
end

-- Puts members into the queue, some thousands at most.
local function enqueue(members)
  local args = {}
  for i, member in ipairs(members) do args[2 * i - 1], args[2 * i] = 0, member end
  for from = 1, #args, CHUNK do
    redis.call('ZADD', QUEUE, unpack(args, from, math.min(from + CHUNK - 1, #args)))
  end
end

-- Removes members from the queue, some thousands at most.
local function unqueue(members)
  for from = 1, #members, CHUNK do
    redis.call('ZREM', QUEUE, unpack(members, from, math.min(from + CHUNK - 1, #members)))
  end
end
