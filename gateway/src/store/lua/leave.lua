-- Takes a buyer out of the standby queue. Allowed at maxmemory.
--
-- ARGV  1 identity  2 known sequence  3 the buyer's 20 characters of the id  4 sub
-- Reply {'ok', header, sequence of the leaving, '0' if the buyer was not waiting, 1 when this call changed something, else 0}
-- Example  "epoch incarnation" 7 aliceAAAAAAAAAAAAAAA alice -> ok, "8 …", 8, 1

local buyer, sub = ARGV[3], ARGV[4]
local p, refusal
if s.format > 2 then p, refusal = find_place(buyer) end
if refusal then return refusal end
if not p or p.state ~= 'waiting' then
  return {'ok', header(s), p and p.state == 'left' and p.sequence or '0', 0}
end
s.waiting = s.waiting - 1
local member = queue_member(p.model, p.number, buyer)
commit(s, 'leave', {'places', sub .. ' -'}, {}, {}, {waiting = s.waiting})
p.state, p.sequence = 'left', integer(s.sequence)
store_pairs(STANDBY, {buyer, format_place(p)})
unqueue({member})
-- What is set aside and nobody waits for any more is free again with the next tick.
return {'ok', header(s), integer(s.sequence), 1}
