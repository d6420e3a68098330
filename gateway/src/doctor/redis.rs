//! Checks that a Redis is suitable for the ledger.

mod facts;

use std::time::Duration;

pub(super) use facts::{RedisFacts, RedisInstance, instances, shared};

use crate::doctor::report::{Finding, Findings, Severity, age, bytes};
use crate::fleet::clock_offset::Offset;
use crate::store::durability::{Durability, DurabilityCheck};
use crate::store::{acl, compatibility};

/// The median and the worst time of a `PING` without a warning.
const MEDIAN_MAX: Duration = Duration::from_millis(5);
const WORST_MAX: Duration = Duration::from_millis(100);
/// The shortest slow event in ms, and the longest age in s, that count.
const EVENT_MS_MIN: i64 = 100;
const EVENT_AGE_MAX: i64 = 3_600;
/// Warning: log lines of different hosts are out of order. Failure: token times are checked wrongly.
const OFFSET_WARN_S: f64 = 0.2;
const OFFSET_FAIL_S: f64 = 2.0;
/// A file of this size that has grown by half is rewritten soon.
const REWRITE_BYTES_MIN: u64 = 64 << 20;
/// The consumer reads some hundred entries at once; a smaller buffer would disconnect it.
const OUTPUT_BUFFER_MIN: u64 = 64 << 20;
/// Free space of the disk with the append-only file.
const DISK_BYTES_MIN: u64 = 2 << 30;

/// Runs every check.
pub(super) fn check(facts: &RedisFacts) -> Vec<Finding> {
    let mut lines = Findings::of(facts.area());
    for check in [
        version, role, settings, durability, promise, writes, snapshots, rewrite, eviction, replicas,
        clients, buffers, idle, latency, slow, clock, scripts, alone, machine,
    ] {
        check(facts, &mut lines);
    }
    lines.end()
}

fn version(facts: &RedisFacts, lines: &mut Findings) {
    let version = facts.info("redis_version");
    let up = age(facts.number("uptime_in_seconds"));
    if facts.number("loading") == 1 {
        let found = format!("{version}, which is still loading its files");
        let todo = "wait until it has, and run the checks again";
        lines.fail("version", found, todo);
    } else if compatibility::version(version).unwrap_or_default() < compatibility::VERSION_MIN {
        let found = format!("{version} is too old: its scripts have no flags");
        lines.fail("version", found, "use Redis 7.0 or later");
    } else if facts.info("server_name") == "valkey" || facts.info.contains_key("valkey_version") {
        let valkey = facts.info("valkey_version");
        let found = format!("Valkey {valkey}, compatible with Redis {version}; up for {up}");
        let todo = "rehearse the launch on this version of Valkey: the project's tests run on Redis";
        lines.warn("version", found, todo);
    } else {
        lines.ok("version", format!("Redis {version}, up for {up}"));
    }
}

fn role(facts: &RedisFacts, lines: &mut Findings) {
    let mode = compatibility::mode(&facts.info);
    let is_in_cluster = facts.number("cluster_enabled") == 1 || !matches!(mode, "standalone" | "");
    if is_in_cluster && facts.master.is_none() {
        let found = format!("it runs as {mode}");
        let todo = "give a cluster as redis+cluster://HOST:PORT,HOST:PORT, sentinels as redis+sentinel://";
        lines.fail("role", found, todo);
    } else if let (Some(_), Some(incompatibility)) = (&facts.master, &facts.incompatibility) {
        lines.fail(
            "role",
            incompatibility.clone(),
            "give --redis a primary of Redis 7.0 or later that holds data: no gateway is ready with this one",
        );
    } else if facts.info("role") == "slave" {
        let found = format!("a replica of {}", facts.info("master_host"));
        lines.fail("role", found, "point --redis at the primary: a replica refuses reservations");
    } else {
        let in_cluster = "a master of a cluster whose slots are all served";
        lines.ok("role", if is_in_cluster { in_cluster } else { "a primary, standalone" });
    }
}

