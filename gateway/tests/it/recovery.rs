//! After a failover: replay, fencing, identity, and a read model that is exact.

pub mod acknowledged;
pub mod confirmed_count;
pub mod consumer;
pub mod drift;
pub mod failover;
pub mod forked;
pub mod gap;
pub mod identity;
pub mod replaced;
pub mod versions;
