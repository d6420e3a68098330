//! What a Redis says of itself, asked on one connection. Nothing is changed in it.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::aio::ConnectionLike;
use redis::{RedisResult, Value, cmd};

use crate::config::ServeConfig;
use crate::doctor::fleet::FleetFacts;
use crate::doctor::redis::{Machine, RedisFacts};
use crate::fleet;
use crate::fleet::report::GatewayReport;
use crate::ops::brake::fleet_view;
use crate::serve::POOL;
use crate::store::acl;
use crate::store::compatibility::find_incompatibility;
use crate::store::dial::{LedgerConnection, Redis, info};
use crate::store::keys::{FLEET, Keys, LIMITS, LIMITS_LOG, PURGED, SALES, slot_of};
use crate::store::scripts::{Failure, Refusal, Script, Scripts, text};

/// How often it is asked for a `PING`, and for the time; not for longer than this.
const PINGS: usize = 100;
const TIMES: usize = 10;
const PINGING_MAX: Duration = Duration::from_secs(10);
/// What is asked of `CONFIG`: one by one, so that passwords are not among the answers, and Redis 6 understands.
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
/// A sale that can't be: its id has a capital.
const NO_SALE: &str = "NONE";

/// One Redis that the ledger is in, and what it says of itself.
pub(crate) struct RedisInstance {
    pub(crate) redis: Redis,
    conn: LedgerConnection,
    pub(crate) facts: RedisFacts,
    /// Of the process at the other end.
    pub(crate) run_id: String,
    /// Its clock, in ms.
    pub(crate) now_ms: i64,
}

/// What all gateways share in it.
pub(crate) struct SharedFacts {
    pub(crate) fleet: FleetFacts,
    /// Ids of all sales.
    pub(crate) sales: Vec<String>,
}

/// Asks how it is. An error means that it is out of reach, or does not let us in.
pub(crate) async fn instance(config: &ServeConfig, redis: Redis) -> RedisResult<RedisInstance> {
    let is_cluster = config.redis.is_cluster();
    // Also of one that is a replica, the rest is looked at.
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

/// Asks for what gateways keep in it, and completes the facts. Fails where it lives and is no ledger: a part of a
/// cluster, or one that is still loading.
pub(crate) async fn shared(
    config: &ServeConfig,
    scripts: &Scripts,
    all: &mut [RedisInstance],
) -> RedisResult<SharedFacts> {
    // Before anything is run that would load one.
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
            // A consumer for each sale, one that lists them, and who asks for the map.
            facts.connections_needed += 2 * u64::try_from(here.len() + 2).unwrap_or(u64::MAX);
        }
    }
    Ok(SharedFacts { fleet, sales })
}

/// A connection for each worker and the ledger, both pools, the consumer, the fleet; and a second of each while one is replaced.
fn connections(config: &ServeConfig) -> u64 {
    // A connection for each worker, one for ticks and sweeps, one for rounds.
    let connections = config.workers + 2;
    u64::try_from(2 * (connections + 2) + 2 * POOL).unwrap_or(u64::MAX)
}

/// The settings; an error inside means that Redis does not tell them.
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

/// The gateways that live; an error inside means that Redis does not let us ask, as a replica does not.
async fn live(conn: &mut LedgerConnection) -> RedisResult<Result<Vec<GatewayReport>, String>> {
    match fleet::live(conn).await {
        Ok(live) => Ok(Ok(fleet_view(live).gateways.into_values().collect())),
        Err(error) if is_an_answer(&error) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Redis has said no, rather than nothing.
fn is_an_answer(error: &redis::RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension)
}

async fn pings(conn: &mut impl ConnectionLike) -> RedisResult<Vec<Duration>> {
    let start = Instant::now();
    let mut pings = Vec::with_capacity(PINGS);
    while pings.len() < PINGS && start.elapsed() < PINGING_MAX {
        let sent = Instant::now();
        match cmd("PING").query_async::<()>(conn).await {
            // Also a no is an answer: one that loads its files says so.
            Ok(()) => {}
            Err(error) if is_an_answer(&error) => {}
            Err(error) => return Err(error),
        }
        pings.push(sent.elapsed());
    }
    Ok(pings)
}

/// Redis's clock less ours, by the quickest of some answers, and how far that may be off; then its clock itself.
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

/// How many of our scripts Redis has, and how many there are; an error inside means that it does not tell.
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

/// Runs one that reads only, on a sale that can't be.
async fn refused(redis: &Redis, conn: &mut impl ConnectionLike, scripts: &Scripts) -> Option<String> {
    let none_here =
        (0..).map(|n| Keys::of(&format!("{NO_SALE}-{n}"))).find(|keys| redis.has_slot(keys.slot()))?;
    match scripts.call(conn, Script::Snapshot, &none_here, &[] as &[&str]).await {
        Ok(_) | Err(Failure::Refused(Refusal::Missing)) => {}
        Err(failure) => return Some(failure.to_string()),
    }
    // What a gateway looks at with every connection.
    match scripts.probe(conn, acl::SERVING).await {
        Ok(missing) if missing.is_empty() => None,
        Ok(missing) => Some(acl::missing(&missing)),
        Err(Failure::NotDone(why)) if why.contains(acl::GRANT) => Some(why),
        // That it is a replica, or takes no writes, is said elsewhere.
        Err(_) => None,
    }
}

/// What Redis noted as slow, if it does note that and lets us ask.
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
    // A cluster takes only keys of one slot at a time.
    for keys in shared.iter().filter(|keys| redis.has_slot(slot_of(keys[0]))) {
        others = others.saturating_sub(cmd("EXISTS").arg(keys).query_async(conn).await?);
    }
    for keys in sales {
        others = others.saturating_sub(cmd("EXISTS").arg(keys.all()).query_async(conn).await?);
    }
    Ok(others)
}

/// Redis is on this machine: its process is seen, and the folder of its files.
fn machine(
    info: &HashMap<String, String>,
    settings: &Result<HashMap<String, String>, String>,
) -> Option<Machine> {
    let name = std::fs::read_to_string(format!("/proc/{}/comm", info.get("process_id")?)).ok()?;
    if !["redis", "valkey"].iter().any(|known| name.starts_with(known)) {
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
