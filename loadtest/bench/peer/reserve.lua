-- Decides one reservation of the peer: idempotency, purchase limit, stock, record and journal in one step.
-- KEYS stock, records, journal, state
-- ARGV buyer, id, sub, print, model, packages joined by ',', store, hold in ms
local record = redis.call('HGET', KEYS[2], ARGV[1])
if record then
  local id, print, number, held_at, deadline = record:match('^(%S+) %S+ (%S+) (%S+) %S+ %S+ %S+ %S+ (%S+) (%S+)$')
  if id ~= ARGV[2] then return {'limit'} end
  if print ~= ARGV[4] then return {'reused'} end
  return {'replayed', number, held_at, deadline}
end
local items = {'model:' .. ARGV[5]}
for package in ARGV[6]:gmatch('[^,]+') do items[#items + 1] = 'package:' .. package end
items[#items + 1] = 'store:' .. ARGV[7]
local stock = redis.call('HMGET', KEYS[1], unpack(items))
local gone = {}
for i = 1, #items do
  if (tonumber(stock[i]) or 0) < 1 then gone[#gone + 1] = items[i] end
end
if #gone > 0 then return {'sold-out', gone} end
for i = 1, #items do redis.call('HINCRBY', KEYS[1], items[i], -1) end
local number = redis.call('HINCRBY', KEYS[4], 'number', 1)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local deadline = now + tonumber(ARGV[8])
local text = string.format('%s %s %s %d held %s %s %s %.0f %.0f', ARGV[2], ARGV[3], ARGV[4], number, ARGV[5],
  ARGV[6] ~= '' and ARGV[6] or '-', ARGV[7], now, deadline)
redis.call('HSET', KEYS[2], ARGV[1], text)
redis.call('XADD', KEYS[3], '*', 'kind', 'reserve', 'buyer', ARGV[1], 'data', text)
return {'won', tostring(number), string.format('%.0f', now), string.format('%.0f', deadline)}
