-- Fixes the entrants of a draw once sign-up is over: their root, which a gateway has computed from the journal. Allowed at maxmemory.
--
-- A gateway first asks whether sign-up is over, and at which sequence; what it reads then is only good as long as nobody signs up or
-- withdraws, and no definition lets them, until the root is here.
-- ARGV  1 identity  2 known sequence  3 root, 64 hexadecimal digits, or '-' to ask  4 how many entrants it is of
--       5 sequence of the answer to that question
-- Reply {'ok', header, 1 when this call fixed them, else 0}, {'none'}: the sale has no draw, {'open'}: sign-up is not over,
--       {'again'}: sign-ups may have changed since, {'differs', root, entrants}: they are fixed with another root, or there are so
--       many ('' as root)
-- Example  "epoch incarnation" 7 e3b0… 0 7 -> ok, "8 …", 1

if s.format < 4 or s.draw_opens == 0 then return {'none'} end
local root, entrants = ARGV[3], tonumber(ARGV[4])
if s.fixed_in > 0 then
  local fixed = redis.call('HGET', STATE, 'draw_root')
  if root ~= '-' and (fixed ~= root or s.entrants ~= entrants) then return {'differs', fixed or '', integer(s.entrants)} end
  return {'ok', header(s), 0}
end
if not signup_is_over(s) then return {'open'} end
if root == '-' then return {'ok', header(s), 0} end
local LOOKED_MAX = 200
local later = redis.call('XRANGE', JOURNAL, '(' .. ARGV[5], '+', 'COUNT', LOOKED_MAX)
for _, entry in ipairs(later) do
  for i = 1, #entry[2], 2 do
    local kind = entry[2][i] == 'kind' and entry[2][i + 1]
    if kind == 'signup' or kind == 'withdraw' or kind == 'define' or kind == 'adopt' then return {'again'} end
  end
end
if #later == LOOKED_MAX then return {'again'} end
if s.signed_up ~= entrants then return {'differs', '', integer(s.signed_up)} end
commit(s, 'entrants', {'root', root, 'entrants', integer(entrants)}, {}, {},
  {entrants = entrants, draw_root = root, fixed_in = s.sequence + 1})
return {'ok', header(s), 1}
