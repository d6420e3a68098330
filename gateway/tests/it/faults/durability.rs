//! Tests acknowledgements at each level of `--durability`, on real primaries and replicas.

use reqwest::Method;
use serde_json::json;
use testkit::Signal;
use testkit::cli::{Running, run};
use testkit::definition::{known, open, small, white};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply};
use testkit::redis::Redis;

use crate::launch::spike::ready;

fn unknown(reply: &Reply) {
    assert_eq!((reply.status, reply.problem()), (503, "outcome-unknown"), "{}", reply.text);
}

/// Waits until the gateway is not ready, with these words.
async fn not_ready(gateway: &Gateway, words: &str) {
    eventually(words, || async {
        let reply = gateway.ops_get("/readyz").await;
        (reply.status == 503 && reply.text.contains(words)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_change_is_acknowledged_only_once_a_replica_has_it() {
    let (primary, replica) = Redis::with_replica();
    let one = Gateway::start_with(&primary, &["--durability", "replicas=1"]).await;
    let two = Gateway::start_with(&primary, &["--durability", "replicas=1"]).await;
    open(&one, &small()).await;
    known(&two, "small").await;
    let alice = one.reserve("alice", "k1", &white()).await;
    assert_eq!(alice.status, 201);

    replica.stop();
    unknown(&one.reserve("bob", "k1", &white()).await);
    // Only the primary's ledger has it, so no connection may acknowledge it, neither the one that
    // wrote it nor another.
    for gateway in [&one, &two, &one, &two] {
        unknown(&gateway.reserve("bob", "k1", &white()).await);
        assert_eq!(gateway.get_as("bob", "/v1/sales/small/reservations").await.status, 503);
    }
    unknown(&one.confirm(&alice.id(), "pay-1", 1).await);
    // What stops the sale must work meanwhile; what lets it go on waits for the replicas.
    let paused = one.action("pause", &json!({"reason": "no replica"})).await;
    assert_eq!((paused.status, &paused.json["state"]), (200, &json!("paused")), "{}", paused.text);
    unknown(&two.action("resume", &json!({})).await);
    assert_eq!(two.action("pause", &json!({})).await.status, 200);

    replica.signal(Signal::CONT);
    let bob = eventually("bob's tap is acknowledged", || async {
        let reply = two.reserve("bob", "k1", &white()).await;
        (reply.status == 200).then_some(reply)
    })
    .await;
    assert_eq!(bob.header("idempotency-replayed"), "true");
    let paid = one.confirm(&alice.id(), "pay-1", 1).await;
    assert_eq!((paid.status, &paid.json["state"]), (200, &json!("confirmed")));
    eventually("the sale is known to be paused", || async {
        (one.get("/v1/sales/small").await.json["phase"] == "paused").then_some(())
    })
    .await;
    let audit = one.audit().await;
    assert_eq!((&audit["verdict"], &audit["sequence"]), (&json!("balanced"), &json!(7)), "{audit}");
}

#[tokio::test]
async fn the_journal_delivers_a_change_only_once_a_replica_has_it() {
    let (primary, replica) = Redis::with_replica();
    let gateway = Gateway::start_with(&primary, &["--durability", "replicas=1"]).await;
    // It writes, and waits for nothing.
    let careless = Gateway::start(&primary).await;
    open(&gateway, &small()).await;
    known(&careless, "small").await;
    let path = "/admin/v1/sales/small/journal";
    let first = gateway.ops_get(path).await;
    assert_eq!((first.status, first.text.lines().count()), (200, 1), "{}", first.text);

    replica.stop();
    assert_eq!(careless.reserve("alice", "k1", &white()).await.status, 201);
    let from = first.json["cursor"].as_str().unwrap();
    for path in [path.to_owned(), format!("{path}?from={from}")] {
        let page = gateway.ops_get(&path).await;
        let sequence = page.header("launchgate-sequence");
        assert_eq!(
            (page.status, &*page.text, sequence),
            (200, "", "2"),
            "{path}: it is there, and may be lost"
        );
    }
    assert_eq!(careless.ops_get(path).await.text.lines().count(), 2, "its level asks for no replica");
    let print = ["journal", "small", "--redis", &primary.url(), "--durability", "replicas=1"];
    let printed = run(&print);
    assert_eq!((printed.code, &*printed.out), (3, ""), "{printed:?}");
    assert!(printed.err.contains("too few replicas have the newest changes"), "{printed:?}");
    let follower = Running::start(&[&print[..], &["--follow"]].concat());

    replica.signal(Signal::CONT);
    let news = eventually("the change is delivered", || async {
        let page = gateway.ops_get(&format!("{path}?from={from}")).await;
        (!page.text.is_empty()).then_some(page)
    })
    .await;
    assert_eq!((&news.json["buyer"], news.header("launchgate-sequence")), (&json!("alice"), "2"));
    let lines = run(&print).lines();
    assert_eq!(lines.len(), 2);
    let followed = tokio::task::spawn_blocking(move || [follower.line(), follower.line()]).await.unwrap();
    assert_eq!(followed[..], lines, "it waited, and went on by itself");
}

#[tokio::test]
async fn a_lease_is_given_and_renewed_only_once_a_replica_has_it() {
    let (primary, replica) = Redis::with_replica();
    let gateway = Gateway::start_with(&primary, &["--durability", "replicas=1"]).await;
    open(&gateway, &small()).await;
    let lease = async |reader: &str, holder: &str| {
        let body = json!({"reader": reader, "holder": holder, "ttl_ms": 60_000});
        gateway.ops(Method::POST, "/admin/v1/sales/small/journal/lease", &body).await
    };
    let given = lease("orders", "a:1").await;
    assert_eq!(given.status, 200, "{}", given.text);

    // A former primary must neither give a lease nor renew one: another holder may have it at the present one.
    replica.stop();
    for reader in ["orders", "orders", "mails"] {
        let refused = lease(reader, "a:1").await;
        assert_eq!(
            (refused.status, refused.problem()),
            (503, "temporary-reduced-capacity"),
            "{}",
            refused.text
        );
        assert!(refused.text.contains("too few replicas"), "{}", refused.text);
    }
    assert_eq!(lease("orders", "b:2").await.problem(), "lease-held");

    replica.signal(Signal::CONT);
    let renewed = eventually("it is renewed", || async {
        Some(lease("orders", "a:1").await).filter(|reply| reply.status == 200)
    })
    .await;
    assert_eq!(renewed.json["fence"], given.json["fence"]);
}

#[tokio::test]
async fn a_gateway_is_ready_only_while_enough_replicas_are_in_step() {
    let (primary, mut replica) = Redis::with_replica();
    let gateway = Gateway::start_with(&primary, &["--durability", "replicas=1"]).await;
    replica.kill();
    not_ready(&gateway, "0 of 1 replicas of Redis are in step").await;
    replica.start_again().unwrap();
    ready(&gateway, true).await;
    // A stopped replica acknowledges nothing, and does not count.
    replica.stop();
    not_ready(&gateway, "durability replicas=1 is required").await;
    replica.signal(Signal::CONT);
    ready(&gateway, true).await;
}

#[tokio::test]
async fn a_gateway_is_ready_only_while_redis_keeps_its_file_as_was_asked_for() {
    let redis = Redis::start();
    let fsync = Gateway::start_with(&redis, &["--durability", "fsync"]).await;
    let aof = Gateway::start_with(&redis, &["--durability", "aof"]).await;
    for (setting, good, words) in [
        ("appendfsync everysec", "appendfsync always", "CONFIG SET appendfsync always"),
        (
            "no-appendfsync-on-rewrite yes",
            "no-appendfsync-on-rewrite no",
            "CONFIG SET no-appendfsync-on-rewrite no",
        ),
    ] {
        redis.run::<()>(&format!("CONFIG SET {setting}"));
        not_ready(&fsync, words).await;
        assert_eq!(aof.ops_get("/readyz").await.status, 200, "{setting}");
        redis.run::<()>(&format!("CONFIG SET {good}"));
        ready(&fsync, true).await;
    }
    redis.run::<()>("CONFIG SET appendonly no");
    not_ready(&fsync, "CONFIG SET appendonly yes").await;
    not_ready(&aof, "durability aof is required, but Redis keeps no append-only file").await;
    redis.run::<()>("CONFIG SET appendonly yes");
    ready(&fsync, true).await;
    ready(&aof, true).await;
}

#[tokio::test]
async fn without_config_the_log_warns_that_durability_is_unchecked() {
    let redis = Redis::start();
    redis.run::<()>("ACL SETUSER gate on >pw ~* &* +@all -config");
    let log = redis.files().join("gateway.log");
    let url = format!("{}?user=gate&pass=pw", redis.url());
    let gateway = Gateway::spawn_logging(&url, &["--durability", "fsync"], &log);
    ready(&gateway, true).await;
    let output = std::fs::read_to_string(&log).unwrap();
    assert_eq!(output.matches("the durability settings of Redis can't be read").count(), 1, "{output}");
    assert!(output.contains("level=fsync") && output.contains("CONFIG is forbidden"), "{output}");
    // What needs no CONFIG is looked at all the same.
    redis.run::<()>("CONFIG SET appendonly no");
    not_ready(&gateway, "CONFIG SET appendonly yes").await;
}

#[tokio::test]
async fn a_replica_in_place_of_the_primary_is_reported_and_takes_nothing() {
    let (primary, replica) = Redis::with_replica();
    let good = Gateway::start(&primary).await;
    open(&good, &small()).await;
    let lost = Gateway::spawn(&replica, &[]);
    not_ready(&lost, "this Redis is a replica of 127.0.0.1:").await;
    not_ready(&lost, "let the address in --redis lead to the primary").await;
    let reply = lost.reserve("alice", "k1", &white()).await;
    assert!(reply.status == 503 || reply.status == 404, "{}", reply.text);
    assert_eq!(good.audit().await["sequence"], 1);
}
