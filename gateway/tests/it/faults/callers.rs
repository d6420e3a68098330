//! Tests gateways and callers that vanish at the worst moment.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::definition::{known, open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Gateway, send, token};
use testkit::redis::Redis;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::launch::spike::{Spike, balanced, ready, reserve_until_answered, wins};

/// A white car at a store without a limit.
pub fn far() -> Value {
    json!({"model": "white", "store": "sh-1"})
}

/// The sale `small` with so many white cars.
pub fn stock(white: u64) -> Value {
    with(small(), "/model/0/stock", json!(white))
}

/// The sale `small` with holds that end soon, and without grace.
pub fn brief() -> Value {
    let brief = with(small(), "/sale/hold", json!("1s"));
    with(brief, "/sale/grace", json!("0s"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_killed_in_mid_spike_loses_nothing() {
    let redis = Redis::start();
    let (mut one, two) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    open(&one, &stock(200)).await;
    known(&two, "small").await;

    let spike = Spike::start(&[&one, &two], "b", 300, &far());
    spike.won(40).await;
    one.kill();
    let outcome = spike.end().await;

    assert!(outcome.put_off.contains_key(""), "{:?}", outcome.put_off);
    assert_eq!((outcome.winners.len(), outcome.refused.len()), (200, 100));
    outcome.reconcile(&two).await;
}

#[tokio::test]
async fn a_tap_whose_caller_hangs_up_is_decided_once_and_a_retry_shows_it() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let body = white().to_string();

    for n in 0..40 {
        let sub = format!("b-{n}");
        let request = format!(
            "POST /v1/sales/small/reservations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: k\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            token(&sub),
            body.len()
        );
        let address = gateway.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        if n % 2 == 0 {
            // Not closed but reset: nothing of the answer can be sent.
            stream.set_zero_linger().unwrap();
        }
    }

    for n in 0..40 {
        let sub = format!("b-{n}");
        let first = reserve_until_answered(&gateway, &sub, "k", &white()).await;
        let again = gateway.reserve(&sub, "k", &white()).await;
        assert_eq!((again.status, again.id()), (200, first.id()));
    }
    let audit = balanced(&gateway).await;
    assert_eq!(audit["reservations"]["held"], 40, "{audit}");
}

#[tokio::test]
async fn expired_holds_give_their_stock_back_though_a_gateway_dies() {
    let redis = Redis::start();
    let (mut one, two) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    open(&one, &with(brief(), "/model/0/stock", json!(10))).await;
    known(&two, "small").await;

    for n in 0..10 {
        let won = one.reserve(&format!("b-{n}"), "k", &far()).await;
        assert_eq!(won.status, 201, "{}", won.text);
    }
    one.kill();
    eventually("all holds expire", || async {
        let audit = balanced(&two).await;
        (audit["reservations"]["expired"] == 10).then_some(())
    })
    .await;
    // The former holder gets the present state, and another buyer can have the car.
    let late = two.reserve("b-0", "k", &far()).await;
    assert_eq!((late.status, &late.json["state"]), (200, &json!("expired")));
    wins(&two, "next", "k", &far()).await;
    balanced(&two).await;
}

#[tokio::test]
async fn a_gateway_starts_without_redis_and_is_ready_when_it_comes() {
    let mut redis = Redis::start();
    let before = Gateway::start(&redis).await;
    open(&before, &small()).await;
    drop(before);
    redis.kill();

    let gateway = Gateway::spawn(&redis, &[]);
    let reason = ready(&gateway, false).await;
    assert!(reason.contains("can't reach Redis"), "{reason}");
    assert_eq!(gateway.ops_get("/livez").await.status, 200);
    // It has no sale yet; it must not answer that none exists.
    let tap = gateway.reserve("alice", "k", &white()).await;
    assert_eq!((tap.status, tap.problem()), (503, "temporary-reduced-capacity"), "{}", tap.text);
    let page = send(gateway.request(Method::GET, "/v1/sales/small")).await;
    assert_eq!(page.status, 503, "{}", page.text);

    redis.start_again().unwrap();
    ready(&gateway, true).await;
    wins(&gateway, "alice", "k", &white()).await;
    balanced(&gateway).await;
}
