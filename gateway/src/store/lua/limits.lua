#!lua flags=allow-oom
-- Sets rates for all gateways, all or nothing, and logs who, why and the previous rates.
-- The caller validates the rates.
--
-- KEYS  1 limits  hash    policy -> rate as text; besides: revision, at (TIME in ms), who, reason
--       2 log     stream  one entry for each change, the latest 1,000: revision, at, who, reason, and changes:
--                         policy, rate before and rate after in turn, '-' for the configured one
-- ARGV  1 who  2 reason or '-'  3 …  policy and rate in turn; '' restores the configured rate
-- Reply all fields and values of the hash; an error if a key has a wrong type, and nothing is done
-- Example  ops - buyer 10:20 -> revision 1 at 1700000000000 who ops reason - buyer 10:20
--          and in the log: revision 1 at 1700000000000 who ops reason - changes 'buyer - 10:20'

local LOG_MAX = 1000
for i, kind in ipairs({'hash', 'stream'}) do
  local got = redis.call('TYPE', KEYS[i]).ok
  if got ~= kind and got ~= 'none' then
    return redis.error_reply('ERR ' .. KEYS[i] .. ' is a ' .. got .. ', should be a ' .. kind)
  end
end
local revision = tonumber(redis.call('HGET', KEYS[1], 'revision') or '0')
if not revision then return redis.error_reply('ERR ' .. KEYS[1] .. ' has no number in revision') end
local changes = {}
for i = 3, #ARGV, 2 do
  local was = redis.call('HGET', KEYS[1], ARGV[i])
  changes[#changes + 1] = ARGV[i] .. ' ' .. (was or '-') .. ' ' .. (ARGV[i + 1] == '' and '-' or ARGV[i + 1])
end
local time = redis.call('TIME')
local noted = {'revision', string.format('%d', revision + 1), 'at',
  string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000)), 'who', ARGV[1], 'reason', ARGV[2]}

-- The one write that can fail goes first.
redis.call('XADD', KEYS[2], 'MAXLEN', LOG_MAX, '*', 'changes', table.concat(changes, ' '), unpack(noted))
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
redis.call('HSET', KEYS[1], unpack(noted))
return redis.call('HGETALL', KEYS[1])