fn settings(facts: &RedisFacts, lines: &mut Findings) {
    if let Err(why) = &facts.config {
        let found = format!("CONFIG is forbidden ({why}): only settings in INFO were checked");
        let todo = "ask the operator of this Redis for appendfsync always, save \"\", timeout 0, min-replicas-to-write 0; or \
                    run the doctor as a user with +config|get";
        lines.warn("settings", found, todo);
    }
}

fn durability(facts: &RedisFacts, lines: &mut Findings) {
    if facts.setting("appendonly") != Some("yes") {
        let found = "appendonly is no: a crash of Redis loses every reservation";
        let todo = "CONFIG SET appendonly yes, and appendonly yes in redis.conf";
        return lines.fail("durability", found, todo);
    }
    let todo = "CONFIG SET appendfsync always, and in redis.conf";
    match facts.setting("appendfsync") {
        None => {}
        Some("always") => lines.ok("durability", "append-only, synced before every reply"),
        Some("everysec") => {
            let found = "appendfsync is everysec: a crash of the machine can lose the last second or two";
            lines.warn("durability", found, format!("{todo}, if the disk keeps up"));
        }
        Some(other) => {
            let lost = "a crash of the machine can lose half a minute of reservations";
            lines.fail("durability", format!("appendfsync is {other}: {lost}"), todo);
        }
    }
}

/// Whether Redis meets `--durability`.
fn promise(facts: &RedisFacts, lines: &mut Findings) {
    match &facts.promise {
        (Durability::None, _) => {}
        (level, DurabilityCheck::Met) => lines.ok("promise", format!("durability {level} is met")),
        (level, DurabilityCheck::Unmet(what)) => {
            let found = format!("durability {level} is required, but {what}");
            lines.fail("promise", found, "change the setting of Redis, or lower --durability");
        }
        (level, DurabilityCheck::Unreadable(why)) => lines.warn(
            "promise",
            format!("durability {level} could not be checked: {why}"),
            "ask the operator of this Redis, or run as a user with +config|get",
        ),
    }
}

/// Whether Redis accepts writes.
fn writes(facts: &RedisFacts, lines: &mut Findings) {
    if facts.info("aof_last_write_status") == "err" {
        let found = "the last write to the append-only file failed: writes are refused";
        lines.fail("writes", found, "check Redis's log: mostly the disk is full");
    } else if facts.info("rdb_last_bgsave_status") == "err"
        && facts.setting("stop-writes-on-bgsave-error") != Some("no")
        && facts.setting("save").is_none_or(|save| !save.is_empty())
    {
        let found = "the last snapshot failed: writes are refused until one succeeds";
        lines.fail("writes", found, "CONFIG SET save \"\", and check Redis's log for the cause");
    } else if let Some(needed) = facts.setting_number("min-replicas-to-write").filter(|n| *n > 0) {
        let good = facts.number("min_slaves_good_slaves");
        let found = format!("min-replicas-to-write is {needed}, {good} replicas are in sync");
        if good < needed {
            let todo = "connect them, or CONFIG SET min-replicas-to-write 0: until then every reservation is refused";
            lines.fail("writes", found, todo);
        } else {
            let todo = "if one is lost, reservations are refused; check that this is intended";
            lines.warn("writes", found, todo);
        }
    } else {
        lines.ok("writes", "accepted");
    }
}

fn snapshots(facts: &RedisFacts, lines: &mut Findings) {
    if facts.number("rdb_bgsave_in_progress") == 1 {
        let found = "a snapshot is being saved";
        let todo = "wait until it is done, and run the checks again";
        lines.warn("snapshots", found, todo);
    } else if let Some(save) = facts.setting("save").filter(|save| !save.is_empty()) {
        let found = format!(
            "save is \"{save}\": a busy Redis forks to write snapshots that the ledger does not need"
        );
        lines.warn("snapshots", found, "CONFIG SET save \"\", and in redis.conf");
    } else if facts.config.is_ok() {
        lines.ok("snapshots", "none");
    }
}

