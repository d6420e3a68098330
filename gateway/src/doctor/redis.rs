//! Is this Redis fit to be the ledger? Facts in, lines out; nothing is asked here.

mod facts;

use std::time::Duration;

pub(super) use facts::{Machine, RedisFacts};

use crate::doctor::report::{Finding, Findings, Severity};
use crate::doctor::words::{age, bytes};
use crate::store::durability::{Durability, DurabilityCheck};
use crate::store::{acl, compatibility};

/// Until a `PING` is answered, the median and the worst; beyond is a warning.
const MEDIAN_MAX: Duration = Duration::from_millis(5);
const WORST_MAX: Duration = Duration::from_millis(100);
/// What Redis itself noted as slow, in ms, and how long ago that still counts, in s.
const EVENT_MS_MIN: i64 = 100;
const EVENT_AGE_MAX: i64 = 3_600;
/// Clocks that differ by more: logs don't line up. And tokens are judged by another time than they were made.
const OFFSET_WARN_MS: f64 = 200.0;
const OFFSET_FAIL_MS: f64 = 2_000.0;
/// A file that has grown by half, and from this size on, is rewritten soon.
const REWRITE_BYTES_MIN: u64 = 64 << 20;
/// The consumer reads some hundred entries at once; a smaller buffer would cut it off.
const OUTPUT_BUFFER_MIN: u64 = 64 << 20;
/// Of the disk that the append-only file is on.
const DISK_BYTES_MIN: u64 = 2 << 30;

/// Every check.
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
        lines.fail(
            "version",
            format!("{version}, still loading its files"),
            "wait until it has, and look again",
        );
    } else if compatibility::version(version).unwrap_or_default() < compatibility::VERSION_MIN {
        let found = format!("{version} is too old: its scripts have no flags");
        lines.fail("version", found, "use Redis 7.0 or later");
    } else if facts.info("server_name") == "valkey" || facts.info.contains_key("valkey_version") {
        let valkey = facts.info("valkey_version");
        let found = format!("Valkey {valkey}, which speaks as Redis {version}; up for {up}");
        lines.warn(
            "version",
            found,
            "rehearse the launch on this very Valkey: the project's own tests run on Redis",
        );
    } else {
        lines.ok("version", format!("Redis {version}, up for {up}"));
    }
}

fn role(facts: &RedisFacts, lines: &mut Findings) {
    let mode = compatibility::mode(&facts.info);
    let is_in_cluster = facts.number("cluster_enabled") == 1 || !matches!(mode, "standalone" | "");
    if is_in_cluster && facts.master.is_none() {
        let found = format!("it runs as {mode}");
        lines.fail(
            "role",
            found,
            "name a cluster as redis+cluster://HOST:PORT,HOST:PORT, sentinels as redis+sentinel://",
        );
    } else if let (Some(_), Some(incompatibility)) = (&facts.master, &facts.incompatibility) {
        lines.fail("role", incompatibility.clone(), "gateways are not ready until it is so");
    } else if facts.info("role") == "slave" {
        let found = format!("a replica of {}", facts.info("master_host"));
        lines.fail("role", found, "give --redis the primary: a replica takes no reservation");
    } else {
        let place = if is_in_cluster {
            "a master of a cluster whose slots are all served"
        } else {
            "a primary, standalone"
        };
        lines.ok("role", place);
    }
}

fn settings(facts: &RedisFacts, lines: &mut Findings) {
    if let Err(why) = &facts.config {
        lines.warn(
            "settings",
            format!("CONFIG is forbidden ({why}): only what INFO tells could be looked at"),
            "ask whoever runs this Redis for appendfsync always, save \"\", timeout 0, min-replicas-to-write 0; or \
             run the doctor as a user with +config|get",
        );
    }
}

fn durability(facts: &RedisFacts, lines: &mut Findings) {
    if facts.setting("appendonly") != Some("yes") {
        lines.fail(
            "durability",
            "appendonly is no: a crash of Redis loses every reservation",
            "CONFIG SET appendonly yes, and appendonly yes in redis.conf",
        );
        return;
    }
    match facts.setting("appendfsync") {
        None => {}
        Some("always") => lines.ok("durability", "append-only, synced before every answer"),
        Some("everysec") => lines.warn(
            "durability",
            "appendfsync is everysec: a crash of the machine can lose the last second or two",
            "CONFIG SET appendfsync always, and in redis.conf, if the disk keeps up",
        ),
        Some(other) => lines.fail(
            "durability",
            format!("appendfsync is {other}: a crash of the machine can lose half a minute of reservations"),
            "CONFIG SET appendfsync always, and in redis.conf",
        ),
    }
}

