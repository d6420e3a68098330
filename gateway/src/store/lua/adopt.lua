-- Adopts the epoch of a restarted Redis, after the caller has audited the ledger. Allowed at maxmemory.
--
-- Until then every batch is refused with 'epoch'. The sale clock continues from the last tick: an
-- outage of any length shortens no hold.
-- ARGV  1 the new epoch  2 known sequence  3 identity: with the ledger's epoch  4 who
--       5 number of replayed changes (replay.lua)  6 number among them that no gateway had
--       7 TIME  8 sale clock: the latest by which a gateway refused a request for being late
-- Reply {'ok', header}, or {'epoch', epoch} if another gateway was faster,
--       {'behind', …}, {'damaged', …}: the journal does not end at the ledger's sequence
-- Example  new 7 "!old incarnation" gateway 2 0 -> ok, "8 …"

local s, refusal = open_ledger(ARGV[3], ARGV[2])
if not s then return refusal end
local last = redis.call('XREVRANGE', JOURNAL, '+', '-', 'COUNT', 1)[1]
if not last or last[1] ~= integer(s.sequence) .. '-0' then
  return {'damaged', JOURNAL .. ' ends at ' .. (last and last[1] or 'nothing') .. ', the state at ' .. integer(s.sequence)}
end
s.time = math.max(s.time, tonumber(ARGV[7] or '0'))
s.sale_clock = math.max(s.clock, tonumber(ARGV[8] or '0'))
local entry = {'epoch', ARGV[1], 'was', (s.epoch:gsub('^!', '')), 'who', ARGV[4]}
if ARGV[5] ~= '0' then
  for _, text in ipairs({'replayed', ARGV[5], 'lost', ARGV[6]}) do entry[#entry + 1] = text end
end
commit(s, 'adopt', entry, {}, {}, {epoch = ARGV[1]})
-- What recovery lost is marked up to here.
redis.call('HDEL', STATE, 'gap')
return {'ok', header(s)}
