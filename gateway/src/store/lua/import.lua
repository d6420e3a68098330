#!lua
-- Renames the keys of a loaded sale to their final names, in one step. Denied at maxmemory.
--
-- KEYS  the first half  as loaded; some may be missing  the second half  the sale's, in the same order (see ledger.lua)
-- Reply {'ok'}, or {'exists', key}: a sale of that name exists, nothing was done
-- Example  lg:{small}:import:state … lg:{small}:state … -> ok

local half = #KEYS / 2
for i = half + 1, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then return {'exists', KEYS[i]} end
end
for i = 1, half do
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('RENAME', KEYS[i], KEYS[i + half]) end
end
return {'ok'}
