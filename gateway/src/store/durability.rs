//! The durability that a change needs before it is acknowledged, and the check of Redis's settings.

use std::collections::HashMap;
use std::fmt;

use redis::RedisResult;
use redis::aio::ConnectionLike;

use crate::store::dial::info;

/// The most replicas that `--durability` accepts.
const REPLICAS_MAX: u16 = 10;

/// Replicas acknowledge once a second; a longer lag means out of step.
const LAG_MAX_S: u64 = 3;

/// The durability of a change before it is acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// In Redis's memory. Nothing is checked.
    #[default]
    None,
    /// In the append-only file, written to the kernel: it survives a crash of Redis, but maybe not
    /// one of its host.
    Aof,
    /// In the append-only file, synced to disk.
    Fsync,
    /// In the memory of this many replicas, too.
    Replicas(u16),
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DurabilityCheck {
    /// Redis meets the durability.
    Met,
    /// Redis does not meet it, with what to do.
    Unmet(String),
    /// The settings can't be read.
    Unreadable(String),
}

impl Durability {
    /// Parses `none`, `aof`, `fsync` or `replicas=N`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "aof" => Ok(Self::Aof),
            "fsync" => Ok(Self::Fsync),
            _ => {
                let number = text.strip_prefix("replicas=").and_then(|n| n.parse().ok());
                let number = number.filter(|n| (1..=REPLICAS_MAX).contains(n));
                number.map(Self::Replicas).ok_or_else(|| {
                    format!("is not one of none, aof, fsync and replicas=N with N from 1 to {REPLICAS_MAX}")
                })
            }
        }
    }

    /// Whether acknowledged changes survive a restart, or with replicas a failover to one that has
    /// them, without the gateway that acknowledged them. A file helps only if the same Redis comes
    /// back.
    pub fn survives(self, same_redis: bool) -> bool {
        matches!(self, Self::Replicas(_)) || (same_redis && self == Self::Fsync)
    }

    /// Checks Redis's settings. `Err` means that the query failed.
    pub async fn check(self, conn: &mut impl ConnectionLike) -> RedisResult<DurabilityCheck> {
        match self {
            Self::None => Ok(DurabilityCheck::Met),
            Self::Aof | Self::Fsync => {
                let appends = appends(&info(conn, "persistence").await?);
                let is_met = appends == DurabilityCheck::Met;
                if is_met && self == Self::Fsync { syncs(conn).await } else { Ok(appends) }
            }
            Self::Replicas(wanted) => Ok(in_step(&info(conn, "replication").await?, wanted)),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Aof => f.write_str("aof"),
            Self::Fsync => f.write_str("fsync"),
            Self::Replicas(n) => write!(f, "replicas={n}"),
        }
    }
}

fn appends(info: &HashMap<String, String>) -> DurabilityCheck {
    let is = |name: &str, value: &str| info.get(name).is_some_and(|found| found == value);
    if !is("aof_enabled", "1") {
        DurabilityCheck::Unmet("Redis keeps no append-only file: CONFIG SET appendonly yes".into())
    } else if !is("aof_last_write_status", "ok") {
        DurabilityCheck::Unmet(
            "Redis could not write its append-only file: check its log; most often the disk is full".into(),
        )
    } else {
        DurabilityCheck::Met
    }
}

async fn syncs(conn: &mut impl ConnectionLike) -> RedisResult<DurabilityCheck> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("appendfsync").arg("no-appendfsync-on-rewrite");
    let config: HashMap<String, String> = match command.query_async(conn).await {
        // An error reply of Redis: the command is forbidden, or renamed.
        Err(error) if error.code().is_some() => {
            return Ok(DurabilityCheck::Unreadable(format!("CONFIG is forbidden here ({error})")));
        }
        other => other?,
    };
    let found = |name: &str| config.get(name).map_or("unknown", String::as_str);
    Ok(match (found("appendfsync"), found("no-appendfsync-on-rewrite")) {
        ("always", "no") => DurabilityCheck::Met,
        ("always", other) => DurabilityCheck::Unmet(format!(
            "Redis has no-appendfsync-on-rewrite {other}: CONFIG SET no-appendfsync-on-rewrite no"
        )),
        (other, _) => {
            DurabilityCheck::Unmet(format!("Redis has appendfsync {other}: CONFIG SET appendfsync always"))
        }
    })
}

fn in_step(info: &HashMap<String, String>, wanted: u16) -> DurabilityCheck {
    let replicas = (0..).map_while(|n| info.get(&format!("slave{n}")));
    let count = replicas.filter(|replica| is_in_step(replica)).count();
    if count >= usize::from(wanted) {
        DurabilityCheck::Met
    } else {
        DurabilityCheck::Unmet(format!("{count} of {wanted} replicas of Redis are in step: connect them"))
    }
}

/// Parses `ip=…,port=…,state=online,offset=…,lag=…`. A replica is `online` before it has loaded the
/// full copy, and its offset is 0 until it acknowledges.
fn is_in_step(replica: &str) -> bool {
    let field = |name: &str| replica.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    let number = |name: &str| field(name).and_then(|value| value.parse::<u64>().ok());
    field("state") == Some("online")
        && number("offset").is_some_and(|offset| offset > 0)
        && number("lag").is_some_and(|lag| lag <= LAG_MAX_S)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
