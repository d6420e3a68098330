//! The facts of a Redis, read over one connection.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::aio::ConnectionLike;
use redis::{RedisResult, Value, cmd};

use crate::config::ServeConfig;
use crate::doctor::fleet::FleetFacts;
use crate::fleet;
use crate::fleet::clock_offset::Offset;
use crate::serve::POOL;
use crate::store::acl;
use crate::store::compatibility::find_incompatibility;
use crate::store::dial::{LedgerConnection, Redis, info};
use crate::store::durability::{Durability, DurabilityCheck};
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

/// The facts of a Redis.
#[derive(Debug)]
pub(in crate::doctor) struct RedisFacts {
    /// The address of this master in a cluster.
    pub master: Option<String>,
    /// Why it can't be the ledger, or a part of it.
    pub incompatibility: Option<String>,
    /// `INFO`.
    pub info: HashMap<String, String>,
    /// `CONFIG GET`, or its error.
    pub config: Result<HashMap<String, String>, String>,
    /// The time of each `PING`.
    pub pings: Vec<Duration>,
    /// The answer timeout of gateways.
    pub answer_timeout: Duration,
    /// Redis's clock minus this host's.
    pub offset: Offset,
    /// `LATENCY LATEST`: name, age in s, the worst in ms.
    pub slow: Vec<(String, i64, i64)>,
    /// The error of running a script, if there is one.
    pub scripts_refused: Option<String>,
    /// Keys that are not Launchgate's.
    pub foreign_keys: u64,
    /// Connections that a gateway with these options opens.
    pub connections_needed: u64,
    /// The required durability, and its check.
    pub promise: (Durability, DurabilityCheck),
    /// The facts of its host, if it runs on this one.
    pub machine: Option<Machine>,
}

/// The facts of the host of Redis.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Machine {
    /// Free bytes on the disk of the append-only file.
    pub disk_free: Option<u64>,
    /// `vm.overcommit_memory`.
    pub overcommit: Option<u64>,
}

impl RedisFacts {
    /// The area of its findings.
    pub(in crate::doctor) fn area(&self) -> String {
        self.master.as_ref().map_or("redis".to_owned(), |address| format!("redis {address}"))
    }

    /// A number of `INFO`.
    pub(in crate::doctor) fn number(&self, name: &str) -> u64 {
        self.info.get(name).and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    pub(super) fn info(&self, name: &str) -> &str {
        self.info.get(name).map_or("", String::as_str)
    }

    /// A setting from `CONFIG`, or where that is forbidden from `INFO`, which has some of them.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        if let Ok(config) = &self.config {
            return config.get(name).map(String::as_str);
        }
        let listed = match name {
            "appendonly" => return Some(if self.info("aof_enabled") == "1" { "yes" } else { "no" }),
            "maxmemory" => "maxmemory",
            "maxmemory-policy" => "maxmemory_policy",
            "maxclients" => "maxclients",
            _ => return None,
        };
        self.info.get(listed).map(String::as_str)
    }

    pub(super) fn setting_number(&self, name: &str) -> Option<u64> {
        self.setting(name)?.parse().ok()
    }
}

/// A Redis of the ledger with its facts.
pub(in crate::doctor) struct RedisInstance {
    pub redis: Redis,
    conn: LedgerConnection,
    pub facts: RedisFacts,
    /// Its clock, in ms.
    pub now_ms: i64,
}

/// Collects the facts of each Redis of the ledger. An error means that one is unreachable, or refuses this
/// user.
pub(in crate::doctor) async fn instances(config: &ServeConfig) -> RedisResult<Vec<RedisInstance>> {
    let mut all = Vec::new();
    for redis in config.redis.each().await? {
        all.push(instance(config, redis).await?);
    }
    Ok(all)
}

