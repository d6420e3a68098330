#!lua flags=allow-oom
-- Takes down what a gateway knows of a sale whose Redis was restarted or replaced, for as long as it has not been taken in.
-- Allowed at maxmemory: without it the sale stands still.
--
-- KEYS  1 heal   hash   'for' -> "run_id of the ledger, run_id of this Redis"; r:N, t:N -> the entry N as it was read,
--                       or as it was told; g:ID -> what else the gateway ID says; x:ID -> who does not wait for it;
--                       'conflict' -> an entry that two gateways have read differently
--       2 state  hash   see ledger.lua
-- ARGV  1 the run_id that the ledger has  2 the run_id of this Redis  3 … fields and values in turn
-- Reply {'ok'}, or {'epoch'}: it was taken in meanwhile
-- Example  old new g:3f2a {"known":7,"since":0,"heard":{}} -> ok

if redis.call('HGET', KEYS[2], 'run_id') ~= ARGV[1] then return {'epoch'} end
local fence = ARGV[1] .. ' ' .. ARGV[2]
if redis.call('HGET', KEYS[1], 'for') ~= fence then
  -- What is there is of another failover.
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'for', fence)
end
for i = 3, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  local kind = field:sub(1, 2)
  if kind == 'g:' then
    redis.call('HSET', KEYS[1], field, value)
  elseif redis.call('HSETNX', KEYS[1], field, value) == 0 and kind == 'r:' and redis.call('HGET', KEYS[1], field) ~= value then
    redis.call('HSET', KEYS[1], 'conflict', field:sub(3))
  end
end
return {'ok'}
