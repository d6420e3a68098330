-- Takes in the epoch of a Redis that was restarted, after the caller has found the ledger whole.
-- Allowed at maxmemory. Until then every batch is refused with 'epoch'. The sale clock goes on from
-- the last tick, however long the outage was: it costs nobody any of his hold.
--
-- ARGV  1 the new epoch  2 known sequence  3 identity: with the epoch that the ledger has  4 who
--       5 how many changes were appended again (replay.lua)  6 how many of them nobody knows any more
--       7 TIME  8 the sale clock: the latest by which a gateway has refused something for being late
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
return {'ok', header(s)}
