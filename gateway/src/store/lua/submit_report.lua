#!lua flags=allow-oom
-- Stores a gateway's recovery report until the epoch is adopted.
-- Allowed at maxmemory: without it the sale stays fenced.
--
-- KEYS  1 recovery   hash   'for' -> "epoch of the ledger, epoch of this Redis"; r:N -> entry N as it was read;
--                       t:N:ID -> as gateway ID acknowledged it; g:ID -> the rest of gateway ID's report;
--                       x:ID -> the gateway that does not wait for it;
--                       'conflict' -> an entry that two gateways have read differently
--       2 state  hash   see ledger.lua
-- ARGV  1 the ledger's epoch (with '!' in front from now on)  2 the epoch of this Redis
--       3 the incarnation of the sale in the report  4 … fields and values in turn
-- Reply {'ok'}, or {'epoch'}: another epoch was adopted meanwhile,
--       {'incarnation'}: the ledger has another, and only g:ID is about that
-- Example  old new incarnation g:3f2a {"known":7,"since":0,"peers":{}} -> ok

local served, incarnation = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'incarnation'))
if served ~= ARGV[1] and served ~= '!' .. ARGV[1] then return {'epoch'} end
-- Entries of another incarnation must never be appended here: a gateway with some reports only that it has them.
local is_another = incarnation and incarnation ~= ARGV[3]
for i = 4, #ARGV, 2 do
  if is_another and ARGV[i]:sub(1, 2) ~= 'g:' then return {'incarnation'} end
end
-- The previous Redis may become the primary again. It must not continue by itself: it may lack acknowledged changes.
redis.call('HSET', KEYS[2], 'epoch', '!' .. ARGV[1])
local fence = ARGV[1] .. ' ' .. ARGV[2]
if redis.call('HGET', KEYS[1], 'for') ~= fence then
  -- The stored reports are of another failover.
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'for', fence)
end
for i = 4, #ARGV, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  local kind = field:sub(1, 2)
  if kind ~= 'r:' then
    redis.call('HSET', KEYS[1], field, value)
  elseif redis.call('HSETNX', KEYS[1], field, value) == 0 and redis.call('HGET', KEYS[1], field) ~= value then
    redis.call('HSET', KEYS[1], 'conflict', field:sub(3))
  end
end
return {'ok'}
