-- Draws: stores reveal, beacon and seed of a sale whose entrants are fixed. Once, and never again. Allowed at maxmemory.
--
-- The caller has checked the reveal against the definition's commitment, and computed the seed.
-- ARGV  1 identity  2 known sequence  3 root  4 entrants  5 reveal  6 beacon  7 seed, all in hexadecimal but the number
--       8 who  9 reason or '-'
-- Reply {'ok', header, 1 when this call drew, else 0: with the same seed before}, {'none'}: the sale has no draw,
--       {'unfixed'}: its entrants are not fixed yet, {'differs', root, entrants}: they are others since a loss,
--       {'drawn', seed}: with another seed, {'closed'}
-- Example  "epoch incarnation" 7 e3b0… 0 61… 482913 9f86… ops - -> ok, "8 …", 1

if s.format < 4 or s.draw_opens == 0 then return {'none'} end
local is_closed = s.closed == 1 or s.time >= s.closes
if s.fixed_in == 0 then return {is_closed and 'closed' or 'unfixed'} end
local root, entrants, reveal, beacon, seed, who, reason = unpack(ARGV, 3, 9)
local fixed = redis.call('HGET', STATE, 'draw_root')
if fixed ~= root or integer(s.entrants) ~= entrants then return {'differs', fixed or '', integer(s.entrants)} end
if s.drawn_in > 0 then
  local drawn = redis.call('HGET', STATE, 'draw_seed')
  if drawn == seed then return {'ok', header(s), 0} end
  return {'drawn', drawn or ''}
end
if is_closed then return {'closed'} end
commit(s, 'draw', {'root', root, 'entrants', entrants, 'reveal', reveal, 'beacon', beacon, 'seed', seed, 'who', who, 'reason', reason},
  {}, {}, {draw_reveal = reveal, draw_beacon = beacon, draw_seed = seed, drawn_in = s.sequence + 1})
return {'ok', header(s), 1}
