//! Tests a launch on two gateways: nothing is sold twice, every winner is acknowledged at either
//! gateway, and the drain is orderly.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::json;
use testkit::Signal;
use testkit::check::{balanced, refused, settled};
use testkit::definition::{known, open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply, send, token};
use testkit::http::Raw;
use testkit::redis::Redis;

/// Time-outs that no test machine reaches: the test is about winners, not latency.
const PATIENT: [&str; 4] = ["--tap-deadline-ms", "60000", "--redis-answer-timeout-ms", "60000"];

async fn two(redis: &Redis) -> [Gateway; 2] {
    let gateways = [Gateway::start_with(redis, &PATIENT).await, Gateway::start_with(redis, &PATIENT).await];
    open(&gateways[0], &small()).await;
    known(&gateways[1], "small").await;
    gateways
}

#[tokio::test]
async fn five_thousand_buyers_tap_twice_and_a_hundred_cars_are_held() {
    const BUYERS: usize = 5_000;
    let redis = Redis::start();
    let gateways = two(&redis).await;
    // Each buyer taps once at either gateway, with the same key; some in one order, some in the other.
    let selection = |n: usize| {
        let model = if n % 5 < 3 { "white" } else { "black" };
        json!({"model": model, "store": "sh-1"})
    };
    let taps = (0..BUYERS).flat_map(|n| [(n, n % 2), (n, 1 - n % 2)]);
    let answers: Vec<(usize, Reply)> = futures_util::stream::iter(taps)
        .map(|(n, at)| {
            let tap = gateways[at].tap(&format!("buyer-{n}"), "k1", &selection(n));
            async move { (n, send(tap).await) }
        })
        .buffer_unordered(300)
        .collect()
        .await;

    let mut by_buyer: HashMap<usize, Vec<Reply>> = HashMap::new();
    for (n, reply) in answers {
        by_buyer.entry(n).or_default().push(reply);
    }
    assert_eq!(by_buyer.len(), BUYERS);
    let mut winners = HashMap::new();
    let mut numbers = HashSet::new();
    for (n, replies) in &by_buyer {
        let mut statuses: Vec<u16> = replies.iter().map(|r| r.status).collect();
        statuses.sort_unstable();
        match statuses[..] {
            [200, 201] => {
                assert_eq!(replies[0].id(), replies[1].id());
                let replayed = replies.iter().find(|r| r.status == 200).unwrap();
                assert_eq!(replayed.header("idempotency-replayed"), "true");
                assert!(numbers.insert(replayed.json["number"].as_u64().unwrap()));
                winners.insert(*n, replayed.id());
            }
            [409, 409] => {
                for reply in replies {
                    let problem = refused(reply, 409, "sold-out", &["items", "final", "standby"]);
                    assert_eq!(problem["items"].as_array().unwrap().len(), 1);
                }
            }
            _ => panic!("buyer-{n} was answered {statuses:?}: {replies:?}"),
        }
    }
    assert_eq!(winners.len(), 100);
    assert_eq!(numbers, (1..=100).collect(), "numbers have no gaps");
    let audit = gateways[0].audit().await;
    assert_eq!(audit["verdict"], "balanced", "{audit}");
    assert_eq!(audit["reservations"]["held"], 100);
    for item in audit["items"].as_array().unwrap().iter().take(2) {
        assert_eq!((&item["free"], &item["drift"]), (&json!(0), &json!(0)), "{item}");
    }
    // Both gateways ask the one ledger, so both audits are one.
    assert_eq!(gateways[1].audit().await, audit);
}

