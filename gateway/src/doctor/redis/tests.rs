//! Tests of each check of Redis, with facts that must and must not cause a finding.

use std::collections::HashMap;
use std::time::Instant;

use super::facts::Machine;
use super::*;
use crate::doctor::report::without_passing;

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn offset(ms: f64, error_ms: f64) -> Offset {
    Offset { seconds: ms / 1e3, error_s: error_ms / 1e3, at: Instant::now() }
}

/// A good Redis but for these lines of its `INFO`.
pub(crate) fn facts(info: &[(&str, &str)]) -> RedisFacts {
    let mut good = map(&[
        ("redis_version", "7.0.15"),
        ("redis_mode", "standalone"),
        ("role", "master"),
        ("aof_enabled", "1"),
        ("aof_last_write_status", "ok"),
        ("aof_last_bgrewrite_status", "ok"),
        ("rdb_last_bgsave_status", "ok"),
        ("connected_clients", "3"),
        ("maxclients", "10000"),
        ("maxmemory_policy", "noeviction"),
    ]);
    good.extend(map(info));
    RedisFacts {
        info: good,
        config: Ok(map(&[
            ("appendonly", "yes"),
            ("appendfsync", "always"),
            ("maxmemory-policy", "noeviction"),
            ("maxclients", "10000"),
            ("save", ""),
            ("timeout", "0"),
            ("tcp-keepalive", "300"),
            ("min-replicas-to-write", "0"),
            ("stop-writes-on-bgsave-error", "yes"),
            (
                "client-output-buffer-limit",
                "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
            ),
        ])),
        pings: vec![Duration::from_micros(80); 20],
        answer_timeout: Duration::from_secs(1),
        offset: offset(0.4, 0.1),
        connections_needed: 40,
        master: None,
        incompatibility: None,
        slow: Vec::new(),
        scripts_refused: None,
        foreign_keys: 0,
        promise: (Durability::None, DurabilityCheck::Met),
        machine: None,
    }
}

/// A good Redis but for these settings.
fn with(settings: &[(&str, &str)]) -> RedisFacts {
    let mut facts = facts(&[]);
    facts.config.as_mut().unwrap().extend(map(settings));
    facts
}

/// The findings that are not ok.
fn bad(facts: &RedisFacts) -> Vec<(&'static str, Severity)> {
    without_passing(check(facts))
}

#[test]
fn a_good_redis_passes() {
    let lines = check(&facts(&[]));
    assert!(lines.iter().all(|line| line.verdict == Severity::Ok), "{lines:#?}");
    assert!(lines.len() > 12, "{lines:#?}");
}

#[test]
fn every_bad_line_of_info_is_reported() {
    use Severity::{Fail, Warn};
    for (info, check, verdict) in [
        (&[("redis_version", "6.2.14")][..], "version", Fail),
        (&[("redis_version", "")], "version", Fail),
        (&[("loading", "1")], "version", Fail),
        (
            &[("server_name", "valkey"), ("valkey_version", "8.0.1"), ("redis_version", "7.2.4")],
            "version",
            Warn,
        ),
        (&[("redis_mode", "sentinel")], "role", Fail),
        (&[("cluster_enabled", "1"), ("redis_mode", "cluster")], "role", Fail),
        (&[("role", "slave"), ("master_host", "10.0.0.1")], "role", Fail),
        (&[("aof_last_write_status", "err")], "writes", Fail),
        (&[("rdb_bgsave_in_progress", "1")], "snapshots", Warn),
        (&[("aof_rewrite_in_progress", "1")], "rewrite", Warn),
        (&[("aof_rewrite_scheduled", "1")], "rewrite", Warn),
        (&[("aof_last_bgrewrite_status", "err")], "rewrite", Warn),
        (&[("aof_current_size", "200000000"), ("aof_base_size", "100000000")], "rewrite", Warn),
        (
            &[("connected_slaves", "1"), ("slave0", "ip=10.0.0.2,port=6379,state=wait_bgsave,offset=0")],
            "replicas",
            Warn,
        ),
        (&[("connected_clients", "9970")], "clients", Fail),
    ] {
        assert_eq!(bad(&facts(info)), [(check, verdict)], "{info:?}");
    }
    assert!(bad(&facts(&[("aof_current_size", "140000000"), ("aof_base_size", "100000000")])).is_empty());
    assert!(
        bad(&facts(&[("connected_slaves", "1"), ("slave0", "ip=10.0.0.2,state=online,lag=0")])).is_empty()
    );
}

