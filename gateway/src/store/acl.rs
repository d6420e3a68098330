//! The Redis commands that a gateway needs, the check of a connection's permissions, and the ACL
//! line that grants them.

use redis::RedisError;

/// One call of each command that `gateway serve` makes, itself or in a script, with the arguments
/// that decide its keys.
pub const SERVING: &[&str] = &[
    "ping",
    "info server",
    "time",
    "unwatch",
    "evalsha 0 0",
    "script load x",
    "smembers lg:sales",
    "hgetall lg:fleet",
    "xrevrange {lg:limits}:log + -",
    "xread streams lg:{probe}:journal 0",
    "xrange lg:{probe}:journal - +",
    "xadd lg:{probe}:journal 1-0 f v",
    "hscan lg:{probe}:records 0",
    "type lg:{probe}:state",
    "exists lg:{probe}:state",
    "hget lg:{probe}:state f",
    "hmget lg:{probe}:state f",
    "hset lg:{probe}:state f v",
    "hsetnx lg:{probe}:recovery f v",
    "hdel lg:{probe}:state f",
    "hexists lg:purged f",
    "hkeys lg:{probe}:recovery",
    "zadd lg:{probe}:queue 0 x",
    "zrem lg:{probe}:queue x",
    "zlexcount lg:{probe}:queue - +",
    "zrangebylex lg:{probe}:queue - +",
    "sadd lg:{probe}:taken x",
    "sismember lg:{probe}:taken x",
    "get lg:{probe}:definition",
    "set lg:{probe}:definition x",
    "del lg:{probe}:recovery",
    "unlink lg:{probe}:recovery",
];

/// Further commands: of `--durability replicas=N`, a cluster, sentinels, a database, `sale import`,
/// `sale purge` and `gateway doctor`.
const FURTHER: &[&str] = &[
    "eval x 0",
    "append lg:{probe}:definition x",
    "wait 1 1",
    "cluster slots",
    "cluster info",
    "role",
    "select 0",
    "rename lg:{probe}:state lg:{probe}:stock",
    "srem lg:sales x",
    "dbsize",
    "script exists x",
    "config get x",
    "latency latest",
];

/// Commands with permissions for each subcommand.
const CONTAINERS: [&str; 4] = ["script", "cluster", "config", "latency"];

/// The permission for a call: `hset`, or `script|load`.
fn permission(call: &str) -> String {
    let mut words = call.split(' ');
    let (command, sub) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if CONTAINERS.contains(&command) { format!("{command}|{sub}") } else { command.to_owned() }
}

/// The ACL line for a gateway and every command of the program.
pub fn needed() -> String {
    let permissions = SERVING.iter().chain(FURTHER).map(|call| format!("+{}", permission(call)));
    format!("ACL SETUSER USER ~lg:* ~{{lg:* {}", permissions.collect::<Vec<_>>().join(" "))
}

/// An error about forbidden calls, with what to do.
pub fn missing(calls: &[String]) -> String {
    let calls: Vec<String> = calls.iter().map(|call| permission(call)).collect();
    format!(
        "this user may not run {} on keys that begin with lg: or {{lg:. {GRANT}: {}",
        calls.join(", "),
        needed()
    )
}

/// The first words of the remedy for a missing permission.
pub const GRANT: &str = "Grant what a gateway needs";

/// An error in words. One about permissions lists those that are needed.
pub fn explain(error: &RedisError) -> String {
    let text = error.to_string();
    let is_denied = error.code() == Some("NOPERM")
        || ["can't run this command", "ACL failure in script"].iter().any(|words| text.contains(words));
    if is_denied { format!("{text}. {GRANT}: {}", needed()) } else { text }
}

#[cfg(test)]
mod tests;
