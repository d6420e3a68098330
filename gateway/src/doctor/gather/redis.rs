//! Collects the facts of a Redis over one connection, read-only.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::aio::ConnectionLike;
use redis::{RedisResult, Value, cmd};

use crate::config::ServeConfig;
use crate::doctor::fleet::FleetFacts;
use crate::doctor::redis::{Machine, RedisFacts};
use crate::fleet;
use crate::fleet::report::GatewayReport;
use crate::serve::POOL;
use crate::store::acl;
use crate::store::compatibility::find_incompatibility;
use crate::store::dial::{LedgerConnection, Redis, info};
use crate::store::keys::{FLEET, Keys, LIMITS, LIMITS_LOG, PURGED, SALES, slot_of};
use crate::store::scripts::{Failure, Refusal, Script, Scripts, text};

/// The largest number of `PING` and `TIME` calls, and their total time.
const PINGS: usize = 100;
const TIMES: usize = 10;
const PINGING_MAX: Duration = Duration::from_secs(10);
/// The settings read with `CONFIG`, one by one: passwords are not in the replies, and Redis 6 supports it.
const SETTINGS: [&str; 12] = [
    "appendonly",
    "appendfsync",
    "maxmemory",
    "maxmemory-policy",
    "maxclients",
    "save",
    "stop-writes-on-bgsave-error",
    "min-replicas-to-write",
    "client-output-buffer-limit",
    "timeout",
    "tcp-keepalive",
    "dir",
];
/// An id that no sale can have: it has a capital.
const NO_SALE: &str = "NONE";

/// A Redis of the ledger with its facts.
pub(crate) struct RedisInstance {
    pub(crate) redis: Redis,
    conn: LedgerConnection,
    pub(crate) facts: RedisFacts,
    /// The run id of the Redis process.
    pub(crate) run_id: String,
    /// Its clock, in ms.
    pub(crate) now_ms: i64,
}

/// State that all gateways share.
pub(crate) struct SharedFacts {
    pub(crate) fleet: FleetFacts,
    /// Ids of all sales.
    pub(crate) sales: Vec<String>,
}

/// Collects the facts of one Redis. An error means that it is unreachable, or refuses this user.
pub(crate) async fn instance(config: &ServeConfig, redis: Redis) -> RedisResult<RedisInstance> {
    let is_cluster = config.redis.is_cluster();
    // A replica is accepted here, so that the other checks run too.
    let mut opened = redis.dial_for(SALES, config.redis.answer_timeout()).await?;
    let conn = &mut opened;
    let info = info(conn, "default").await?;
    let settings = settings(conn).await?;
    let pings = pings(conn).await?;
    let (offset_ms, now_ms) = offset(conn).await?;
    let level = config.redis.durability();
    let facts = RedisFacts {
        master: is_cluster.then(|| redis.address()),
        incompatibility: find_incompatibility(conn, is_cluster).await,
        promise: (level, level.check(conn).await?),
        machine: redis.is_local().then(|| machine(&info, &settings)).flatten(),
        config: settings,
        pings,
        answer_timeout: config.redis.answer_timeout(),
        offset_ms,
        slow: slow(conn, now_ms).await,
        scripts_refused: None,
        foreign_keys: 0,
        connections_needed: connections(config),
        info,
    };
    let run_id = facts.info.get("run_id").cloned().unwrap_or_default();
    Ok(RedisInstance { redis, conn: opened, facts, run_id, now_ms })
}

