//! Connections for everything off the hot path: to the current primary behind sentinels, or to a
//! key's master in a cluster.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use deadpool_redis::{Hook, Manager, PoolError, Runtime};
use redis::{ConnectionInfo, ErrorKind, ServerErrorKind};
use tokio::sync::Mutex;

use crate::store::acl;
use crate::store::cluster::{Cluster, ClusterAwareConnection, Master};
use crate::store::dial::{Dial, Redis, time_limits};
use crate::store::keys::{SALES, slot_of};
use crate::store::scripts::Failure;
use crate::telemetry::uses::RedisUse;

/// The use of pools: all pools of this process have the same Redis.
pub static POOL_USE: RedisUse = RedisUse::new();

/// How often sentinels are asked for the primary. A former one may keep answering, as a replica.
const ASK: Duration = Duration::from_secs(1);

/// How many redirections are followed: nodes learn of a moved slot one after the other.
const MOVED_MAX: usize = 10;

/// A connection of a pool.
pub type Connection = ClusterAwareConnection<deadpool_redis::Connection>;

/// A bounded number of connections to a Redis, or to each master of a cluster. A `PING` checks
/// every checkout.
#[derive(Clone)]
pub struct Pool {
    redis: Redis,
    size: usize,
    current: Arc<Mutex<Option<CurrentPool>>>,
    /// The pools of a cluster's masters, by address.
    members: Arc<Mutex<HashMap<Arc<str>, deadpool_redis::Pool>>>,
}

struct CurrentPool {
    pool: deadpool_redis::Pool,
    /// Their target, and when it was determined.
    to: String,
    asked: Instant,
    /// Set when a server was found not to be the primary: new connections may lead to another.
    left: Arc<AtomicBool>,
    /// See [`Dial::moves`], as it was when the pool was made.
    moves: u64,
}

impl CurrentPool {
    fn is_left(&self, redis: &Redis) -> bool {
        self.left.load(Relaxed) || self.moves != redis.moves()
    }
}

impl Pool {
    pub(crate) fn of(redis: Redis, size: usize) -> Self {
        Self { redis, size, current: Arc::default(), members: Arc::default() }
    }

    /// The address of its connections.
    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    /// The pool of one master.
    async fn member(&self, cluster: &Cluster, master: &Master) -> Result<deadpool_redis::Pool, String> {
        let mut members = self.members.lock().await;
        if let Some(pool) = members.get(&master.address) {
            return Ok(pool.clone());
        }
        members.retain(|address, _| cluster.has(address));
        let pool = build(&self.redis, master.client.get_connection_info().clone(), self.size)?;
        members.insert(master.address.clone(), pool.clone());
        Ok(pool)
    }

    /// Drops its connections: their server can't be the ledger. New ones may lead elsewhere.
    pub(crate) async fn leave(&self) {
        if let Some(current) = &*self.current.lock().await {
            current.left.store(true, Relaxed);
        }
    }

    /// The pool of the primary, and its flag to drop connections.
    async fn current(&self) -> Result<(deadpool_redis::Pool, Arc<AtomicBool>), String> {
        let redis = &self.redis;
        let mut slot = self.current.lock().await;
        if let Some(current) = &*slot
            && (redis.is_fixed() || current.asked.elapsed() < ASK)
            && !current.is_left(redis)
        {
            return Ok((current.pool.clone(), current.left.clone()));
        }
        let asked = Instant::now();
        let info = match (redis.primary(SALES).await, &mut *slot) {
            (Ok(client), _) => client.get_connection_info().clone(),
            // The sentinels are unreachable, which does not concern Redis.
            (Err(_), Some(current)) => {
                current.asked = Instant::now();
                return Ok((current.pool.clone(), current.left.clone()));
            }
            (Err(error), None) => return Err(error.to_string()),
        };
        let to = info.addr().to_string();
        match &mut *slot {
            Some(current) if current.to == to && !current.is_left(redis) => {
                current.asked = asked;
                Ok((current.pool.clone(), current.left.clone()))
            }
            slot => {
                if slot.as_ref().is_some_and(|before| before.to != to) {
                    redis.record_move();
                }
                let (pool, left) = (build(redis, info, self.size)?, Arc::<AtomicBool>::default());
                let moves = redis.moves();
                *slot = Some(CurrentPool { pool: pool.clone(), to, asked, left: left.clone(), moves });
                Ok((pool, left))
            }
        }
    }
}

