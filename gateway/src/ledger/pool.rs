//! Connections for all that is not hot. Behind sentinels they go to whichever Redis is the primary by now.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_redis::{Connection, Hook, Manager, PoolError, Runtime};
use redis::{AsyncConnectionConfig, ConnectionInfo};
use tokio::sync::Mutex;

use super::dial::Redis;
use super::scripts::Failure;
use crate::ops::metrics::uses::RedisUse;

/// How the pool fares: whoever has a pool in this process talks to the same Redis.
pub static POOL_USE: RedisUse = RedisUse::new();

/// Between two questions to sentinels who the primary is. A former one may go on answering, as a replica.
const ASK: Duration = Duration::from_secs(1);

/// Connections to a Redis, so many at a time. Every checkout is checked by a `PING`.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    redis: Redis,
    size: usize,
    current: Mutex<Option<Current>>,
}

struct Current {
    pool: deadpool_redis::Pool,
    /// Where its connections go to, and when that was asked.
    to: String,
    asked: Instant,
}

impl Pool {
    pub(super) fn of(redis: Redis, size: usize) -> Self {
        Self(Arc::new(Inner { redis, size, current: Mutex::new(None) }))
    }

    /// The pool of the primary.
    async fn current(&self) -> Result<deadpool_redis::Pool, String> {
        let Inner { redis, size, current } = &*self.0;
        let mut slot = current.lock().await;
        if let Some(current) = &*slot
            && (redis.is_fixed() || current.asked.elapsed() < ASK)
        {
            return Ok(current.pool.clone());
        }
        let asked = Instant::now();
        let info = match (redis.primary().await, &mut *slot) {
            (Ok(client), _) => client.get_connection_info().clone(),
            // The sentinels are away, which says nothing of Redis.
            (Err(_), Some(current)) => {
                current.asked = asked;
                return Ok(current.pool.clone());
            }
            (Err(error), None) => return Err(error.to_string()),
        };
        let to = info.addr().to_string();
        match &mut *slot {
            Some(current) if current.to == to => {
                current.asked = asked;
                Ok(current.pool.clone())
            }
            slot => {
                if slot.is_some() {
                    redis.has_moved();
                }
                let pool = build(redis, info, *size)?;
                *slot = Some(Current { pool: pool.clone(), to, asked });
                Ok(pool)
            }
        }
    }
}

fn build(redis: &Redis, info: ConnectionInfo, size: usize) -> Result<deadpool_redis::Pool, String> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(redis.connect_timeout()))
        .set_response_timeout(Some(redis.answer_timeout().max(Duration::from_secs(10))));
    let manager = Manager::new_with_config(info, config).map_err(|e| e.to_string())?;
    let wait = Some(redis.connect_timeout() + redis.answer_timeout());
    deadpool_redis::Pool::builder(manager)
        .max_size(size)
        .wait_timeout(wait)
        .create_timeout(wait)
        .recycle_timeout(wait)
        .runtime(Runtime::Tokio1)
        .post_create(Hook::sync_fn(|_, _| {
            POOL_USE.connected();
            Ok(())
        }))
        .build()
        .map_err(|e| e.to_string())
}

/// A connection for something that is not hot.
pub(crate) async fn checkout(pool: &Pool) -> Result<Connection, Failure> {
    let out_of_reach = |why: &str| {
        POOL_USE.failed();
        Failure::NotDone(format!("can't reach Redis: {why}"))
    };
    let pool = pool.current().await.map_err(|why| out_of_reach(&why))?;
    let wait = pool.timeouts().wait.unwrap_or(Duration::MAX);
    let Ok(connection) = tokio::time::timeout(wait, pool.get()).await else {
        // The pool would try one idle connection after the other, each for as long. If one is dead,
        // so are the others, mostly: the next who comes shall have a new one.
        pool.retain(|_, _| false);
        return Err(out_of_reach("no answer in time"));
    };
    connection.inspect(|_| POOL_USE.answered()).map_err(|error| match error {
        PoolError::Backend(error) => out_of_reach(&error.to_string()),
        PoolError::Timeout(_) => out_of_reach("no answer in time"),
        other => out_of_reach(&other.to_string()),
    })
}
