#!lua flags=allow-oom
-- Sets rates for all gateways, all or nothing. What they mean is checked by who calls.
--
-- KEYS  1 limits  hash  policy -> rate as text; besides: revision, at (TIME in ms), who, reason
-- ARGV  1 who  2 reason or '-'  3 …  policy and rate in turn; '' puts the configured rate back in force
-- Reply all fields and values of the hash
-- Example  ops - buyer 10:20 -> revision 1 at 1700000000000 who ops reason - buyer 10:20

local time = redis.call('TIME')
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
redis.call('HINCRBY', KEYS[1], 'revision', 1)
redis.call('HSET', KEYS[1], 'who', ARGV[1], 'reason', ARGV[2],
  'at', string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000)))
return redis.call('HGETALL', KEYS[1])
