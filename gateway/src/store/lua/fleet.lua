#!lua flags=allow-oom
-- Reads the live gateways: those with a heartbeat in the last 5 s. A gateway writes its own first.
--
-- KEYS  1 fleet  hash  gateway's id -> "TIME in ms, report"
-- ARGV  1 id  2 report, JSON; both absent if the caller is not a gateway
-- Reply {id, report, …} of all live gateways; others are removed
-- Example  3f2a {} -> 3f2a {} 77b0 {}

local GONE_MS = 5000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] then redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', now) .. ' ' .. ARGV[2]) end
local all, live = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local at, report = all[i + 1]:match('^(%d+) (.*)$')
  -- Redis's clock may have stepped back, which leaves times in the future.
  if at and math.abs(now - tonumber(at)) < GONE_MS then
    live[#live + 1] = all[i]
    live[#live + 1] = report
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return live
