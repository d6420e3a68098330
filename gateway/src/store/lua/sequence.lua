#!lua flags=allow-oom
-- Reads how far the ledger of a sale is. It writes nothing and yet has no flag `no-writes`: a Redis that would refuse a
-- reservation (a replica, one that is short of replicas, one whose disk has failed) must refuse this, too. It has neither
-- the ledger's prelude nor all of its keys: it is called up to a thousand times a second.
--
-- KEYS  1 state  hash  see ledger.lua
-- Reply {epoch, incarnation, sequence}, each false if it is not there
-- Example  -> {"3f2a…", "019a…", "4711"}

return redis.call('HMGET', KEYS[1], 'epoch', 'incarnation', 'sequence')
