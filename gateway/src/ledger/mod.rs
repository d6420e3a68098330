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
pub(crate) mod outage;
pub mod reaper;
pub mod scripts;
pub mod snapshot;

use deadpool_redis::{Connection, Pool, PoolError};

use scripts::Failure;

/// A connection for something that is not hot.
pub(crate) async fn checkout(pool: &Pool) -> Result<Connection, Failure> {
    pool.get().await.map_err(|error| {
        let why = match error {
            PoolError::Backend(error) => error.to_string(),
            PoolError::Timeout(_) => "no answer in time".to_owned(),
            other => other.to_string(),
        };
        Failure::NotDone(format!("can't reach Redis: {why}"))
    })
}
