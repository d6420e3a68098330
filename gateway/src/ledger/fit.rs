//! Whether a Redis can be the ledger at all, whatever is promised of it: its version, its role, its cluster.

use std::collections::HashMap;

use redis::Value;
use redis::aio::ConnectionLike;

use super::checkout_each;
use super::dial::info;
use super::keys::SLOTS;
use super::pool::Pool;
use super::scripts::{Failure, text};

/// The first that can run our scripts (`#!lua` with flags).
pub const VERSION_MIN: (u64, u64) = (7, 0);

/// Why this Redis can't be a ledger, or a part of one if it is named as a cluster. One that does not let us ask is taken for
/// fit.
pub async fn misfit(conn: &mut impl ConnectionLike, is_cluster: bool) -> Option<String> {
    match other(conn, is_cluster).await {
        None if is_cluster => gap(conn).await,
        None => is_replica(conn).await,
        told => told,
    }
}

/// Why it can't even be read as one.
async fn other(conn: &mut impl ConnectionLike, is_cluster: bool) -> Option<String> {
    let server = info(conn, "server").await.ok()?;
    if let Some(told) = too_old(&server) {
        return Some(told);
    }
    match (is_cluster, mode(&server)) {
        (false, "cluster") => Some(
            "this Redis is a node of a cluster, which has only a part of the keys: name it as redis+cluster://HOST:PORT,HOST:PORT"
                .to_owned(),
        ),
        (false, "sentinel") => {
            Some("this is a sentinel: name it as redis+sentinel://HOST:PORT/SERVICE".to_owned())
        }
        _ => None,
    }
}

/// The same for each Redis that the ledger is in, before a command does anything with it. A replica may be read, and what a cluster
/// with gaps still serves may be used. An error is what keeps it from being done.
pub async fn check(pool: &Pool) -> Result<(), Failure> {
    for (_, conn) in checkout_each(pool).await? {
        // Not a word of one master that is away: perhaps it is not the one that is needed.
        let mut conn = match conn {
            Err(_) if pool.redis().is_cluster() => continue,
            other => other?,
        };
        if let Some(why) = other(&mut conn, pool.redis().is_cluster()).await {
            return Err(Failure::NotDone(why));
        }
    }
    Ok(())
}

/// The first two numbers of a version.
#[must_use]
pub fn version(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// `standalone`, `cluster` or `sentinel`, by `INFO`; empty if it does not say.
#[must_use]
pub fn mode(info: &HashMap<String, String>) -> &str {
    // Valkey calls it by another name.
    info.get("redis_mode").or(info.get("server_mode")).map_or("", String::as_str)
}

fn too_old(server: &HashMap<String, String>) -> Option<String> {
    let text = server.get("redis_version")?;
    let is_too_old = version(text).is_some_and(|version| version < VERSION_MIN);
    let (major, minor) = VERSION_MIN;
    is_too_old
        .then(|| format!("Redis {text} is too old, its scripts have no flags: use {major}.{minor} or later"))
}

async fn is_replica(conn: &mut impl ConnectionLike) -> Option<String> {
    let role: Vec<Value> = redis::cmd("ROLE").query_async(conn).await.ok()?;
    let word = |at: usize| role.get(at).map(text).unwrap_or_default();
    (word(0) == "slave").then(|| {
        format!(
            "this Redis is a replica of {}:{}, and takes no reservation: name its primary",
            word(1),
            word(2)
        )
    })
}

/// What keeps a cluster from serving all keys.
async fn gap(conn: &mut impl ConnectionLike) -> Option<String> {
    let told: String = redis::cmd("CLUSTER").arg("INFO").query_async(conn).await.ok()?;
    let field =
        |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let assigned = field("cluster_slots_assigned").and_then(|slots| slots.parse::<u16>().ok());
    if let Some(missing) = SLOTS.checked_sub(assigned.unwrap_or(SLOTS)).filter(|missing| *missing > 0) {
        return Some(format!(
            "the cluster has no master for {missing} of {SLOTS} slots: give them to one, redis-cli --cluster fix"
        ));
    }
    (field("cluster_state") == Some("fail")).then(|| {
        let fine = field("cluster_slots_ok").unwrap_or("some");
        format!("the cluster is down: the masters of {fine} of {SLOTS} slots are well; bring the others back")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests {
    use super::*;

    #[test]
    fn versions_before_the_flags_of_scripts_are_too_old() {
        let told =
            |version: &str| too_old(&HashMap::from([("redis_version".to_owned(), version.to_owned())]));
        assert!(told("6.2.14").unwrap().contains("6.2.14 is too old"));
        for fine in ["7.0.0", "7.2.4", "8.0.1", "10.1.0", "unstable"] {
            assert_eq!(told(fine), None, "{fine}");
        }
    }
}
