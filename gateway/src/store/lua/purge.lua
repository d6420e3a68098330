-- Removes every key of a closed sale, if it has not changed since its export. Allowed at maxmemory.
--
-- ARGV  1 identity  2 known sequence  3 the sequence of the export
-- Reply {'ok'}, or nothing was done: {'changed', sequence}, {'open'}: it is not closed, {'held', outstanding holds}
-- Example  "epoch incarnation" 7 7 -> ok

if integer(s.sequence) ~= ARGV[3] then return {'changed', integer(s.sequence)} end
if refusing_phase(s) ~= 'closed' then return {'open'} end
if s.held > 0 then return {'held', integer(s.held)} end
redis.call('UNLINK', unpack(KEYS))
return {'ok'}
