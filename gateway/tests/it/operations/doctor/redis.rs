//! Tests the doctor's checks of Redis, with each misconfiguration.

use std::process::Command;

use testkit::cli::end;
use testkit::definition::{open, small, with};
use testkit::gateway::Gateway;
use testkit::redis::Redis;

use super::{DoctorFixture, Findings};

#[tokio::test]
async fn every_setting_that_is_wrong_is_found_and_right_again_when_it_is_set_back() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    let set = |name: &str, value: &str| {
        let mut conn = redis.connection();
        redis::cmd("CONFIG").arg("SET").arg(name).arg(value).query::<()>(&mut conn).unwrap();
    };
    for (name, wrong, right, check, verdict, found) in [
        ("appendfsync", "everysec", "always", "durability", "warn", "everysec"),
        ("appendfsync", "no", "always", "durability", "fail", "appendfsync is no"),
        ("maxmemory-policy", "allkeys-lru", "noeviction", "eviction", "fail", "allkeys-lru"),
        ("maxmemory-policy", "volatile-ttl", "noeviction", "eviction", "fail", "volatile-ttl"),
        ("maxmemory", "0", "256mb", "memory", "warn", "there is no maxmemory"),
        ("maxmemory", "1000", "256mb", "memory", "fail", "maxmemory 1000 bytes"),
        ("save", "3600 1", "", "snapshots", "warn", "3600 1"),
        ("min-replicas-to-write", "1", "0", "writes", "fail", "0 replicas are in sync"),
        ("timeout", "300", "0", "idle", "warn", "300"),
        ("tcp-keepalive", "0", "300", "idle", "warn", "tcp-keepalive is 0"),
        ("client-output-buffer-limit", "normal 1mb 0 0", "normal 0 0 0", "buffers", "warn", "1.0 MiB"),
        ("maxclients", "20", "10000", "clients", "fail", "of 20"),
        ("appendonly", "no", "yes", "durability", "fail", "appendonly is no"),
    ] {
        set(name, wrong);
        let findings = doctor.examine(&[]);
        // A script can't be loaded at the limit, either: two lines about one thing.
        if name != "maxmemory" || wrong == "0" {
            findings.has("redis", check, verdict, found);
        }
        assert!(findings.verdicts("redis", check).contains(&verdict), "{name} {wrong}: {findings:#?}");
        assert_eq!(findings.code, i32::from(verdict == "fail"), "{name} {wrong}: {findings:#?}");
        set(name, right);
        let todo_is_done = || !doctor.examine(&[]).verdicts("redis", check).contains(&verdict);
        // Turned on again, the append-only file is first written anew.
        testkit::eventually(&format!("{name} is right again"), || async { todo_is_done().then_some(()) })
            .await;
    }
}

#[tokio::test]
async fn a_sale_that_is_too_large_for_its_redis_is_reported_before_it_is_full() {
    let redis = Redis::start_with(&["--maxmemory", "64mb"]);
    let gateway = Gateway::start(&redis).await;
    let of =
        |stock: u64| with(with(small(), "/model/0/stock", stock.into()), "/stores/0/capacity", stock.into());
    let doctor = DoctorFixture::new(&redis);
    for (stock, verdict) in [(1_000, "ok"), (100_000, "fail")] {
        open(&gateway, &of(stock)).await;
        let findings = doctor.examine(&[]);
        findings.has("redis", "memory", verdict, "maxmemory 64.0 MiB");
    }
    let endless = crate::operations::doctor::definition::without(small(), "/model/0", "stock");
    let endless = crate::operations::doctor::definition::without(endless, "/stores/2", "capacity");
    open(&gateway, &endless).await;
    doctor.examine(&[]).has("redis", "endless", "warn", "has no bound");
}

#[test]
fn a_user_that_may_not_look_or_run_scripts_is_reported() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = |user: &str| DoctorFixture::at(&format!("{}?user={user}&pass=hunter2", redis.url()));
    redis.run::<String>("ACL SETUSER blind on >hunter2 ~* &* +@all -config");
    redis.run::<String>("ACL SETUSER weak on >hunter2 ~* &* +@all -evalsha -config");
    redis.run::<String>("ACL SETUSER other on >another ~* &* +@all");
    let findings = doctor("blind").examine(&[]);
    findings.has("redis", "settings", "warn", "CONFIG is forbidden");
    assert_eq!(findings.code, 0, "{findings:#?}");
    // INFO is still checked.
    redis.run::<String>("CONFIG SET maxmemory-policy allkeys-lru");
    doctor("blind").examine(&[]).has("redis", "eviction", "fail", "allkeys-lru");
    redis.run::<String>("CONFIG SET maxmemory-policy noeviction");
    doctor("weak").examine(&[]).has("redis", "scripts", "fail", "can't be executed");
    // With a wrong password no check runs, and no output shows it.
    let findings = doctor("other").examine(&[]);
    assert_eq!(findings.code, 3, "{findings:#?}");
    findings.has("redis", "reach", "fail", "");
    assert!(!format!("{findings:?}").contains("hunter2"), "{findings:?}");
    // A user that may read Redis's state, but not the ledger.
    redis.run::<String>("ACL SETUSER keyless on >hunter2 &* +@all");
    let findings = doctor("keyless").examine(&[]);
    assert_eq!(findings.code, 3, "{findings:#?}");
    findings.has("redis", "reach", "fail", "no permissions");
    assert_eq!(findings.verdicts("redis", "durability"), ["ok"], "{findings:#?}");
}

