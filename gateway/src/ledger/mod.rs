//! The ledger: the only code that talks to Redis. What is decided is decided by the Lua scripts.

pub mod admin;
pub mod audit;
pub mod batch;
pub mod changes;
pub mod dial;
pub mod follow;
pub mod journal;
pub mod keys;
pub mod lane;
pub mod memory;
pub mod reaper;
pub mod scripts;
pub mod snapshot;

use deadpool_redis::{Connection, Pool};

use scripts::Failure;

/// A connection for something that is not hot.
pub(crate) async fn checkout(pool: &Pool) -> Result<Connection, Failure> {
    pool.get()
        .await
        .map_err(|e| Failure::NotDone(format!("can't reach Redis: {e}")))
}