#[tokio::test]
async fn a_winner_gets_the_same_reservation_from_every_gateway_at_any_time() {
    let redis = Redis::start();
    let gateways = two(&redis).await;
    let all = json!({"item": "model:white", "total": 1, "was": 60});
    assert_eq!(gateways[0].action("restock", &all).await.status, 200);
    settled(&gateways[0]).await;
    let won = gateways[0].reserve("winner", "k", &white()).await;
    assert_eq!(won.status, 201, "{}", won.text);

    for (action, status, name) in
        [(None, 409, "sold-out"), (Some("pause"), 409, "sale-paused"), (Some("close"), 410, "sale-closed")]
    {
        if let Some(action) = action {
            assert_eq!(gateways[0].action(action, &json!({})).await.status, 200);
        }
        for gateway in &gateways {
            settled(gateway).await;
            let other = gateway.reserve("loser", "k", &white()).await;
            assert_eq!((other.status, other.problem()), (status, name), "{}", other.text);
            let again = gateway.reserve("winner", "k", &white()).await;
            assert_eq!((again.status, again.id()), (200, won.id()), "{action:?}: {}", again.text);
            assert_eq!(again.header("idempotency-replayed"), "true");
        }
    }
    // A gateway that starts only now has it, too.
    let late = Gateway::start(&redis).await;
    known(&late, "small").await;
    let again = late.reserve("winner", "k", &white()).await;
    assert_eq!((again.status, again.id()), (200, won.id()), "{}", again.text);
    balanced(&late).await;
}

#[tokio::test]
async fn two_keys_of_one_buyer_in_one_batch_win_once() {
    let redis = Redis::start();
    let options = [&PATIENT[..], &["--workers", "1"]].concat();
    let gateway = Gateway::start_with(&redis, &options).await;
    let definition = with(small(), "/model/0/stock", json!(10_000));
    open(&gateway, &with(definition, "/stores/0/capacity", json!(10_000))).await;
    let mut wave = 0;
    eventually("one batch holds several buyers", || {
        wave += 1;
        let (gateway, wave) = (&gateway, wave);
        async move {
            let taps = (0..60).map(|n| async move {
                let buyer = format!("buyer-{wave}-{}", n / 2);
                gateway.reserve(&buyer, &format!("k{}", n % 2), &white()).await
            });
            let replies = futures_util::future::join_all(taps).await;
            for pair in replies.chunks_exact(2) {
                let (won, lost) =
                    if pair[0].status == 201 { (&pair[0], &pair[1]) } else { (&pair[1], &pair[0]) };
                assert_eq!(won.status, 201, "{}", won.text);
                let problem = refused(lost, 409, "purchase-limit", &["reservations", "reason"]);
                assert_eq!(problem["reservations"], json!([won.id()]));
            }
            let audit = gateway.audit().await;
            assert_eq!(audit["verdict"], "balanced", "{audit}");
            assert_eq!(audit["reservations"]["held"], 30 * wave);
            // One entry is the definition; the others are batches.
            let entries = audit["sequence"].as_u64().unwrap() - 1;
            (entries < 30 * wave).then_some(())
        }
    })
    .await;
}

#[tokio::test]
async fn readiness_goes_down_before_anything_else() {
    let redis = Redis::start();
    // A delay that outlasts the test: all of it is seen inside.
    let gateway = Gateway::start_with(&redis, &["--drain-delay-ms", "600000"]).await;
    open(&gateway, &small()).await;
    assert_eq!(gateway.ops_get("/livez").await.status, 200);
    gateway.signal(Signal::TERM);
    let reply = eventually("it is not ready", || async {
        let reply = gateway.ops_get("/readyz").await;
        (reply.status == 503).then_some(reply)
    })
    .await;
    assert!(reply.text.contains("draining"), "{}", reply.text);
    assert_eq!(gateway.ops_get("/livez").await.status, 200);
    // The load balancer has not noticed yet: new connections are served as before.
    let close = "GET /v1/sales/small HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut raw = Raw::connect(&gateway.url).await;
    assert_eq!(raw.send(close).await.answer().await.status, 200);
    assert_eq!(gateway.reserve("late", "k", &white()).await.status, 201);
}

