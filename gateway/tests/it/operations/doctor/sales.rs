//! Tests of the checks of sales, of the gateways that serve them, and of the rate limits.

use reqwest::Method;
use serde_json::json;
use testkit::cli::run;
use testkit::definition::{apply, open, small, white, with};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::redis::Redis;

use super::{DoctorFixture, Findings};

/// The doctor beside a gateway that runs.
fn beside(doctor: &DoctorFixture, gateway: &Gateway, more: &[&str]) -> Findings {
    let [listen, ops] = [&gateway.url, &gateway.ops_url].map(|url| url.strip_prefix("http://").unwrap());
    doctor.examine(&[&["--listen", listen, "--ops-listen", ops], more].concat())
}

#[tokio::test]
async fn controls_leftovers_drift_and_missing_sales_are_reported() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let doctor = DoctorFixture::new(&redis);
    doctor.examine(&["--sale", "smal"]).has("sale smal", "ledger", "fail", "no such sale");
    let findings = beside(&doctor, &gateway, &[]);
    findings.has("sale small", "read-model", "ok", "has it, at sequence 1");
    findings.has("fleet", "durability", "warn", "none at all 1");
    findings.has("fleet", "token-keys", "ok", "hs256 at all 1");
    findings.has("fleet", "workers", "ok", "2 at all 1");
    // What recovery writes is the ledger's own.
    redis.run::<i64>("HSET lg:{small}:recovery x:g1 maja");
    assert_eq!(doctor.examine(&[]).verdicts("redis", "alone"), ["ok"]);
    redis.run::<i64>("DEL lg:{small}:recovery");
    for (action, undo, found) in [("pause", "resume", "it is paused"), ("freeze", "unfreeze", "it is frozen")]
    {
        assert_eq!(gateway.action(action, &json!({})).await.status, 200);
        doctor.examine(&["--sale", "small"]).has("sale small", "controls", "warn", found);
        assert_eq!(gateway.action(undo, &json!({})).await.status, 200);
    }
    assert_eq!(doctor.examine(&[]).verdicts("sale small", "controls"), ["ok"]);
    // A reservation is what it is for, once it is open; before that it is left from something else.
    assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 201);
    doctor.examine(&[]).has("sale small", "reservations", "ok", "1 held");
    // A reader of the journal that runs, is stuck, and vanishes.
    let lease = |ttl_ms: u64, parked: u64| {
        let state = json!({"lag_ms": 40, "parked": parked});
        let body = json!({"reader": "orders", "holder": "a:1", "ttl_ms": ttl_ms, "state": state});
        let (gateway, path) = (&gateway, "/admin/v1/sales/small/journal/lease");
        async move { assert_eq!(gateway.ops(Method::POST, path, &body).await.status, 200) }
    };
    lease(60_000, 2).await;
    let findings = doctor.examine(&[]);
    assert_eq!(findings.verdicts("sale small", "readers"), ["ok", "warn"]);
    findings.has("sale small", "readers", "warn", "orders: 2 reservations are parked");
    lease(1_000, 0).await;
    eventually("its lease has expired", || async {
        let findings = doctor.examine(&[]);
        let is_expired = findings.verdicts("sale small", "readers") == ["warn"];
        is_expired.then(|| findings.has("sale small", "readers", "warn", "expired"))
    })
    .await;
    // One that was released days before the last change.
    let long_ago = r#"7 0 5 5 a:1 {"lag_ms":0}"#;
    redis.command::<i64>(&["HSET", "lg:{small}:readers", "orders", long_ago]);
    doctor.examine(&[]).has("sale small", "readers", "warn", "changes have been waiting since then");
    // The finding ends by what it says.
    let url = redis.url();
    let forget = |reader: &str| run(&["sale", "forget-reader", "small", reader, "--redis", &url]);
    assert_eq!(forget("order").code, 2);
    assert_eq!((forget("orders").code, forget("orders").code), (0, 2));
    assert_eq!(doctor.examine(&[]).verdicts("sale small", "readers"), [""; 0]);
    // Not one that runs.
    lease(60_000, 0).await;
    let refused = forget("orders");
    assert!(refused.code == 1 && refused.err.contains("a:1 reads as orders"), "{refused:?}");
    redis.run::<i64>("DEL lg:{small}:readers");
    redis.run::<i64>("HSET lg:{small}:state opens 4000000000000");
    doctor.examine(&[]).has("sale small", "reservations", "warn", "before it opens");
    redis.run::<i64>("HSET lg:{small}:state opens 1767225600000");
    // A counter that was edited by hand.
    redis.run::<i64>("HINCRBY lg:{small}:stock model:white 1");
    doctor.examine(&[]).has("sale small", "audit", "fail", "model:white drifts by 1");
    // The gateway reports it, too.
    eventually("its alarm is reported", || async {
        doctor.examine(&[]).verdicts("fleet", "alarms").contains(&"fail").then_some(())
    })
    .await;
    redis.run::<i64>("HINCRBY lg:{small}:stock model:white -1");
    assert_eq!(doctor.examine(&[]).verdicts("sale small", "audit"), ["ok"]);
    // A key of another type.
    redis.run::<String>("RENAME lg:{small}:records saved");
    redis.run::<String>("SET lg:{small}:records x");
    let findings = doctor.examine(&[]);
    assert!(findings.verdicts("sale small", "audit").contains(&"fail"), "{findings:#?}");
    redis.run::<String>("RENAME saved lg:{small}:records");
    // A closed sale is not checked, unless it is named.
    assert_eq!(gateway.action("close", &json!({})).await.status, 200);
    assert_eq!(doctor.examine(&[]).verdicts("sale small", "controls"), [""; 0]);
    doctor.examine(&["--sale", "small"]).has("sale small", "controls", "fail", "closed for good");
}

