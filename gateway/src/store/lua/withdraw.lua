-- Withdraws a buyer's sign-up. Allowed at maxmemory.
--
-- ARGV  1 identity  2 known sequence  3 the buyer's 20 characters of the id  4 sub
-- Reply {'ok', header, sequence of the withdrawal, '0' if there was no sign-up, 1 when this call changed something, else 0},
--       {'over', header}: sign-up is over, and the buyer stays signed up
-- Example  "epoch incarnation" 7 aliceAAAAAAAAAAAAAAA alice -> ok, "8 …", 8, 1

local buyer, sub = ARGV[3], ARGV[4]
local row = s.format > 2 and redis.call('HGET', SIGNUPS, buyer)
if not row then return {'ok', header(s), '0', 0} end
local number, sequence = row:match('^(%d+) (%d+)$')
if not number then return damaged_signup(buyer) end
if number == '0' then return {'ok', header(s), sequence, 0} end
if signup_is_over(s) then
  note_clocks(s)
  return {'over', header(s)}
end
s.signed_up = s.signed_up - 1
commit(s, 'withdraw', {'signed', integer(s.signed_up), 'signups', sub .. ' -'}, {}, {}, {signed_up = s.signed_up})
redis.call('HSET', SIGNUPS, buyer, '0 ' .. integer(s.sequence))
return {'ok', header(s), integer(s.sequence), 1}