#[test]
fn a_replica_and_a_redis_with_keys_of_others_are_reported() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    redis.run::<String>("SET cart:4711 x");
    doctor.examine(&[]).has("redis", "alone", "warn", "1 keys");
    redis.run::<i64>("DEL cart:4711");
    assert_eq!(doctor.examine(&[]).verdicts("redis", "alone"), ["ok"]);
    redis.run::<String>("REPLICAOF 127.0.0.1 1");
    doctor.examine(&[]).has("redis", "role", "fail", "a replica of 127.0.0.1");
}

#[test]
fn one_of_a_cluster_is_reported_by_what_it_is_and_not_only_as_out_of_reach() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    // Of its bus, which it needs without a port, too.
    let bus = std::net::TcpListener::bind("127.0.0.3:0").unwrap().local_addr().unwrap().port().to_string();
    let options = ["--port", "0", "--cluster-port", &bus, "--cluster-enabled", "yes", "--unixsocket", "s"];
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.3"]);
    command.args(options).args(["--maxmemory", "256mb", "--appendonly", "yes"]).current_dir(dir.path());
    let mut server = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let url = format!("unix:{}", socket.display());
    let start = std::time::Instant::now();
    while redis::Client::open(url.as_str()).and_then(|client| client.get_connection()).is_err() {
        assert!(start.elapsed() < testkit::PATIENCE, "redis-server does not answer");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let findings = DoctorFixture::at(&url).examine(&[]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(findings.verdicts("redis", "role"), ["fail"], "{findings:#?}");
    assert!(findings.found("redis", "role").contains("cluster"), "{findings:#?}");
    assert_eq!((findings.code, findings.verdicts("redis", "reach")), (3, vec!["fail"]), "{findings:#?}");
    assert_eq!(findings.verdicts("redis", "eviction"), ["ok"], "INFO is still checked: {findings:#?}");
}

#[test]
fn replicas_are_counted_and_needed_ones_missed() {
    let primary = Redis::start_with(&["--maxmemory", "256mb", "--min-replicas-to-write", "1", "--port", "0"]);
    let doctor = DoctorFixture::new(&primary);
    doctor.examine(&[]).has("redis", "writes", "fail", "0 replicas");
}

#[test]
fn a_slow_redis_is_reported_by_its_own_slow_log() {
    let redis = Redis::start_with(&["--maxmemory", "256mb", "--enable-debug-command", "yes"]);
    let doctor = DoctorFixture::new(&redis);
    // It records latency only if configured.
    assert_eq!(doctor.examine(&[]).verdicts("redis", "slow"), [""; 0]);
    redis.run::<String>("CONFIG SET latency-monitor-threshold 100");
    redis.run::<String>("DEBUG SLEEP 0.15");
    doctor.examine(&[]).has("redis", "slow", "warn", "command ");
}

#[test]
fn a_clock_that_goes_wrong_is_reported() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    let at = |offset: &str| {
        let bare = doctor.command(&[]);
        let mut command = Command::new("faketime");
        command.args(["-f", offset]).arg(bare.get_program()).args(bare.get_args());
        bare.get_envs().filter(|(_, value)| value.is_none()).for_each(|(name, _)| {
            command.env_remove(name);
        });
        Findings::of(end(command))
    };
    at("-1h").has("redis", "clock", "fail", "ahead of");
    at("+10s").has("redis", "clock", "fail", "behind");
    at("+1s").has("redis", "clock", "warn", "behind");
    assert_eq!(at("+0s").verdicts("redis", "clock"), ["ok"]);
}

#[tokio::test]
async fn without_redis_all_else_is_still_looked_at() {
    let doctor = DoctorFixture::at("unix:/nowhere/redis.sock");
    doctor.write("weak", "maja aaaaaaaaaaaaaaaaaaaa\n", 0o644);
    let weak = doctor.arg("weak");
    let findings = doctor.examine(&["--ops-token-file", &weak]);
    assert_eq!(findings.code, 3, "{findings:#?}");
    assert!(findings.err.contains("Redis is unreachable"), "{findings:?}");
    findings.has("redis", "reach", "fail", "");
    findings.has("keys", "ops", "warn", "maja");
    findings.has("keys", "files", "warn", "mode 644");
    assert_eq!(findings.verdicts("host", "workers"), ["ok"]);
    // One that stalls is given up.
    let redis = Redis::start();
    let proxy = testkit::link::Link::to(&redis);
    proxy.set(testkit::link::Fault::Stall);
    let url = proxy.url().to_owned();
    let impatient = ["--redis-answer-timeout-ms", "200", "--redis-connect-timeout-ms", "200"];
    let findings = tokio::task::spawn_blocking(move || DoctorFixture::at(&url).examine(&impatient));
    let findings = findings.await.unwrap();
    assert_eq!(findings.code, 3, "{findings:#?}");
}
