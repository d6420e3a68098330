#!lua flags=allow-oom
-- Takes down what a gateway knows of a sale whose Redis was restarted or replaced, for as long as it has not been taken in.
-- Allowed at maxmemory: without it the sale stands still.
--
-- KEYS  1 recovery   hash   'for' -> "epoch of the ledger, epoch of this Redis"; r:N -> the entry N as it was read;
--                       t:N:ID -> as the gateway ID told it; g:ID -> what else the gateway ID says; x:ID -> who does not wait for it;
--                       'conflict' -> an entry that two gateways have read differently
--       2 state  hash   see ledger.lua
-- ARGV  1 the epoch that the ledger has (with '!' in front from now on)  2 the epoch of this Redis
--       3 the incarnation of the sale that the fields are about  4 … fields and values in turn
-- Reply {'ok'}, or {'epoch'}: it was taken in meanwhile, {'incarnation'}: the ledger has another, and only g:ID is about that
-- Example  old new incarnation g:3f2a {"known":7,"since":0,"peers":{}} -> ok

local served, incarnation = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'incarnation'))
if served ~= ARGV[1] and served ~= '!' .. ARGV[1] then return {'epoch'} end
-- Entries of another incarnation must never be appended to this one: a gateway that has some says only that it has.
local is_another = incarnation and incarnation ~= ARGV[3]
for i = 4, #ARGV, 2 do
  if is_another and ARGV[i]:sub(1, 2) ~= 'g:' then return {'incarnation'} end
end
-- Not even the Redis that had served it goes on by itself, should it be the primary once more: what it told then may be gone.
redis.call('HSET', KEYS[2], 'epoch', '!' .. ARGV[1])
local fence = ARGV[1] .. ' ' .. ARGV[2]
if redis.call('HGET', KEYS[1], 'for') ~= fence then
  -- What is there is of another failover.
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
