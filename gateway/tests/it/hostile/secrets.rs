//! Tests that secrets and other buyers' reservations do not leak, and that input cannot inject log
//! lines.

use std::path::Path;

use reqwest::Method;
use serde_json::json;
use testkit::definition::{open, small, white};
use testkit::eventually;
use testkit::gateway::{Gateway, OPS_TOKEN, SECRET, binary, send, token};
use testkit::link::{Fault, Link};
use testkit::redis::Redis;

/// Whether a log line is genuine: it begins with a time.
fn is_whole(line: &str) -> bool {
    line.get(..4).is_some_and(|year| year.starts_with("20")) && line.get(10..11) == Some("T")
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap()
}

#[tokio::test]
async fn logs_metrics_and_errors_hold_no_secret_and_no_injected_line() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let redis = Redis::start();
    let gateway = Gateway::spawn_logging(&redis.url(), &["--limit-unverified", "off"], &log);
    gateway.ready().await;
    open(&gateway, &small()).await;
    let alice = token("alice");
    let forged = format!("{alice}x");
    let mut received = String::new();
    // Whatever is answered, by either listener, to right and wrong tokens and to nonsense.
    let evil = "x\n2026-01-01T00:00:00Z ERROR gateway: forged\r\n\u{1b}[31m";
    received += &send(gateway.tap("alice", "k", &white())).await.text;
    for token in [alice.as_str(), &forged, OPS_TOKEN, SECRET] {
        let path = "/v1/sales/small/reservations";
        received += &send(gateway.request(Method::GET, path).bearer_auth(token)).await.text;
        let admin = reqwest::Client::new().get(format!("{}/admin/v1/sales", gateway.ops_url));
        received += &send(admin.bearer_auth(format!("{token}y"))).await.text;
    }
    for word in ["pause", "resume"] {
        received += &gateway.action(word, &json!({"reason": evil})).await.text;
    }
    received +=
        &gateway.ops(Method::PATCH, "/admin/v1/limits", &json!({"sale": "9:9", "reason": evil})).await.text;
    received += &gateway.ops(Method::PATCH, "/admin/v1/limits", &json!({"sale": evil})).await.text;
    received += &gateway.ops(Method::PUT, "/admin/v1/sales/small", &json!({"sale": {"id": evil}})).await.text;
    received += &gateway.get("/v1/sales/small%0A2026-01-01T00:00:00Z%20ERROR%20forged").await.text;
    received += &gateway.reserve("bob", "k", &json!({"model": evil, "store": "gz-1"})).await.text;
    received += &gateway.ops_get("/metrics").await.text;
    received += &gateway.ops_get("/admin/v1/fleet").await.text;
    eventually("the limits are logged", || async { read(&log).contains("limits set").then_some(()) }).await;

    let log = read(&log);
    assert!(log.lines().count() > 5, "{log}");
    let signature = alice.rsplit('.').next().unwrap();
    for (what, text) in [("the log", &log), ("the answers", &received)] {
        for secret in [SECRET, OPS_TOKEN, &alice, &forged, signature] {
            assert!(!text.contains(secret), "{what} has {secret:?}");
        }
    }
    for line in log.lines() {
        assert!(is_whole(line) && !line.contains('\u{1b}'), "{line:?}");
    }
}

#[tokio::test]
async fn the_password_of_redis_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    // Nothing listens there.
    let url = "redis://user:hunter2@127.0.0.1:1/0";
    let gateway = Gateway::spawn_logging(url, &[], &log);
    eventually("it logs that Redis is away", || async { read(&log).contains("refused").then_some(()) }).await;
    let not_ready = gateway.ops_get("/readyz").await;
    assert_eq!(not_ready.status, 503);
    let admin = gateway.ops_get("/admin/v1/sales").await;
    assert_eq!(admin.status, 503, "{}", admin.text);
    let shown = binary().args(["config", "--redis", url]).output().unwrap();
    assert!(shown.status.success());
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("redis://***@127.0.0.1:1/0"), "{shown}");
    for text in [read(&log), not_ready.text, admin.text, gateway.ops_get("/metrics").await.text, shown] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn another_s_reservation_looks_like_none_and_takes_as_long() {
    let redis = Redis::start();
    let proxy = Link::to(&redis);
    let options = ["--redis-answer-timeout-ms", "60000", "--tap-deadline-ms", "60000"];
    let gateway = Gateway::start_at(proxy.url(), &options).await;
    open(&gateway, &small()).await;
    let held = gateway.reserve("alice", "k", &white()).await;
    assert_eq!(held.status, 201, "{}", held.text);
    let theirs = held.id();
    let absent_ones = theirs.chars().rev().collect::<String>();
    // Redis is away: the answer does not depend on the reservation's existence, so its time cannot
    // either.
    proxy.set(Fault::Stall);
    let mut received = Vec::new();
    for id in [&theirs, &absent_ones] {
        let path = format!("/v1/sales/small/reservations/{id}");
        let call = |method, path: &str| gateway.request(method, path).bearer_auth(token("mallory"));
        let body = json!({"store": "gz-2"});
        for request in [
            call(Method::GET, &path),
            call(Method::PATCH, &path).json(&body),
            call(Method::POST, &format!("{path}/cancel")),
        ] {
            let reply = send(request).await;
            assert_eq!((reply.status, reply.problem()), (404, "reservation-not-found"), "{}", reply.text);
            received.push(reply.text);
        }
    }
    assert!(received.iter().all(|text| *text == received[0]), "{received:?}");
    proxy.set(Fault::None);
    let own = gateway.get_as("alice", &format!("/v1/sales/small/reservations/{theirs}")).await;
    assert_eq!((own.status, own.json["version"].as_u64()), (200, Some(1)), "{}", own.text);
}
