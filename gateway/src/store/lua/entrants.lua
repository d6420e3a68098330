-- Fixes the entrants of a draw once sign-up is over: their root, which a gateway has computed from the journal. Allowed at maxmemory.
--
-- ARGV  1 identity  2 known sequence  3 root, 64 hexadecimal digits  4 how many entrants it is of
-- Reply {'ok', header, 1 when this call fixed them, else 0}, {'none'}: the sale has no draw, {'open'}: sign-up is not over,
--       {'differs', root, entrants}: they are fixed with another root, or there are so many now ('' as root)
-- Example  "epoch incarnation" 7 e3b0… 0 -> ok, "8 …", 1

if s.format < 4 or s.draw_opens == 0 then return {'none'} end
local root, entrants = ARGV[3], tonumber(ARGV[4])
if s.fixed_in > 0 then
  local fixed = redis.call('HGET', STATE, 'draw_root')
  if fixed ~= root or s.entrants ~= entrants then return {'differs', fixed or '', integer(s.entrants)} end
  return {'ok', header(s), 0}
end
if not signup_is_over(s) then return {'open'} end
if s.signed_up ~= entrants then return {'differs', '', integer(s.signed_up)} end
commit(s, 'entrants', {'root', root, 'entrants', integer(entrants)}, {}, {},
  {entrants = entrants, draw_root = root, fixed_in = s.sequence + 1})
return {'ok', header(s), 1}
