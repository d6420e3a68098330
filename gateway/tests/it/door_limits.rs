//! The limits of one gateway, as clients meet them.

use reqwest::Method;
use serde_json::json;

use crate::harness::check::{balanced, refused};
use crate::harness::eventually;
use crate::harness::gateway::{Gateway, Reply, send, service_token, token};
use crate::harness::redis::Redis;
use crate::harness::sale::{apply, open, small, white};

/// Says what a 429 must say: policy, quota and window, and that no retry comes before there is enough again.
fn limited(reply: &Reply, policy: &str, quota_window: &str, least_s: u64) {
    let problem = refused(reply, 429, "quota-exceeded", &["violated-policies", "retry_after_ms"]);
    assert_eq!(problem["violated-policies"], json!([policy]));
    assert_eq!(reply.header("ratelimit-policy"), format!("\"{policy}\";{quota_window}"));
    let left = reply.header("ratelimit");
    let reset: u64 = left.strip_prefix(&format!("\"{policy}\";r=0;t=")).unwrap_or(left).parse().unwrap();
    let (fine, coarse) = (problem["retry_after_ms"].as_u64().unwrap(), reply.header("retry-after"));
    assert!(reset >= least_s, "{reset} s");
    assert!(fine > (reset - 1) * 1_000, "{fine} ms is before {reset} s");
    assert!(coarse.parse::<u64>().unwrap() * 1_000 >= fine, "{coarse} s is before {fine} ms");
}

#[tokio::test]
async fn a_buyer_who_asks_too_often_waits_and_nobody_else_does() {
    let redis = Redis::start();
    let options =
        ["--limit-buyer", "1:1000", "--cost-reserve", "400", "--cost-read", "100", "--cost-change", "100"];
    let gateway = Gateway::start_with(&redis, &options).await;
    open(&gateway, &small()).await;
    let first = gateway.reserve("alice", "k", &white()).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 200);
    // 800 of 1,000 are spent. Not even a replay gets through, a cheaper call does.
    let again = gateway.reserve("alice", "k", &white()).await;
    limited(&again, "buyer", "q=2;w=1000", 150);
    assert_eq!(gateway.get_as("alice", "/v1/sales/small/reservations").await.status, 200);
    assert_eq!(gateway.cancel("alice", &first.id()).await.status, 200);
    limited(&gateway.cancel("alice", &first.id()).await, "buyer", "q=10;w=1000", 50);
    // What is wrong with a request comes before limits (the contract's order).
    let wrong = gateway.tap_at("nowhere", "alice", "k", &white());
    assert_eq!(send(wrong).await.problem(), "sale-not-found");
    assert_eq!(gateway.reserve("bob", "k", &white()).await.status, 201);
    // Services carry out what was sold.
    for _ in 0..20 {
        let path = format!("/v1/sales/small/reservations/{}", first.id());
        let read = send(gateway.request(Method::GET, &path).bearer_auth(service_token())).await;
        assert_eq!(read.status, 200, "{}", read.text);
    }
    balanced(&gateway).await;
}

#[tokio::test]
async fn calls_without_a_token_count_against_their_address() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--limit-address", "1:300", "--cost-status", "100"]).await;
    known_to_buyers(&gateway).await;
    let mut told = Vec::new();
    while told.last() != Some(&429) && told.len() < 20 {
        let paths = ["/v1/sales/small", "/v1/sales/small/stores", "/v1/time", "/problems/sold-out"];
        let reply = gateway.get(paths[told.len() % paths.len()]).await;
        told.push(reply.status);
        if reply.status == 429 {
            limited(&reply, "address", "q=3;w=300", 1);
        }
    }
    assert!(told.len() <= 4, "{told:?}");
    // Who has a token is not his address.
    for n in 0..10 {
        assert_eq!(gateway.reserve(&format!("buyer-{n}"), "k", &white()).await.status, 201);
    }
}