/// Whether it is as safe as `--durability` says that an acknowledged change is.
fn promise(facts: &RedisFacts, lines: &mut Findings) {
    match &facts.promise {
        (Durability::None, _) => {}
        (level, DurabilityCheck::Met) => lines.ok("promise", format!("durability {level} is kept")),
        (level, DurabilityCheck::Unmet(what)) => {
            let found = format!("durability {level} is asked for, and {what}");
            lines.fail("promise", found, "do so, or give --durability what is true");
        }
        (level, DurabilityCheck::Unreadable(why)) => lines.warn(
            "promise",
            format!("whether durability {level} is kept can't be seen: {why}"),
            "ask whoever runs this Redis, or run as a user with +config|get",
        ),
    }
}

/// Whether it takes writes at all.
fn writes(facts: &RedisFacts, lines: &mut Findings) {
    if facts.info("aof_last_write_status") == "err" {
        let found = "the last write to the append-only file failed: writes are refused";
        lines.fail("writes", found, "look into Redis's log: mostly the disk is full");
    } else if facts.info("rdb_last_bgsave_status") == "err"
        && facts.setting("stop-writes-on-bgsave-error") != Some("no")
        && facts.setting("save").is_none_or(|save| !save.is_empty())
    {
        let found = "the last snapshot failed: writes are refused until one succeeds";
        lines.fail("writes", found, "CONFIG SET save \"\", and look into Redis's log why");
    } else if let Some(needed) = facts.setting_number("min-replicas-to-write").filter(|n| *n > 0) {
        let good = facts.number("min_slaves_good_slaves");
        let found = format!("min-replicas-to-write is {needed}, {good} replicas are near enough");
        match good {
            good if good < needed => {
                let todo = "connect them, or CONFIG SET min-replicas-to-write 0: until then every reservation is refused";
                lines.fail("writes", found, todo);
            }
            _ => lines.warn("writes", found, "if one is lost, reservations are refused; is that wanted?"),
        }
    } else {
        lines.ok("writes", "taken");
    }
}

fn snapshots(facts: &RedisFacts, lines: &mut Findings) {
    if facts.number("rdb_bgsave_in_progress") == 1 {
        lines.warn("snapshots", "one is being saved right now", "wait until it is through, and look again");
    } else if let Some(save) = facts.setting("save").filter(|save| !save.is_empty()) {
        let found = format!("save is \"{save}\": a busy Redis forks to write snapshots that nothing needs");
        lines.warn("snapshots", found, "CONFIG SET save \"\", and in redis.conf");
    } else if facts.config.is_ok() {
        lines.ok("snapshots", "none, as it should be");
    }
}

fn rewrite(facts: &RedisFacts, lines: &mut Findings) {
    let (size, base) = (facts.number("aof_current_size"), facts.number("aof_base_size"));
    if facts.number("aof_enabled") == 0 {
    } else if facts.number("aof_rewrite_in_progress") == 1 || facts.number("aof_rewrite_scheduled") == 1 {
        let found = "the append-only file is being rewritten right now";
        lines.warn("rewrite", found, "wait until it is through, and look again");
    } else if facts.info("aof_last_bgrewrite_status") == "err" {
        let found = "the last rewrite of the append-only file failed";
        lines.warn("rewrite", found, "look into Redis's log: mostly there is no room for a second copy");
    } else if size >= REWRITE_BYTES_MIN && size > base + base / 2 {
        let found = format!(
            "the append-only file has {}, {} after its last rewrite: it forks again soon",
            bytes(size),
            bytes(base)
        );
        lines.warn("rewrite", found, "run BGREWRITEAOF now, so that it is not in the launch's hour");
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
            format!("maxmemory-policy is {other}: at its limit Redis would throw reservations away"),
            "CONFIG SET maxmemory-policy noeviction, and in redis.conf",
        ),
    }
}