fn rewrite(facts: &RedisFacts, lines: &mut Findings) {
    let (size, base) = (facts.number("aof_current_size"), facts.number("aof_base_size"));
    if facts.number("aof_enabled") == 0 {
    } else if facts.number("aof_rewrite_in_progress") == 1 || facts.number("aof_rewrite_scheduled") == 1 {
        let found = "the append-only file is being rewritten";
        lines.warn("rewrite", found, "wait until it is done, and run the checks again");
    } else if facts.info("aof_last_bgrewrite_status") == "err" {
        let found = "the last rewrite of the append-only file failed";
        lines.warn("rewrite", found, "check Redis's log: mostly there is no room for a second copy");
    } else if size >= REWRITE_BYTES_MIN && size > base + base / 2 {
        let (size, base) = (bytes(size), bytes(base));
        let found =
            format!("the append-only file has {size}, {base} after its last rewrite: it forks again soon");
        lines.warn("rewrite", found, "run BGREWRITEAOF now, so that it does not start during the launch");
    } else {
        lines.ok("rewrite", format!("the append-only file has {}", bytes(size)));
    }
}

fn eviction(facts: &RedisFacts, lines: &mut Findings) {
    match facts.setting("maxmemory-policy") {
        None => {}
        Some("noeviction") => lines.ok("eviction", "none"),
        Some(other) => lines.fail(
            "eviction",
            format!("maxmemory-policy is {other}: at its limit Redis would evict reservations"),
            "CONFIG SET maxmemory-policy noeviction, and in redis.conf",
        ),
    }
}

fn replicas(facts: &RedisFacts, lines: &mut Findings) {
    let count = facts.number("connected_slaves");
    let states = (0..count).map(|n| facts.info(&format!("slave{n}")));
    let late: Vec<&str> = states.filter(|state| !state.contains("state=online")).collect();
    if late.is_empty() {
        lines.ok("replicas", format!("{count} connected"));
    } else {
        let found = format!("{} of {count} are not in sync: {}", late.len(), late.join("; "));
        let todo = "wait until they are: a full sync costs this Redis a fork and bandwidth";
        lines.warn("replicas", found, todo);
    }
}

fn clients(facts: &RedisFacts, lines: &mut Findings) {
    let Some(max) = facts.setting_number("maxclients") else { return };
    let (now, needed) = (facts.number("connected_clients"), facts.connections_needed);
    let found = format!("{now} connected of {max}; a gateway with these options opens up to {needed}");
    let todo = "CONFIG SET maxclients 10000, and raise Redis's own limit of open files";
    lines.fail_if(now + needed > max, "clients", found, todo);
}

fn buffers(facts: &RedisFacts, lines: &mut Findings) {
    // CLASS HARD SOFT SECONDS, for each class in turn.
    let Some(limits) = facts.setting("client-output-buffer-limit") else { return };
    let words: Vec<&str> = limits.split(' ').collect();
    let normal = words.chunks(4).find(|class| class[0] == "normal").unwrap_or_default();
    let smallest = normal.iter().skip(1).take(2).filter_map(|n| n.parse().ok()).filter(|n| *n > 0).min();
    match smallest {
        Some(limit) if limit < OUTPUT_BUFFER_MIN => lines.warn(
            "buffers",
            format!("replies of more than {} disconnect a client", bytes(limit)),
            "CONFIG SET client-output-buffer-limit \"normal 0 0 0\": gateways read the journal in large pieces",
        ),
        _ => lines.ok("buffers", "large replies are allowed"),
    }
}