/// Opens `small`, and waits for it as a buyer: the page of a sale that is not known yet would cost the address units.
async fn known_to_buyers(gateway: &Gateway) {
    assert_eq!(apply(gateway, &small()).await.status, 200);
    eventually("the sale is known", || async {
        (gateway.get_as("waits", "/v1/sales/small/reservations").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn refusals_cost_units_too() {
    let redis = Redis::start();
    let options = ["--limit-address", "1:300", "--cost-status", "100", "--limit-buyer", "1:300"];
    let gateway = Gateway::start_with(&redis, &[&options[..], &["--cost-read", "100"]].concat()).await;
    known_to_buyers(&gateway).await;
    // Without a token: of the address, whatever is wrong. It is said all the same, also when nothing is left.
    for (method, path, status) in [
        (Method::GET, "/v1/nowhere", 404),
        (Method::DELETE, "/v1/time", 405),
        (Method::GET, "/v1/sales/none", 404),
        (Method::GET, "/v1/sales/none/stores?limit=0", 400),
        (Method::GET, "/v1/nowhere", 404),
    ] {
        assert_eq!(send(gateway.request(method, path)).await.status, status, "{path}");
    }
    limited(&gateway.get("/v1/time").await, "address", "q=3;w=300", 1);
    // With one: of the buyer.
    let own = "/v1/sales/small/reservations";
    type Call = fn(&Gateway) -> reqwest::RequestBuilder;
    let refused: [(&str, u16, Call); 6] = [
        ("keyless", 400, |g| g.tap("keyless", "", &white())),
        ("body", 400, |g| g.tap("body", "k", &json!({"model": 1}))),
        ("sale", 404, |g| g.tap_at("none", "sale", "k", &white())),
        ("list", 404, |g| g.request(Method::GET, "/v1/sales/none/reservations").bearer_auth(token("list"))),
        ("one", 404, |g| g.request(Method::GET, "/v1/sales/small/reservations/x").bearer_auth(token("one"))),
        ("confirm", 403, |g| {
            g.request(Method::POST, "/v1/sales/small/reservations/x/confirm").bearer_auth(token("confirm"))
        }),
    ];
    for (buyer, status, call) in refused {
        for _ in 0..3 {
            assert_eq!(send(call(&gateway)).await.status, status, "{buyer}");
        }
        limited(&gateway.get_as(buyer, own).await, "buyer", "q=3;w=300", 1);
        assert_eq!(send(call(&gateway)).await.status, status, "{buyer}");
    }
    // Services are not limited.
    for _ in 0..10 {
        let path = "/v1/sales/small/reservations/x";
        let call = gateway.request(Method::GET, path).bearer_auth(service_token());
        assert_eq!(send(call).await.status, 404);
    }
}

#[tokio::test]
async fn an_address_that_sends_wrong_tokens_is_heard_with_known_tokens_only() {
    let redis = Redis::start();
    let options = ["--limit-unverified", "1:1000", "--cost-unverified", "100"];
    let gateway = Gateway::start_with(&redis, &options).await;
    open(&gateway, &small()).await;
    let own = |token: &str| {
        send(gateway.request(Method::GET, "/v1/sales/small/reservations").bearer_auth(token.to_owned()))
    };
    let (alice, bob) = (token("alice"), token("bob"));
    assert_eq!(own(&alice).await.status, 200);
    let mut told = Vec::new();
    for n in 0..15 {
        told.push(own(&format!("{alice}{n}")).await.status);
    }
    assert_eq!(told, [[401; 10].as_slice(), &[429; 5]].concat());
    limited(&own("forged").await, "unverified", "q=10;w=1000", 50);
    // Bob's is right, but nobody has looked; alice was here before, and forging on hers does not help.
    limited(&own(&bob).await, "unverified", "q=10;w=1000", 50);
    assert_eq!(own(&alice).await.status, 200);
    assert_eq!(own(&format!("{alice}x")).await.status, 429);
    // The sale's page needs no token.
    assert_eq!(gateway.get("/v1/sales/small").await.status, 200);
}

#[tokio::test]
async fn a_sale_and_a_gateway_have_a_ceiling() {
    let redis = Redis::start();
    let options = ["--limit-sale", "1:2000", "--cost-reserve", "400", "--limit-gateway", "1:1000000"];
    let gateway = Gateway::start_with(&redis, &options).await;
    open(&gateway, &small()).await;
    let mut told = Vec::new();
    for n in 0..8 {
        told.push(gateway.reserve(&format!("buyer-{n}"), "k", &white()).await);
    }
    let won = told.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(won, 5);
    limited(&told[7], "sale", "q=5;w=2000", 300);
    // It is the sale's: its page and the buyers' own calls go on.
    assert_eq!(gateway.get_as("buyer-0", "/v1/sales/small/reservations").await.status, 200);

    let brake =
        gateway.ops(Method::PATCH, "/admin/v1/limits", &json!({"gateway": "1:1", "sale": "off"})).await;
    assert_eq!(brake.status, 200, "{}", brake.text);
    // What costs more than the burst costs the burst.
    let statuses = [gateway.get("/v1/time").await, gateway.reserve("late", "k", &white()).await];
    limited(&statuses[1], "gateway", "q=1;w=1", 1);
    balanced(&gateway).await;
}