#[tokio::test]
async fn a_restarted_redis_and_a_gateway_at_another_are_reported() {
    let mut redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let mut gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let doctor = DoctorFixture::new(&redis);
    // The gateway on this host uses another Redis.
    let elsewhere = Redis::start_with(&["--maxmemory", "256mb"]);
    let other = Gateway::start(&elsewhere).await;
    beside(&doctor, &other, &["--sale", "small"]).has("sale small", "read-model", "fail", "does not have it");
    gateway.kill();
    redis.kill();
    redis.start_again().unwrap();
    eventually("its last word is too old", || async {
        (doctor.examine(&[]).found("fleet", "gateways") == "none is running yet").then_some(())
    })
    .await;
    doctor.examine(&[]).has("sale small", "epoch", "warn", "Redis was restarted");
    let gateway = Gateway::start(&redis).await;
    eventually("the new epoch is adopted", || async {
        let findings = beside(&doctor, &gateway, &[]);
        (findings.verdicts("sale small", "epoch").is_empty()
            && findings.verdicts("sale small", "read-model") == ["ok"])
        .then_some(())
    })
    .await;
}

#[tokio::test]
async fn gateways_of_another_version_and_scripts_that_are_not_there_are_reported() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let gateway = Gateway::start(&redis).await;
    let doctor = DoctorFixture::new(&redis);
    let findings = beside(&doctor, &gateway, &[]);
    findings.has("fleet", "gateways", "ok", gateway.url.strip_prefix("http://").unwrap());
    findings.has("fleet", "scripts", "ok", "are in Redis");
    let word = || {
        let report = json!({"listen": "10.0.0.9:8080", "version": "0.0.1"});
        let now = jiff::Timestamp::now().as_millisecond();
        let mut command = redis::cmd("HSET");
        command.arg("lg:fleet").arg("old").arg(format!("{now} {report}"));
        command.query::<i64>(&mut redis.connection()).unwrap();
    };
    // A heartbeat counts for 5 s, and the doctor may be slower.
    eventually("its heartbeat is there", || async {
        word();
        let findings = doctor.examine(&[]);
        let is_answered = findings.verdicts("fleet", "gateways") == ["warn"];
        is_answered.then(|| findings.has("fleet", "gateways", "warn", "\"10.0.0.9:8080\" (0.0.1)"))
    })
    .await;
    redis.run::<i64>("HDEL lg:fleet old");
    // Without scripts and without the gateway, which would load them again twice a second.
    drop(gateway);
    redis.run::<String>("SCRIPT FLUSH");
    doctor.examine(&[]).has("fleet", "scripts", "fail", "0 of the");
    // The doctor itself has called two meanwhile.
    doctor.examine(&[]).has("fleet", "scripts", "warn", "2 of the");
}

#[tokio::test]
async fn a_gateway_that_is_not_ready_is_reported_with_its_reason() {
    let mut away = Redis::start();
    let gateway = Gateway::start(&away).await;
    away.kill();
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    eventually("it is not ready", || async {
        let findings = beside(&doctor, &gateway, &[]);
        (findings.verdicts("fleet", "ready") == ["fail"])
            .then(|| findings.has("fleet", "ready", "fail", "can't reach Redis"))
    })
    .await;
}

#[tokio::test]
async fn rate_limit_overrides_left_in_force_are_reported() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let url = redis.url();
    let doctor = DoctorFixture::new(&redis);
    assert_eq!(doctor.examine(&[]).verdicts("fleet", "limits"), ["ok"]);
    doctor.examine(&["--limit-buyer", "off"]).has("fleet", "limits", "warn", "nothing limits buyer");
    let set = |rate: &str| {
        let done = run(&["limits", "set", rate, "--reason", "a rehearsal", "--redis", &url]);
        assert_eq!(done.code, 0, "{done:?}");
    };
    set("address=off");
    doctor.examine(&[]).has("fleet", "limits", "warn", "a rehearsal");
    set("address=default");
    assert_eq!(doctor.examine(&[]).verdicts("fleet", "limits"), ["ok"]);
    redis.run::<i64>("HSET lg:limits buyer many");
    doctor.examine(&[]).has("fleet", "limits", "fail", "\"many\"");
}

#[tokio::test]
async fn all_sales_that_are_to_come_are_looked_at_unless_some_are_named() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let gateway = Gateway::start(&redis).await;
    for id in ["one", "two", "three"] {
        assert_eq!(apply(&gateway, &with(small(), "/sale/id", json!(id))).await.status, 200);
    }
    let doctor = DoctorFixture::new(&redis);
    let looked_at = |options: &[&str]| {
        let findings = doctor.examine(options);
        ["one", "two", "three"].map(|id| findings.verdicts(&format!("sale {id}"), "audit").len())
    };
    assert_eq!(looked_at(&[]), [1, 1, 1]);
    assert_eq!(looked_at(&["--sale", "two"]), [0, 1, 0]);
    assert_eq!(looked_at(&["--sale", "two", "--sale", "one"]), [1, 1, 0]);
    assert_eq!(looked_at(&["--sale", "two,three"]), [0, 1, 1]);
}