fn idle(facts: &RedisFacts, lines: &mut Findings) {
    if let Some(timeout) = facts.setting_number("timeout").filter(|s| *s > 0) {
        let found = format!(
            "timeout is {timeout}: idle connections are closed, and the next tap waits for a new one"
        );
        lines.warn("idle", found, "CONFIG SET timeout 0, and in redis.conf");
    } else if facts.setting("tcp-keepalive") == Some("0") {
        let found = "tcp-keepalive is 0: connections of machines that are gone stay for ever";
        lines.warn("idle", found, "CONFIG SET tcp-keepalive 60, and in redis.conf");
    } else if facts.config.is_ok() {
        lines.ok("idle", "connections stay open");
    }
}

fn latency(facts: &RedisFacts, lines: &mut Findings) {
    let mut pings = facts.pings.clone();
    pings.sort_unstable();
    let (Some(worst), Some(median)) = (pings.last().copied(), pings.get(pings.len() / 2).copied()) else {
        return;
    };
    let ms = |took: Duration| took.as_secs_f64() * 1e3;
    let found = format!("{} PINGs: median {:.2} ms, worst {:.2} ms", pings.len(), ms(median), ms(worst));
    let todo = "move gateways and Redis closer together, and run nothing else on the host of Redis";
    let is_slow = median > MEDIAN_MAX || worst > WORST_MAX;
    lines.add(Severity::worst(worst >= facts.answer_timeout, is_slow), "latency", found, todo);
}

fn slow(facts: &RedisFacts, lines: &mut Findings) {
    let is_recent = |(_, age, worst): &&(_, i64, i64)| *age < EVENT_AGE_MAX && *worst >= EVENT_MS_MIN;
    let recent = facts.slow.iter().filter(is_recent);
    let recent: Vec<_> = recent.map(|(name, _, worst)| format!("{name} {worst} ms")).collect();
    if !recent.is_empty() {
        let found = format!("Redis was blocked in the last hour: {}", recent.join(", "));
        lines.warn("slow", found, "run LATENCY DOCTOR in Redis");
    }
}

fn clock(facts: &RedisFacts, lines: &mut Findings) {
    let Offset { seconds, error_s, .. } = facts.offset;
    let ahead = if seconds < 0.0 { "behind" } else { "ahead of" };
    let (offset, error) = (seconds.abs() * 1e3, error_s * 1e3);
    let found = format!("Redis's clock is {offset:.0} ms {ahead} this machine's, give or take {error:.0} ms");
    let certain_s = facts.offset.certain_s();
    let verdict = Severity::worst(certain_s > OFFSET_FAIL_S, certain_s > OFFSET_WARN_S);
    let todo = "synchronise both with one time service (chrony): the sale opens by Redis's clock, tokens end by this one";
    lines.add(verdict, "clock", found, todo);
}

fn scripts(facts: &RedisFacts, lines: &mut Findings) {
    match &facts.scripts_refused {
        None => lines.ok("scripts", "executable"),
        Some(why) => lines.fail(
            "scripts",
            format!("can't be executed: {why}"),
            format!("grant this user the permissions of a gateway: {}", acl::needed()),
        ),
    }
}

fn alone(facts: &RedisFacts, lines: &mut Findings) {
    match facts.foreign_keys {
        0 => lines.ok("alone", "no foreign keys"),
        count => lines.warn(
            "alone",
            format!("{count} keys in this database are not Launchgate's"),
            "give the ledger a Redis of its own: buyers wait for the commands of other programs",
        ),
    }
}

fn machine(facts: &RedisFacts, lines: &mut Findings) {
    let Some(machine) = &facts.machine else { return };
    if let Some(free) = machine.disk_free {
        let found = format!("{} free where the append-only file is", bytes(free));
        let todo = "free some space: with appendfsync always a full disk stops Redis";
        lines.fail_if(free < DISK_BYTES_MIN, "disk", found, todo);
    }
    if machine.overcommit.is_some_and(|mode| mode != 1) {
        let found =
            "vm.overcommit_memory is not 1: a rewrite of the append-only file can fail for want of memory";
        let todo = "sysctl vm.overcommit_memory=1, and in /etc/sysctl.d";
        lines.warn("overcommit", found, todo);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
pub(super) mod tests;
