//! The ledger: the only code that talks to Redis. What is decided is decided by the Lua scripts.

mod access;
pub mod acl;
pub mod address;
pub mod admin;
pub mod archive;
pub mod audit;
pub mod batch;
pub mod changes;
pub mod clock_offset;
mod cluster;
pub mod dial;
pub mod durability;
pub mod fit;
pub mod fleet;
pub mod follow;
pub mod freshness;
pub mod heal;
pub mod hearsay;
pub mod journal;
pub mod keys;
pub mod lane;
pub mod lanes;
pub mod limits_log;
pub mod memory;
pub(crate) mod outage;
pub mod pool;
pub mod reaper;
pub mod refusals;
pub mod reply;
pub mod scripts;
mod sentinel;
pub mod snapshot;
pub mod tail;

pub use pool::{Connection, POOL_USE, Pool};

pub(crate) use pool::{checkout, checkout_each};
