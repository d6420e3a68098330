-- Signs up a batch of buyers, in their order. Denied at maxmemory.
--
-- A request that changes nothing is answered also when sign-up is over: it is the retry of one that was in time.
-- ARGV  1 identity  2 known sequence  3 revision  4 … a line for each: "buyer sub choices", and " ?" behind it if an item is unknown
-- Reply {'ok', header, "first at", letters, detail, …}: the number of the first new sign-up, and the time of all new ones; a letter
--       for each, and in their order the details of those that have one:
--         N                    new: the numbers increase by one from the first
--         C "number at"        its choices are others now
--         S "number at sequence"  it is as requested already
--         O                    sign-up is not open yet
--         X                    it is over
--         U                    an item is unknown
--         D                    the buyer's sign-up is damaged: nothing was decided
--       or {'revision', the ledger's}: nothing was decided, reload the definition, send again;
--       {'none'}: the sale takes no sign-ups.
-- Example  "epoch incarnation" 3 1 "aliceAAAAAAAAAAAAAAA alice air/cover/" -> ok, "4 …", "1 1700000000000", N

if s.revision ~= tonumber(ARGV[3]) then return {'revision', integer(s.revision)} end
if s.format < 3 or s.signup_closes == 0 then return {'none'} end

local FIRST = 4
local buyers, subs, choices, unknown = {}, {}, {}, {}
for i = FIRST, #ARGV do
  local n = i - FIRST + 1
  buyers[n], subs[n], choices[n], unknown[n] = ARGV[i]:match('^(%S+) (%S+) (%S+)( ?%??)$')
end
local rows = fetch(SIGNUPS, buyers)

local is_open, is_over = s.time >= s.signup_opens, signup_is_over(s)
local first, at = s.last_signup + 1, s.time
-- The sign-ups as they are now, by buyer.
local known, changed, lines, letters, details = {}, {}, {}, {}, {}
local went_by_time = false

local function decide(n)
  local buyer = buyers[n]
  local now = known[buyer]
  if not now and rows[buyer] then
    now = find_signup(subs[n], rows[buyer])
    if not now then return 'D' end
    known[buyer] = now
  end
  local is_kept = now and now.number > 0
  if is_kept and now.choices == choices[n] then
    return 'S', integer(now.number) .. ' ' .. integer(now.at) .. ' ' .. now.sequence
  end
  if is_over then
    went_by_time = true
    return 'X'
  end
  if not is_open then return 'O' end
  if unknown[n] ~= '' then return 'U' end
  local line = subs[n] .. ' ' .. choices[n]
  local letter, detail = 'N', nil
  if is_kept then
    detail = integer(now.number) .. ' ' .. integer(now.at)
    letter, line = 'C', line .. ' ' .. detail
  else
    s.last_signup, s.signed_up = s.last_signup + 1, s.signed_up + 1
    now = {number = s.last_signup, at = at}
  end
  lines[#lines + 1] = line
  known[buyer] = {number = now.number, at = now.at, choices = choices[n], sequence = integer(s.sequence + 1)}
  changed[buyer] = integer(now.number) .. ' ' .. integer(s.sequence + 1)
  return letter, detail
end

for n = 1, #buyers do
  local letter, detail = decide(n)
  letters[n] = letter
  details[#details + 1] = detail
end

if #lines > 0 then
  commit(s, 'signup', {'first', integer(first), 'signed', integer(s.signed_up), 'signups', table.concat(lines, '\n')}, {}, {},
    {signed_up = s.signed_up, last_signup = s.last_signup})
  store_pairs(SIGNUPS, flat(changed))
elseif went_by_time then
  note_clocks(s)
end
return {'ok', header(s), integer(first) .. ' ' .. integer(at), table.concat(letters), unpack(details)}