#[test]
fn every_bad_setting_is_reported() {
    use Severity::{Fail, Warn};
    for (settings, check, verdict) in [
        (&[("appendonly", "no")][..], "durability", Fail),
        (&[("appendfsync", "everysec")], "durability", Warn),
        (&[("appendfsync", "no")], "durability", Fail),
        (&[("min-replicas-to-write", "1")], "writes", Fail),
        (&[("save", "3600 1 300 100")], "snapshots", Warn),
        (&[("maxmemory-policy", "allkeys-lru")], "eviction", Fail),
        (&[("maxmemory-policy", "volatile-ttl")], "eviction", Fail),
        (&[("maxclients", "40")], "clients", Fail),
        (&[("client-output-buffer-limit", "normal 1048576 0 0 slave 0 0 0")], "buffers", Warn),
        (&[("client-output-buffer-limit", "slave 0 0 0 normal 0 1048576 60")], "buffers", Warn),
        (&[("timeout", "300")], "idle", Warn),
        (&[("tcp-keepalive", "0")], "idle", Warn),
    ] {
        assert_eq!(bad(&with(settings)), [(check, verdict)], "{settings:?}");
    }
    let mut near = with(&[("min-replicas-to-write", "1")]);
    near.info.insert("min_slaves_good_slaves".into(), "1".into());
    assert_eq!(bad(&near), [("writes", Warn)]);
    let mut failed = with(&[("save", "3600 1")]);
    failed.info.insert("rdb_last_bgsave_status".into(), "err".into());
    assert_eq!(bad(&failed), [("writes", Fail), ("snapshots", Warn)]);
}

#[test]
fn where_config_is_forbidden_the_check_reports_it_and_reads_info() {
    let mut facts = facts(&[]);
    facts.config = Err("NOPERM".into());
    assert_eq!(bad(&facts), [("settings", Severity::Warn)]);
    facts.info.extend(map(&[
        ("aof_enabled", "0"),
        ("maxmemory_policy", "allkeys-lfu"),
        ("maxclients", "10"),
    ]));
    let listed = [("settings", Severity::Warn), ("durability", Severity::Fail), ("eviction", Severity::Fail)];
    assert_eq!(bad(&facts), [&listed[..], &[("clients", Severity::Fail)]].concat());
    let found = check(&facts).into_iter().find(|line| line.check == "settings").unwrap().found;
    assert!(found.contains("NOPERM"), "{found}");
}

#[test]
fn times_are_checked_by_the_median_and_by_the_worst() {
    let ms = Duration::from_millis;
    let pings = |slow: &[Duration]| [&[Duration::from_micros(50); 20][..], slow].concat();
    for (pings, verdict) in [
        (pings(&[]), Severity::Ok),
        (pings(&[ms(99)]), Severity::Ok),
        (pings(&[ms(101)]), Severity::Warn),
        (vec![ms(6); 9], Severity::Warn),
        (pings(&[ms(1_000)]), Severity::Fail),
    ] {
        let facts = RedisFacts { pings, ..facts(&[]) };
        let line = check(&facts).into_iter().find(|line| line.check == "latency").unwrap();
        assert_eq!(line.verdict, verdict, "{}", line.found);
    }
    assert!(!check(&RedisFacts { pings: Vec::new(), ..facts(&[]) }).iter().any(|l| l.check == "latency"));
    for (event, listed) in
        [(("fork", 60, 150), true), (("fork", 7_200, 150), false), (("fork", 60, 50), false)]
    {
        let slow = vec![(event.0.to_owned(), event.1, event.2)];
        let facts = RedisFacts { slow, ..facts(&[]) };
        assert_eq!(bad(&facts) == [("slow", Severity::Warn)], listed, "{event:?}");
    }
}

#[test]
fn clocks_are_compared_beyond_the_uncertainty() {
    for (ms, error, verdict) in [
        (150.0, 1.0, Severity::Ok),
        (300.0, 150.0, Severity::Ok),
        (300.0, 50.0, Severity::Warn),
        (-300.0, 50.0, Severity::Warn),
        (2_100.0, 10.0, Severity::Fail),
        (-90_000.0, 10.0, Severity::Fail),
    ] {
        let facts = RedisFacts { offset: offset(ms, error), ..facts(&[]) };
        let line = check(&facts).into_iter().find(|line| line.check == "clock").unwrap();
        assert_eq!(line.verdict, verdict, "{}", line.found);
        assert_eq!(line.found.contains("behind"), ms < 0.0, "{}", line.found);
    }
}

#[test]
fn other_findings_are_reported() {
    use Severity::{Fail, Warn};
    let refused = RedisFacts { scripts_refused: Some("NOPERM".into()), ..facts(&[]) };
    assert_eq!(bad(&refused), [("scripts", Fail)]);
    assert_eq!(bad(&RedisFacts { foreign_keys: 3, ..facts(&[]) }), [("alone", Warn)]);
    let on = |disk_free, overcommit| RedisFacts {
        machine: Some(Machine { disk_free: Some(disk_free), overcommit: Some(overcommit) }),
        ..facts(&[])
    };
    assert_eq!(bad(&on(DISK_BYTES_MIN, 1)), []);
    assert_eq!(bad(&on(DISK_BYTES_MIN - 1, 0)), [("disk", Fail), ("overcommit", Warn)]);
}

#[test]
fn unmet_durability_fails_and_unreadable_durability_warns() {
    let promise = |setting| RedisFacts { promise: (Durability::Fsync, setting), ..facts(&[]) };
    assert_eq!(bad(&promise(DurabilityCheck::Met)), []);
    let short = promise(DurabilityCheck::Unmet("Redis has appendfsync no".into()));
    assert_eq!(bad(&short), [("promise", Severity::Fail)]);
    assert_eq!(bad(&promise(DurabilityCheck::Unreadable("NOPERM".into()))), [("promise", Severity::Warn)]);
}