/// Reads the shared state of gateways, and completes the facts. Fails on a Redis that can't be the
/// ledger: a part of a cluster, or one that is still loading.
pub(crate) async fn shared(
    config: &ServeConfig,
    scripts: &Scripts,
    all: &mut [RedisInstance],
) -> RedisResult<SharedFacts> {
    // Before any call that would load a script.
    let mut loaded_least = Ok((usize::MAX, 0));
    for instance in &mut *all {
        let here = loaded(&mut instance.conn, scripts).await?;
        loaded_least = match (loaded_least, here) {
            (Ok(least), Ok(here)) => Ok(least.min(here)),
            (Err(why), _) | (_, Err(why)) => Err(why),
        };
    }
    let timeout = config.redis.answer_timeout();
    let mut conn = config.redis.dial_for(SALES, timeout).await?;
    let sales: Vec<String> = cmd("SMEMBERS").arg(SALES).query_async(&mut conn).await?;
    let fleet = FleetFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        live: live(&mut config.redis.dial_for(FLEET, timeout).await?).await?,
        expected: None,
        scripts: loaded_least,
        here: None,
        configured: config.rates.rates,
        set: fleet::read_limits(&mut config.redis.dial_for(LIMITS, timeout).await?).await?,
    };
    for RedisInstance { redis, conn, facts, .. } in all {
        let here: Vec<Keys> =
            sales.iter().map(|sale| Keys::of(sale)).filter(|keys| redis.has_slot(keys.slot())).collect();
        facts.foreign_keys = foreign_keys(redis, conn, &here).await?;
        facts.scripts_refused = refused(redis, conn, scripts).await;
        if config.redis.is_cluster() {
            // A consumer for each sale, one for the list of sales, and one for the slot map.
            facts.connections_needed += 2 * u64::try_from(here.len() + 2).unwrap_or(u64::MAX);
        }
    }
    Ok(SharedFacts { fleet, sales })
}

/// A connection for each worker and task, both pools, the consumer and the fleet; twice, for replacements.
fn connections(config: &ServeConfig) -> u64 {
    // A connection for each worker, one for ticks and sweeps, one for reads.
    let connections = config.workers + 2;
    u64::try_from(2 * (connections + 2) + 2 * POOL).unwrap_or(u64::MAX)
}

/// The settings; an inner error means that Redis does not allow to read them.
async fn settings(conn: &mut impl ConnectionLike) -> RedisResult<Result<HashMap<String, String>, String>> {
    let mut found = HashMap::new();
    for name in SETTINGS {
        match cmd("CONFIG").arg("GET").arg(name).query_async::<HashMap<String, String>>(conn).await {
            Ok(values) => found.extend(values),
            Err(error) if is_an_answer(&error) => return Ok(Err(error.to_string())),
            Err(error) => return Err(error),
        }
    }
    Ok(Ok(found))
}

