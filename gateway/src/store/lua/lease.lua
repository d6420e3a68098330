-- Takes, renews or releases the lease of a reader of the journal, so that one program at a time reads under a name; or
-- removes a reader.
--
-- KEYS  1 readers  hash  reader -> "fence until since renewed holder state": `until` is the end of the lease, 0 once it
--                        was released; `since` when this holder took it; all in TIME in ms
--       2 state    hash  see ledger.lua; only whether it exists
-- ARGV  1 reader  2 holder, without blanks  3 how long, in ms; 0 releases it, -1 removes the reader  4 state of the
--       holder, JSON
-- Reply {'ok', fence, until, now, 1 if the holder is new, else 0}: the holder keeps its fence; a new one gets the last
--         fence + 1 or TIME in µs, whichever is more, so that it grows also when Redis has forgotten the last one
--       {'held', holder, until, now}: another one has it
--       {'full', now}: this many readers have a lease that runs
--       {'forgotten'} or {'unknown'}: the reader is removed, or there was none
--       {'missing'}: there is no such sale
-- Example  orders host-1:4711:3f9a 15000 {"lag_ms":0} -> ok, "1700000000000000", "1700000015000", "1700000000000", 1

local READERS_MAX, TTL_MAX_MS = 16, 60000
local reader, holder, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('EXISTS', KEYS[2]) == 0 then return {'missing'} end
local time = now()
local function integer(n) return string.format('%d', n) end

local function read(text)
  local fence, ends, since, renewed, by = (text or ''):match('^(%d+) (%d+) (%d+) (%d+) (%S+) ')
  if not fence then return nil end
  return {fence = tonumber(fence), ends = tonumber(ends), since = tonumber(since), holder = by}
end
-- TIME may have stepped back: no lease lasts longer than the longest.
local function runs(lease) return lease and lease.ends > time and lease.ends - time <= TTL_MAX_MS end

local last = read(redis.call('HGET', KEYS[1], reader))
if runs(last) and (last.holder ~= holder or ttl < 0) then
  return {'held', last.holder, integer(last.ends), integer(time)}
end
if ttl < 0 then
  return {redis.call('HDEL', KEYS[1], reader) == 1 and 'forgotten' or 'unknown'}
end
local is_his = last and last.holder == holder
if ttl == 0 then
  if is_his then
    redis.call('HSET', KEYS[1], reader, table.concat({integer(last.fence), '0', integer(last.since), integer(time),
      holder, ARGV[4]}, ' '))
  end
  return {'ok', integer(last and last.fence or 0), integer(time), integer(time), 0}
end

local oldest, oldest_ends, count = nil, nil, 0
if not last then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local lease = read(all[i + 1])
    count = count + 1
    local ends = lease and lease.ends or 0
    if not runs(lease) and (not oldest or ends < oldest_ends) then oldest, oldest_ends = all[i], ends end
  end
  if count >= READERS_MAX and not oldest then return {'full', integer(time)} end
end
-- A holder whose lease ended, and was taken by no other, continues.
local fence = is_his and last.fence or math.max((last and last.fence or 0) + 1, time * 1000)
local since = is_his and last.since or time
if count >= READERS_MAX then redis.call('HDEL', KEYS[1], oldest) end
redis.call('HSET', KEYS[1], reader, table.concat({integer(fence), integer(time + ttl), integer(since), integer(time),
  holder, ARGV[4]}, ' '))
return {'ok', integer(fence), integer(time + ttl), integer(time), is_his and 0 or 1}