async fn instance(config: &ServeConfig, redis: Redis) -> RedisResult<RedisInstance> {
    let is_cluster = config.redis.is_cluster();
    // A replica is accepted here, so that the other checks run too.
    let mut opened = redis.dial_for(SALES, config.redis.answer_timeout()).await?;
    let conn = &mut opened;
    let info = info(conn, "default").await?;
    let settings = settings(conn).await?;
    let pings = pings(conn).await?;
    let offset = offset(conn).await?;
    #[expect(clippy::cast_possible_truncation, reason = "an offset in milliseconds is far below 2^63")]
    let now_ms = jiff::Timestamp::now().as_millisecond() + (offset.seconds * 1e3) as i64;
    // A connection for each worker, one for ticks and sweeps, one for reads, the consumer and the fleet.
    let connections = config.workers + 4;
    let level = config.redis.durability();
    let facts = RedisFacts {
        master: is_cluster.then(|| redis.address()),
        incompatibility: find_incompatibility(conn, is_cluster).await,
        promise: (level, level.check(conn).await?),
        machine: redis.is_local().then(|| machine(&info, &settings)).flatten(),
        config: settings,
        pings,
        answer_timeout: config.redis.answer_timeout(),
        offset,
        slow: slow(conn, now_ms).await,
        scripts_refused: None,
        foreign_keys: 0,
        // Both pools as well; twice, for replacements.
        connections_needed: u64::try_from(2 * connections + 2 * POOL).unwrap_or(u64::MAX),
        info,
    };
    Ok(RedisInstance { redis, conn: opened, facts, now_ms })
}

/// Reads the shared state of gateways and the ids of all sales, and completes the facts. Fails on a Redis that
/// can't be the ledger: a part of a cluster, or one that is still loading.
pub(in crate::doctor) async fn shared(
    config: &ServeConfig,
    scripts: &Scripts,
    all: &mut [RedisInstance],
) -> RedisResult<(FleetFacts, Vec<String>)> {
    // Before any call that would load a script.
    let mut loaded_at = Vec::new();
    for instance in &mut *all {
        loaded_at.push(loaded(&mut instance.conn, scripts).await?);
    }
    let loaded_at: Result<Vec<_>, _> = loaded_at.into_iter().collect();
    let timeout = config.redis.answer_timeout();
    let mut conn = config.redis.dial_for(SALES, timeout).await?;
    let sales: Vec<String> = cmd("SMEMBERS").arg(SALES).query_async(&mut conn).await?;
    // A replica may be forbidden to read them.
    let live = allowed(fleet::live(&mut config.redis.dial_for(FLEET, timeout).await?).await)?;
    let fleet = FleetFacts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        live: live.map(|live| live.into_values().collect()),
        expected: None,
        scripts: loaded_at.map(|least| least.into_iter().min().unwrap_or_default()),
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
    Ok((fleet, sales))
}

/// The settings; an inner error means that Redis does not allow to read them.
async fn settings(conn: &mut impl ConnectionLike) -> RedisResult<Result<HashMap<String, String>, String>> {
    let mut found = HashMap::new();
    for name in SETTINGS {
        match allowed(cmd("CONFIG").arg("GET").arg(name).query_async::<HashMap<_, _>>(conn).await)? {
            Ok(values) => found.extend(values),
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok(found))
}

/// The reply; an inner error is one that Redis sent, because it does not allow the command or can't do it now.
fn allowed<T>(reply: RedisResult<T>) -> RedisResult<Result<T, String>> {
    match reply {
        Err(error) if matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension) => {
            Ok(Err(error.to_string()))
        }
        other => other.map(Ok),
    }
}

async fn pings(conn: &mut impl ConnectionLike) -> RedisResult<Vec<Duration>> {
    let start = Instant::now();
    let mut pings = Vec::with_capacity(PINGS);
    while pings.len() < PINGS && start.elapsed() < PINGING_MAX {
        let sent = Instant::now();
        // An error reply counts too: a Redis that loads its files sends one.
        let _ = allowed(cmd("PING").query_async::<()>(conn).await)?;
        pings.push(sent.elapsed());
    }
    Ok(pings)
}

/// Redis's clock minus this host's, from the fastest of some replies.
async fn offset(conn: &mut impl ConnectionLike) -> RedisResult<Offset> {
    let mut best = Offset::measure(conn).await?;
    for _ in 1..TIMES {
        let next = Offset::measure(conn).await?;
        if next.error_s < best.error_s {
            best = next;
        }
    }
    Ok(best)
}

/// Scripts of this binary in Redis, and their total; an inner error means that Redis does not allow to
/// read them.
async fn loaded(
    conn: &mut impl ConnectionLike,
    scripts: &Scripts,
) -> RedisResult<Result<(usize, usize), String>> {
    let hashes: Vec<&str> = scripts.hashes().collect();
    let found = allowed(cmd("SCRIPT").arg("EXISTS").arg(&hashes).query_async::<Vec<bool>>(conn).await)?;
    Ok(found.map(|found| (found.iter().filter(|is_there| **is_there).count(), hashes.len())))
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
        let mut own = cmd("EXISTS");
        own.arg(keys.all()).arg(keys.recovery()).arg(keys.readers());
        others = others.saturating_sub(own.query_async(conn).await?);
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
