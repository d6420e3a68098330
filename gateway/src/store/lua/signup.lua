-- Reads a buyer's sign-up. Writes nothing, allowed at maxmemory.
--
-- ARGV  1 the buyer's 20 characters of the id  2 sub  3 identity  4 known sequence
--       Without the latter two it reads a ledger in any state: for the support desk only.
-- Reply {'ok', header, '' if there was none, else "number sequence", and of one that was not withdrawn choices, at, and the
--       reservation's id of a buyer whom the draw gave one, at once or in the queue, else ''}
-- Example  aliceAAAAAAAAAAAAAAA alice -> ok, "7 …", "1 4", "air/cover/", "1700000000000", ""

local s, refusal = read_state()
if not s then return refusal end
refusal = ARGV[3] and (check_incarnation(s, ARGV[3]) or check_epoch(s, ARGV[3], ARGV[4]))
if refusal then return refusal end
local kind = s.format > 2 and redis.call('TYPE', SIGNUPS).ok or 'none'
if kind ~= 'hash' and (kind ~= 'none' or (s.last_signup or 0) > 0) then return {'damaged', wrong_type(8, kind)} end
local row = kind == 'hash' and redis.call('HGET', SIGNUPS, ARGV[1])
if not row then return {'ok', header(s), ''} end
local found = find_signup(ARGV[2], row)
if not found then return damaged_signup(ARGV[1]) end
if not found.choices then return {'ok', header(s), row} end
local id = ''
if s.format > 3 and s.drawn_in > 0 then
  local function read(key) return redis.call('TYPE', key).ok == 'hash' and redis.call('HGET', key, ARGV[1]) end
  local place, text = read(STANDBY), read(RECORDS)
  local record = text and parse_record(text)
  local key = draw_key(ARGV[1])
  if record and find(record, key) then
    id = ARGV[1] .. key
  elseif place and place:match('^%S+ granted ') then
    id = ARGV[1] .. place:match('%S+$')
  end
end
return {'ok', header(s), row, found.choices, integer(found.at), id}