#[tokio::test]
async fn a_drain_answers_the_taps_that_are_in_flight() {
    let redis = Redis::start();
    let options = ["--drain-deadline-ms", "600000", "--body-timeout-ms", "600000"];
    let mut gateway = Gateway::start_with(&redis, &options).await;
    open(&gateway, &small()).await;
    let body = white().to_string();
    let mut in_flight = Vec::new();
    for n in 0..20 {
        let mut raw = Raw::connect(&gateway.url).await;
        let head = format!(
            "POST /v1/sales/small/reservations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: k\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
            token(&format!("buyer-{n}")),
            body.len()
        );
        // "Continue" shows that the handler has started.
        let answered = raw.send(head).await.head().await;
        assert!(answered.starts_with("HTTP/1.1 100"), "{answered}");
        in_flight.push(raw);
    }
    gateway.signal(Signal::TERM);
    eventually("it takes no more connections", || async {
        let address = gateway.url.strip_prefix("http://").unwrap();
        tokio::net::TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
    assert_eq!(gateway.ops_get("/readyz").await.status, 503);
    let before = balanced(&gateway).await;
    for raw in &mut in_flight {
        raw.send(&body).await;
    }
    for raw in &mut in_flight {
        let reply = raw.answer().await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        assert_eq!(reply.header("connection"), "close");
    }
    let status = eventually("it has ended", || {
        let ended = gateway.ended();
        async move { ended }
    })
    .await;
    assert_eq!(status.code(), Some(0));
    // Another gateway finds all of them.
    let next = Gateway::start(&redis).await;
    known(&next, "small").await;
    assert!(balanced(&next).await > before);
    assert_eq!(next.audit().await["reservations"]["held"], 20);
}

#[tokio::test]
async fn an_unknown_outcome_is_answered_as_such_and_the_retry_is_decided_once() {
    let mut redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let ask = |method: Method, path: String| {
        let request = gateway.request(method, &path).bearer_auth(token("winner"));
        send(request)
    };
    // Redis is stopped: sent commands may still run.
    redis.signal(Signal::STOP);
    let reply = gateway.reserve("winner", "k", &white()).await;
    redis.signal(Signal::CONT);
    let problem = refused(&reply, 503, "outcome-unknown", &["retry_after_ms"]);
    assert!(problem["retry_after_ms"].as_u64().unwrap() >= 1_000, "{problem}");
    let won = eventually("the retry is decided", || async {
        let reply = gateway.reserve("winner", "k", &white()).await;
        assert!([200, 201, 503].contains(&reply.status), "{}", reply.text);
        (reply.status < 300).then_some(reply)
    })
    .await;
    let audit = gateway.audit().await;
    assert_eq!((&audit["verdict"], &audit["reservations"]["held"]), (&json!("balanced"), &json!(1)));

    // Redis is gone: nothing is carried out.
    redis.kill();
    let path = "/v1/sales/small/reservations".to_owned();
    eventually("it is noticed that Redis is gone", || async {
        let reply = gateway.reserve("other", "k", &white()).await;
        assert_eq!(reply.status, 503, "{}", reply.text);
        (reply.problem() == "temporary-reduced-capacity").then(|| {
            refused(&reply, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
        })
    })
    .await;
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::GET, format!("{path}/{}", won.id())),
        (Method::POST, format!("{path}/{}/cancel", won.id())),
    ] {
        let reply = ask(method, path).await;
        refused(&reply, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
    }
    let reply = gateway.ops_get("/admin/v1/sales/small").await;
    refused(&reply, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
    assert_eq!(gateway.ops_get("/readyz").await.status, 503);
    // The sale itself can still be read.
    assert_eq!(gateway.get("/v1/sales/small").await.status, 200);

    redis.start_again().unwrap();
    let again = eventually("the new epoch is adopted again", || async {
        let reply = gateway.reserve("winner", "k", &white()).await;
        (reply.status == 200).then_some(reply)
    })
    .await;
    assert_eq!(again.id(), won.id());
    let audit = gateway.audit().await;
    assert_eq!((&audit["verdict"], &audit["reservations"]["held"]), (&json!("balanced"), &json!(1)));
}
