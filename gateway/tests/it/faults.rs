//! Tests faults of Redis, its links, its files and its clients: nothing acknowledged is lost.

pub mod callers;
pub mod cluster;
pub mod damage;
pub mod durability;
pub mod ledger;
pub mod link;
pub mod marks;
pub mod moved_address;
pub mod permissions;
pub mod redis;
pub mod replies;
pub mod sentinel;
