//! Checks that a Redis can be a ledger: its version, its role, its cluster.

use std::collections::HashMap;

use redis::aio::ConnectionLike;

use crate::store::dial::info;
use crate::store::keys::SLOTS;
use crate::store::pool::Pool;
use crate::store::scripts::Failure;
use crate::store::{acl, checkout_each};

/// The first version that runs the scripts (`#!lua` with flags).
pub const VERSION_MIN: (u64, u64) = (7, 0);

/// Why this Redis can't be a ledger, or part of one in a cluster; also if the check fails.
pub async fn find_incompatibility(conn: &mut impl ConnectionLike, is_cluster: bool) -> Option<String> {
    let found = match info(conn, "default").await {
        Ok(found) => found,
        Err(error) => return Some(acl::explain(&error)),
    };
    match find_mismatch(&found, is_cluster) {
        None if is_cluster => cluster_gap(conn).await,
        None => why_not_primary(&found),
        why => why,
    }
}

/// Why it can't even be read as a ledger, by its `INFO`.
fn find_mismatch(server: &HashMap<String, String>, is_cluster: bool) -> Option<String> {
    if let Some(why) = too_old(server) {
        return Some(why);
    }
    match (is_cluster, mode(server)) {
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

/// Checks each Redis of the ledger before a command uses it. Reads from a replica and from a
/// cluster with gaps are allowed. An error is the reason to stop.
pub async fn check(pool: &Pool) -> Result<(), Failure> {
    for (_, conn) in checkout_each(pool).await? {
        // Unreachable masters are ignored: the command may not need them.
        let mut conn = match conn {
            Err(_) if pool.redis().is_cluster() => continue,
            other => other?,
        };
        let found = info(&mut conn, "server").await?;
        if let Some(why) = find_mismatch(&found, pool.redis().is_cluster()) {
            return Err(Failure::NotDone(why));
        }
    }
    Ok(())
}

/// The first two numbers of a version.
pub fn version(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// `standalone`, `cluster` or `sentinel`, by `INFO`; empty without the field.
pub fn mode(info: &HashMap<String, String>) -> &str {
    // Valkey's name of the field.
    info.get("redis_mode").or(info.get("server_mode")).map_or("", String::as_str)
}

fn too_old(server: &HashMap<String, String>) -> Option<String> {
    let text = server.get("redis_version")?;
    let is_too_old = version(text).is_some_and(|version| version < VERSION_MIN);
    let (major, minor) = VERSION_MIN;
    is_too_old
        .then(|| format!("Redis {text} is too old, its scripts have no flags: use {major}.{minor} or later"))
}

/// Why it refuses reservations, by its `INFO`: it is a replica, or does not serve its data yet.
pub fn why_not_primary(found: &HashMap<String, String>) -> Option<String> {
    let field = |name: &str| found.get(name).map_or("", String::as_str);
    if field("role") == "slave" {
        return Some(format!(
            "this Redis is a replica of {}:{} and takes no reservation. The gateway leaves it and connects again until a primary answers: \
             let the address in --redis lead to the primary, or promote this one",
            field("master_host"),
            field("master_port"),
        ));
    }
    (field("loading") == "1").then(|| {
        "this Redis is loading its files and takes no reservation yet. The gateway connects again until it has".to_owned()
    })
}

/// Whether it has been a replica since its start: it may lack changes of its primary, and is not
/// the same Redis as before.
pub(crate) async fn was_replica(conn: &mut impl ConnectionLike) -> redis::RedisResult<bool> {
    let found = info(conn, "replication").await?;
    Ok(found.get("master_replid2").is_some_and(|id| id.bytes().any(|byte| byte != b'0')))
}

/// Why the cluster does not serve all keys.
async fn cluster_gap(conn: &mut impl ConnectionLike) -> Option<String> {
    let reply: String = redis::cmd("CLUSTER").arg("INFO").query_async(conn).await.ok()?;
    let field =
        |name: &str| reply.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
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
mod tests;
