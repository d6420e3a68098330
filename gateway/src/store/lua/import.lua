#!lua
-- Renames the keys of a loaded sale to their final names, in one step. Denied at maxmemory.
--
-- KEYS  1 to 7  as loaded; some may be missing  8 to 14  the sale's, in the same order (see ledger.lua)
-- Reply {'ok'}, or {'exists', key}: a sale of that name exists, nothing was done
-- Example  lg:{small}:import:state … lg:{small}:state … -> ok

for i = 8, 14 do
  if redis.call('EXISTS', KEYS[i]) == 1 then return {'exists', KEYS[i]} end
end
for i = 1, 7 do
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('RENAME', KEYS[i], KEYS[i + 7]) end
end
return {'ok'}