/// The live gateways; an inner error means that Redis does not allow to read them, as a replica.
async fn live(conn: &mut LedgerConnection) -> RedisResult<Result<Vec<GatewayReport>, String>> {
    match fleet::live(conn).await {
        Ok(live) => Ok(Ok(live.into_values().collect())),
        Err(error) if is_an_answer(&error) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Whether Redis replied with an error, instead of no reply.
fn is_an_answer(error: &redis::RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension)
}

async fn pings(conn: &mut impl ConnectionLike) -> RedisResult<Vec<Duration>> {
    let start = Instant::now();
    let mut pings = Vec::with_capacity(PINGS);
    while pings.len() < PINGS && start.elapsed() < PINGING_MAX {
        let sent = Instant::now();
        match cmd("PING").query_async::<()>(conn).await {
            // An error reply counts too: a Redis that loads its files sends one.
            Ok(()) => {}
            Err(error) if is_an_answer(&error) => {}
            Err(error) => return Err(error),
        }
        pings.push(sent.elapsed());
    }
    Ok(pings)
}

/// Redis's clock minus this host's, from the fastest of some replies, with its uncertainty; then Redis's
/// clock itself.
async fn offset(conn: &mut impl ConnectionLike) -> RedisResult<((f64, f64), i64)> {
    let mut best = (0.0, f64::INFINITY);
    let mut now_ms = 0.0;
    for _ in 0..TIMES {
        let (wall, sent) = (SystemTime::now(), Instant::now());
        let (seconds, micros): (f64, f64) = cmd("TIME").query_async(conn).await?;
        let half_ms = sent.elapsed().as_secs_f64() * 1e3 / 2.0;
        let ours_ms = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3 + half_ms;
        now_ms = seconds * 1e3 + micros / 1e3;
        if half_ms < best.1 {
            best = (now_ms - ours_ms, half_ms);
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit for some million years")]
    Ok((best, now_ms as i64))
}

/// Scripts of this binary in Redis, and their total; an inner error means that Redis does not allow to
/// read them.
async fn loaded(
    conn: &mut impl ConnectionLike,
    scripts: &Scripts,
) -> RedisResult<Result<(usize, usize), String>> {
    let hashes: Vec<&str> = scripts.hashes().collect();
    match cmd("SCRIPT").arg("EXISTS").arg(&hashes).query_async::<Vec<bool>>(conn).await {
        Ok(found) => Ok(Ok((found.iter().filter(|is_there| **is_there).count(), hashes.len()))),
        Err(error) if is_an_answer(&error) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Runs a read-only script, on a sale that can't exist.
async fn refused(redis: &Redis, conn: &mut impl ConnectionLike, scripts: &Scripts) -> Option<String> {
    let none_here =
        (0..).map(|n| Keys::of(&format!("{NO_SALE}-{n}"))).find(|keys| redis.has_slot(keys.slot()))?;
    match scripts.call(conn, Script::Snapshot, &none_here, &[] as &[&str]).await {
        Ok(_) | Err(Failure::Refused(Refusal::Missing)) => {}
        Err(failure) => return Some(failure.to_string()),
    }
    // The probe that a gateway makes on every connection.
    match scripts.probe(conn, acl::SERVING).await {
        Ok(missing) if missing.is_empty() => None,
        Ok(missing) => Some(acl::missing(&missing)),
        Err(Failure::NotDone(why)) if why.contains(acl::GRANT) => Some(why),
        // Other checks report a replica, or a Redis that refuses writes.
        Err(_) => None,
    }
}

/// The slow events that Redis recorded, if it records them and allows to read them.
async fn slow(conn: &mut impl ConnectionLike, now_ms: i64) -> Vec<(String, i64, i64)> {
    let events: Vec<Value> = cmd("LATENCY").arg("LATEST").query_async(conn).await.unwrap_or_default();
    let event = |event: &Value| {
        let Value::Array(parts) = event else { return None };
        let number = |at: usize| parts.get(at).and_then(text)?.parse::<i64>().ok();
        Some((parts.first().and_then(text)?, now_ms / 1_000 - number(1)?, number(3)?))
    };
    events.iter().filter_map(event).collect()
}

async fn foreign_keys(redis: &Redis, conn: &mut impl ConnectionLike, sales: &[Keys]) -> RedisResult<u64> {
    let mut others: u64 = cmd("DBSIZE").query_async(conn).await?;
    let shared: [&[&str]; 4] = [&[SALES], &[FLEET], &[LIMITS, LIMITS_LOG], &[PURGED]];
    // A cluster accepts only keys of one slot in a call.
    for keys in shared.iter().filter(|keys| redis.has_slot(slot_of(keys[0]))) {
        others = others.saturating_sub(cmd("EXISTS").arg(keys).query_async(conn).await?);
    }
    for keys in sales {
        others = others.saturating_sub(cmd("EXISTS").arg(keys.all()).query_async(conn).await?);
    }
    Ok(others)
}

/// The facts of this host if Redis runs on it, by its process and the folder of its files.
fn machine(
    info: &HashMap<String, String>,
    settings: &Result<HashMap<String, String>, String>,
) -> Option<Machine> {
    let name = std::fs::read_to_string(format!("/proc/{}/comm", info.get("process_id")?)).ok()?;
    if !["redis", "valkey"].iter().any(|name_start| name.starts_with(name_start)) {
        return None;
    }
    let folder = settings.as_ref().ok().and_then(|settings| settings.get("dir"));
    let disk = folder.and_then(|folder| rustix::fs::statvfs(folder.as_str()).ok());
    let overcommit = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").ok();
    Some(Machine {
        disk_free: disk.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        overcommit: overcommit.and_then(|mode| mode.trim().parse().ok()),
    })
}

#[cfg(test)]
mod tests;
