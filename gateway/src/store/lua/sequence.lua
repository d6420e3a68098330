#!lua flags=allow-oom
-- Reads the ledger's sequence. It writes nothing, yet has no flag `no-writes`: a Redis that refuses reservations must
-- refuse this, too (a replica, too few replicas, a failed disk).
--
-- It has neither the prelude nor all keys, since it runs up to a thousand times a second.
-- KEYS  1 state  hash  see ledger.lua
-- Reply {epoch, incarnation, sequence}, each false if it is missing
-- Example  -> {"3f2a…", "019a…", "4711"}

return redis.call('HMGET', KEYS[1], 'epoch', 'incarnation', 'sequence')