fn build(redis: &Redis, info: ConnectionInfo, size: usize) -> Result<deadpool_redis::Pool, String> {
    let config = time_limits(redis.connect_timeout(), redis.answer_timeout().max(Duration::from_secs(10)));
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

/// Checks out a connection for this key and those of its slot. In a cluster its master has just
/// confirmed the slot: no write is ever sent twice.
pub(crate) async fn checkout(pool: &Pool, key: &str) -> Result<Connection, Failure> {
    let Some(cluster) = pool.redis.cluster() else {
        let (current, left) = pool.current().await.map_err(|why| out_of_reach(pool, why))?;
        return open(pool, current, Some(left)).await;
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let master = cluster.find(slot_of(key)).await.map_err(|error| out_of_reach(pool, error))?;
        let member = pool.member(cluster, &master).await.map_err(|why| out_of_reach(pool, why))?;
        let mut conn = open(pool, member, None).await?;
        match redis::cmd("EXISTS").arg(key).query_async::<i64>(&mut conn).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) && tries < MOVED_MAX => {
                cluster.refresh_now().await;
            }
            // The caller's own command gets any other error.
            _ => return Ok(conn),
        }
    }
}

/// Checks out a connection to each Redis of the ledger, with its address. An error means that none
/// is known.
pub(crate) async fn checkout_each(
    pool: &Pool,
) -> Result<Vec<(String, Result<Connection, Failure>)>, Failure> {
    let Some(cluster) = pool.redis.cluster() else {
        return Ok(vec![(pool.redis.address(), checkout(pool, SALES).await)]);
    };
    let masters = cluster.masters().await.map_err(|error| out_of_reach(pool, error))?;
    let one = async |master: Arc<Master>| {
        let connection = match pool.member(cluster, &master).await {
            Ok(member) => open(pool, member, None).await,
            Err(why) => Err(out_of_reach(pool, why)),
        };
        (master.address.to_string(), connection)
    };
    Ok(futures_util::future::join_all(masters.into_iter().map(one)).await)
}

async fn open(
    of: &Pool,
    pool: deadpool_redis::Pool,
    left: Option<Arc<AtomicBool>>,
) -> Result<Connection, Failure> {
    let cluster = of.redis.cluster();
    let request_refresh = || cluster.iter().for_each(|cluster| cluster.request_refresh());
    let wait = pool.timeouts().wait.unwrap_or(Duration::MAX);
    let Ok(connection) = tokio::time::timeout(wait, pool.get()).await else {
        // The pool would try idle connections in turn, each up to the time limit. If one is dead,
        // most are: the next checkout gets a new one.
        pool.retain(|_, _| false);
        request_refresh();
        return Err(out_of_reach(of, "no answer in time"));
    };
    match connection {
        Ok(conn) => {
            POOL_USE.answered();
            Ok(ClusterAwareConnection { conn, cluster: cluster.cloned(), left })
        }
        Err(error) => {
            request_refresh();
            Err(match error {
                PoolError::Backend(error) => out_of_reach(of, acl::explain(&error)),
                PoolError::Timeout(_) => out_of_reach(of, "no answer in time"),
                other => out_of_reach(of, other),
            })
        }
    }
}

fn out_of_reach(pool: &Pool, why: impl Display) -> Failure {
    POOL_USE.failed(&why);
    Failure::NotDone(format!("can't reach Redis at {}: {why}", pool.redis.address()))
}
