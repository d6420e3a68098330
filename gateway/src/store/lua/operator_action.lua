-- Performs an operator action: pause, resume, freeze, unfreeze, close, standby-suspend, standby-resume. It is idempotent. Allowed at maxmemory.
--
-- ARGV  1 identity  2 known sequence  3 action  4 who  5 reason or '-'
-- Reply {'ok', header, 1 when this call changed something, else 0}, {'none'}: the sale has no standby queues
-- Example  "epoch incarnation" 7 pause ops - -> ok, "8 …", 1

local action = ARGV[3]
local field, value = control_of(action)
if field == 'suspended' and s.standby ~= 1 then return {'none'} end
if s[field] == value then return {'ok', header(s), 0} end

-- The sale clock stops or continues at this instant: commit stores it as it was until now.
commit(s, action, {'who', ARGV[4], 'reason', ARGV[5]}, {}, {}, control_state(s, field, value))
return {'ok', header(s), 1}
