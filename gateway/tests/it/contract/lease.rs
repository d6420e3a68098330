//! Tests the lease of a reader of the journal: one holder at a time, and a fence that grows.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{balanced, refused};
use testkit::definition::{open, small};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply};
use testkit::redis::Redis;

use crate::contract::admin::SALE;

async fn lease(gateway: &Gateway, body: &Value) -> Reply {
    gateway.ops(Method::POST, &format!("{SALE}/journal/lease"), body).await
}

fn wants(reader: &str, holder: &str, ttl_ms: u64) -> Value {
    json!({"reader": reader, "holder": holder, "ttl_ms": ttl_ms, "state": {"lag_ms": 7, "note": "two words"}})
}

/// The fence of a lease that was given.
fn fence(reply: &Reply) -> u64 {
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json["fence"].as_u64().unwrap()
}

fn held(reply: &Reply, by: &str) {
    refused(reply, 409, "lease-held", &["holder", "expires_at", "retry_after_ms"]);
    assert_eq!(reply.json["holder"], by, "{}", reply.text);
    assert!(!reply.header("retry-after").is_empty());
}

#[tokio::test]
async fn one_holder_at_a_time_reads_under_a_name_and_its_fence_grows() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let before = balanced(&gateway).await;
    let first = lease(&gateway, &wants("orders", "a:1", 60_000)).await;
    let names = ["expires_at", "fence", "holder", "reader"];
    assert_eq!(first.json.as_object().unwrap().keys().collect::<Vec<_>>(), names);
    assert_eq!((&first.json["reader"], &first.json["holder"]), (&json!("orders"), &json!("a:1")));
    held(&lease(&gateway, &wants("orders", "b:2", 60_000)).await, "a:1");
    held(&lease(&gateway, &wants("orders", "b:2", 0)).await, "a:1");
    // Another name is free, and the holder keeps its fence.
    assert!(fence(&lease(&gateway, &wants("mails", "b:2", 1_000)).await) > 0);
    assert_eq!(fence(&lease(&gateway, &wants("orders", "a:1", 1_000)).await), fence(&first));
    // It vanishes.
    let second = eventually("the lease has expired", || async {
        Some(lease(&gateway, &wants("orders", "b:2", 60_000)).await).filter(|reply| reply.status == 200)
    })
    .await;
    assert!(fence(&second) > fence(&first));
    held(&lease(&gateway, &wants("orders", "a:1", 60_000)).await, "b:2");
    // A release makes way at once, also when it comes twice.
    for _ in 0..2 {
        assert_eq!(fence(&lease(&gateway, &wants("orders", "b:2", 0)).await), fence(&second));
    }
    let third = lease(&gateway, &wants("orders", "c:3", 60_000)).await;
    assert!(fence(&third) > fence(&second));
    // Redis forgets it.
    redis.run::<i64>("DEL lg:{small}:readers");
    let fourth = lease(&gateway, &wants("orders", "d:4", 60_000)).await;
    assert!(fence(&fourth) > fence(&third));
    assert_eq!(balanced(&gateway).await, before, "it is no part of the ledger");
}

#[tokio::test]
async fn a_sale_has_a_bounded_number_of_readers_and_expired_ones_make_place() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    for n in 0..16 {
        fence(&lease(&gateway, &wants(&format!("reader-{n}"), "a:1", 60_000)).await);
    }
    let full = lease(&gateway, &wants("one-more", "a:1", 60_000)).await;
    refused(&full, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
    fence(&lease(&gateway, &wants("reader-7", "a:1", 60_000)).await);
    fence(&lease(&gateway, &wants("reader-3", "a:1", 0)).await);
    fence(&lease(&gateway, &wants("one-more", "a:1", 60_000)).await);
    let mut names: Vec<String> = redis.run("HKEYS lg:{small}:readers");
    names.sort();
    assert!(names.len() == 16 && !names.contains(&"reader-3".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_call_for_a_lease_that_is_wrong_is_refused_with_the_place() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let with = |name: &str, value: Value| {
        let mut body = wants("orders", "a:1", 15_000);
        body[name] = value;
        body
    };
    for (body, pointer) in [
        (with("reader", json!("")), "/reader"),
        (with("reader", json!("-")), "/reader"),
        (with("reader", json!("two words")), "/reader"),
        (with("reader", json!("x".repeat(65))), "/reader"),
        (with("holder", json!("")), "/holder"),
        (with("holder", json!("two words")), "/holder"),
        (with("holder", json!("x".repeat(129))), "/holder"),
        (with("ttl_ms", json!(999)), "/ttl_ms"),
        (with("ttl_ms", json!(60_001)), "/ttl_ms"),
        (with("ttl_ms", json!(-1)), "/ttl_ms"),
        (with("ttl_ms", json!("15s")), "/ttl_ms"),
        (with("state", json!({"x": "y".repeat(2_048)})), "/state"),
        (with("state", json!([1])), "/state"),
        (with("more", json!(1)), "/more"),
    ] {
        let reply = lease(&gateway, &body).await;
        refused(&reply, 400, "invalid-request", &["pointer"]);
        assert_eq!(reply.json["pointer"], pointer, "{body}: {}", reply.text);
    }
    let mut without = wants("orders", "a:1", 15_000);
    without.as_object_mut().unwrap().remove("state");
    fence(&lease(&gateway, &without).await);
    let none = gateway.ops(Method::POST, "/admin/v1/sales/none/journal/lease", &without).await;
    refused(&none, 404, "sale-not-found", &[]);
    assert!(!redis.run::<bool>("EXISTS lg:{none}:readers"));
}
