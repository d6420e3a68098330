//! The ledger: the only code that talks to Redis. What is decided is decided by the Lua scripts.

pub mod admin;
pub mod archive;
pub mod audit;
pub mod batch;
pub mod changes;
pub mod dial;
pub mod durability;
pub mod fleet;
pub mod follow;
pub mod hearsay;
pub mod journal;
pub mod keys;
pub mod lane;
pub mod limits_log;
pub mod memory;
pub(crate) mod outage;
pub mod reaper;
pub mod scripts;
pub mod snapshot;
pub mod tail;

use std::time::Duration;

use deadpool_redis::{Connection, Pool, PoolError};

use scripts::Failure;

use crate::ops::metrics::uses::RedisUse;

/// How the pool fares: whoever has a pool in this process talks to the same Redis.
pub static POOL_USE: RedisUse = RedisUse::new();

/// A connection for something that is not hot.
pub(crate) async fn checkout(pool: &Pool) -> Result<Connection, Failure> {
    let wait = pool.timeouts().wait.unwrap_or(Duration::MAX);
    let Ok(connection) = tokio::time::timeout(wait, pool.get()).await else {
        // The pool would try one idle connection after the other, each for as long. If one is dead,
        // so are the others, mostly: the next who comes shall have a new one.
        pool.retain(|_, _| false);
        POOL_USE.failed();
        return Err(Failure::NotDone("can't reach Redis: no answer in time".into()));
    };
    connection.inspect(|_| POOL_USE.answered()).map_err(|error| {
        POOL_USE.failed();
        let why = match error {
            PoolError::Backend(error) => error.to_string(),
            PoolError::Timeout(_) => "no answer in time".to_owned(),
            other => other.to_string(),
        };
        Failure::NotDone(format!("can't reach Redis: {why}"))
    })
}