fn replicas(facts: &RedisFacts, lines: &mut Findings) {
    let count = facts.number("connected_slaves");
    let late: Vec<&str> = (0..count)
        .map(|n| facts.info(&format!("slave{n}")))
        .filter(|line| !line.contains("state=online"))
        .collect();
    if late.is_empty() {
        lines.ok("replicas", format!("{count} connected"));
    } else {
        let found = format!("{} of {count} are not in step: {}", late.len(), late.join("; "));
        lines.warn("replicas", found, "wait until they are: a copy costs this Redis a fork and its link");
    }
}

fn clients(facts: &RedisFacts, lines: &mut Findings) {
    let Some(max) = facts.setting_number("maxclients") else { return };
    let (now, needed) = (facts.number("connected_clients"), facts.connections_needed);
    let found = format!("{now} connected of {max}; a gateway with these options opens up to {needed}");
    if now + needed > max {
        lines.fail(
            "clients",
            found,
            "CONFIG SET maxclients 10000, and raise Redis's own limit of open files",
        );
    } else {
        lines.ok("clients", found);
    }
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
            format!("answers of more than {} cut a connection off", bytes(limit)),
            "CONFIG SET client-output-buffer-limit \"normal 0 0 0\": gateways read the journal in large pieces",
        ),
        _ => lines.ok("buffers", "answers may be large"),
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
    let todo = "bring gateways and Redis nearer together, and leave Redis alone on its machine";
    let verdict = match () {
        () if worst >= facts.answer_timeout => Severity::Fail,
        () if median > MEDIAN_MAX || worst > WORST_MAX => Severity::Warn,
        () => Severity::Ok,
    };
    lines.add_with_severity(verdict, "latency", found, todo);
}

fn slow(facts: &RedisFacts, lines: &mut Findings) {
    let recent: Vec<String> = facts
        .slow
        .iter()
        .filter(|(_, age, worst)| *age < EVENT_AGE_MAX && *worst >= EVENT_MS_MIN)
        .map(|(name, _, worst)| format!("{name} {worst} ms"))
        .collect();
    if !recent.is_empty() {
        let found = format!("Redis stood still in the last hour: {}", recent.join(", "));
        lines.warn("slow", found, "ask it why: LATENCY DOCTOR");
    }
}

fn clock(facts: &RedisFacts, lines: &mut Findings) {
    let (offset, error) = facts.offset_ms;
    let certain = (offset.abs() - error).max(0.0);
    let ahead = if offset < 0.0 { "behind" } else { "ahead of" };
    let found =
        format!("Redis's clock is {:.0} ms {ahead} this machine's, give or take {error:.0} ms", offset.abs());
    let verdict = match () {
        () if certain > OFFSET_FAIL_MS => Severity::Fail,
        () if certain > OFFSET_WARN_MS => Severity::Warn,
        () => Severity::Ok,
    };
    let todo =
        "let both follow one time service (chrony): the sale opens by Redis's clock, tokens end by this one";
    lines.add_with_severity(verdict, "clock", found, todo);
}

fn scripts(facts: &RedisFacts, lines: &mut Findings) {
    match &facts.scripts_refused {
        None => lines.ok("scripts", "run here"),
        Some(why) => lines.fail(
            "scripts",
            format!("can't be run: {why}"),
            format!("give this user what a gateway needs: {}", acl::needed()),
        ),
    }
}

fn alone(facts: &RedisFacts, lines: &mut Findings) {
    match facts.foreign_keys {
        0 => lines.ok("alone", "no keys of others"),
        count => lines.warn(
            "alone",
            format!("{count} keys in this database are not Launchgate's"),
            "give the ledger a Redis of its own: what others do there, buyers wait for",
        ),
    }
}

fn machine(facts: &RedisFacts, lines: &mut Findings) {
    let Some(machine) = &facts.machine else { return };
    if let Some(free) = machine.disk_free {
        let found = format!("{} free where the append-only file is", bytes(free));
        let todo = "make room: with appendfsync always a full disk ends Redis";
        let verdict = if free < DISK_BYTES_MIN { Severity::Fail } else { Severity::Ok };
        lines.add_with_severity(verdict, "disk", found, todo);
    }
    if machine.overcommit.is_some_and(|mode| mode != 1) {
        lines.warn(
            "overcommit",
            "vm.overcommit_memory is not 1: a rewrite of the append-only file can fail for want of memory",
            "sysctl vm.overcommit_memory=1, and in /etc/sysctl.d",
        );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
pub(super) mod tests;
