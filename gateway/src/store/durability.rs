//! What an acknowledgement means: how safe a change must be before anybody is told of it, and whether this Redis is set so.

use std::collections::HashMap;
use std::fmt;

use redis::RedisResult;
use redis::aio::ConnectionLike;

use crate::store::dial::info;

/// More replicas than that nobody waits for.
const REPLICAS_MAX: u16 = 10;

/// Replicas acknowledge once a second; who has not for longer is out of step.
const LAG_MAX_S: u64 = 3;

/// What must have become of a change before its caller hears of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// Redis has it in its memory. Nothing is checked.
    #[default]
    None,
    /// It is in the append-only file, as the kernel has it: a crash of Redis loses nothing, one of its machine may.
    Aof,
    /// It is in the append-only file, on disk.
    Fsync,
    /// So many replicas have it, too, in their memory.
    Replicas(u16),
}

/// What was found of a Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DurabilityCheck {
    /// It keeps what is promised.
    Met,
    /// It does not, and what to do.
    Unmet(String),
    /// It does not let us look.
    Unreadable(String),
}

impl Durability {
    /// Reads `none`, `aof`, `fsync` or `replicas=N`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "aof" => Ok(Self::Aof),
            "fsync" => Ok(Self::Fsync),
            _ => {
                let number = text.strip_prefix("replicas=").and_then(|n| n.parse().ok());
                let number = number.filter(|n| (1..=REPLICAS_MAX).contains(n));
                number.map(Self::Replicas).ok_or_else(|| {
                    format!("is none of none, aof, fsync and replicas=N with N from 1 to {REPLICAS_MAX}")
                })
            }
        }
    }

    /// Whether what was told is there after a restart, or with replicas also after a failover to one that has it, whatever became
    /// of the gateway that told it. A file helps only where the same Redis comes back.
    #[must_use]
    pub fn survives(self, same_redis: bool) -> bool {
        matches!(self, Self::Replicas(_)) || (same_redis && self == Self::Fsync)
    }

    /// Looks whether Redis is set accordingly. An `Err` means that it could not be asked at all.
    pub async fn check(self, conn: &mut impl ConnectionLike) -> RedisResult<DurabilityCheck> {
        match self {
            Self::None => Ok(DurabilityCheck::Met),
            Self::Aof => Ok(appends(&info(conn, "persistence").await?)),
            Self::Fsync => {
                let appends = appends(&info(conn, "persistence").await?);
                if appends == DurabilityCheck::Met { syncs(conn).await } else { Ok(appends) }
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
            "Redis could not write its append-only file: look into its log, mostly the disk is full".into(),
        )
    } else {
        DurabilityCheck::Met
    }
}

async fn syncs(conn: &mut impl ConnectionLike) -> RedisResult<DurabilityCheck> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("appendfsync").arg("no-appendfsync-on-rewrite");
    let config: HashMap<String, String> = match command.query_async(conn).await {
        // An error that Redis itself answers with: not allowed, or renamed away.
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

/// `ip=…,port=…,state=online,offset=…,lag=…`: one that has got the whole copy says `online` before it has taken it in, and
/// its offset is 0 until it acknowledges.
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
