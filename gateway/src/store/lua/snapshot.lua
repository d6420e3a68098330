-- Reads a sale at one sequence, in one step. Writes nothing, allowed at maxmemory.
--
-- It checks no epoch: it must work when everything else is refused.
-- ARGV  the parts besides the state: any of 'stock', 'totals', 'definition'
-- Reply {'ok', header, damages (texts), state (flat list), then each part in the requested order:
--        stock and totals as flat lists, the definition as text}
--       A key of a wrong type is named in damages and read as empty.
-- Example  stock -> ok, "7 …", {}, {"sequence", "7", …}, {"model:air", "12"}

local s, refusal = read_state()
if not s then return refusal end
local function read(key, kind, command)
  if redis.call('TYPE', key).ok == kind then return redis.call(command, key) end
  return kind == 'hash' and {} or ''
end
local state = redis.call('HGETALL', STATE)
if s.format < 2 then state[#state + 1], state[#state + 2] = 'incarnation', s.incarnation end
local reply = {'ok', header(s), find_damages(s), state}
for _, part in ipairs(ARGV) do
  if part == 'stock' then reply[#reply + 1] = read(STOCK, 'hash', 'HGETALL')
  elseif part == 'totals' then reply[#reply + 1] = read(TOTALS, 'hash', 'HGETALL')
  else reply[#reply + 1] = read(DEFINITION, 'string', 'GET') end
end
return reply
