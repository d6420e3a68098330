//! The connections to Redis and its contents: keys, scripts, the journal. The Lua scripts make all
//! decisions.

mod access;
pub mod acl;
pub mod address;
mod cluster;
pub mod compatibility;
pub mod connection;
pub mod connections;
pub mod dial;
pub mod durability;
pub mod journal;
pub mod keys;
pub(crate) mod outage;
pub mod pool;
pub(crate) mod record;
pub mod reply;
pub mod scripts;
mod sentinel;

pub use pool::{Connection, POOL_USE, Pool};

pub(crate) use pool::{checkout, checkout_each};
