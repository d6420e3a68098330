//! Tests the rate limits of one gateway.

use std::time::Instant;

use reqwest::Method;
use serde_json::json;
use testkit::check::{balanced, refused};
use testkit::cli::run;
use testkit::definition::{apply, known, open, small, white};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply, send, service_token, token};
use testkit::keys::{Key, write_keys};
use testkit::redis::Redis;

/// Checks a 429: policy, quota, window, and a `Retry-After` that lasts until units suffice again.
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
async fn a_buyer_over_his_limit_waits_and_no_other_buyer_does() {
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
    open_for_buyers(&gateway).await;
    let mut answered = Vec::new();
    while answered.last() != Some(&429) && answered.len() < 20 {
        let paths = ["/v1/sales/small", "/v1/sales/small/stores", "/v1/time", "/openapi.json"];
        let reply = gateway.get(paths[answered.len() % paths.len()]).await;
        answered.push(reply.status);
        if reply.status == 429 {
            limited(&reply, "address", "q=3;w=300", 1);
        }
    }
    assert!(answered.len() <= 4, "{answered:?}");
    // A buyer with a token does not count for the address.
    for n in 0..10 {
        assert_eq!(gateway.reserve(&format!("buyer-{n}"), "k", &white()).await.status, 201);
    }
}

#[tokio::test]
async fn a_valid_token_counts_open_reads_against_its_buyer() {
    let redis = Redis::start();
    let options = ["--limit-address", "1:300", "--limit-buyer", "1:400", "--cost-status", "100"];
    let gateway = Gateway::start_with(&redis, &options).await;
    open_for_buyers(&gateway).await;
    let read =
        async |path: &str, token: String| send(gateway.request(Method::GET, path).bearer_auth(token)).await;
    let paths = ["/v1/sales", "/v1/sales/small", "/v1/sales/small/cities", "/v1/sales/small/stores/gz-1"];
    for path in paths {
        assert_eq!(read(path, token("alice")).await.status, 200, "{path}");
    }
    // What was refused counts, too; the refusal stays.
    for path in ["/v1/time", "/v1/sales/small/stores", "/problems/sold-out"] {
        limited(&read(path, token("alice")).await, "buyer", "q=4;w=400", 1);
    }
    for _ in 0..4 {
        assert_eq!(read("/v1/nowhere", token("bob")).await.status, 404);
    }
    limited(&read("/v1/time", token("bob")).await, "buyer", "q=4;w=400", 1);
    // None of it counted for the address, and services are exempt.
    for _ in 0..20 {
        assert_eq!(read("/v1/time", service_token()).await.status, 200);
    }
    assert_eq!(read("/v1/time", token("carol")).await.status, 200);
    // A token that is not valid is as none: the read is answered, and counts for the address.
    for n in 0..3 {
        assert_eq!(read("/v1/time", format!("{}{n}", token("carol"))).await.status, 200);
    }
    limited(&read("/v1/time", format!("{}x", token("carol"))).await, "address", "q=3;w=300", 1);
    limited(&gateway.get("/v1/time").await, "address", "q=3;w=300", 1);
    assert_eq!(read("/v1/time", token("carol")).await.status, 200);
}

/// Opens `small`, and waits for it as a buyer: the page of a sale that is not known yet would cost the address units.
async fn open_for_buyers(gateway: &Gateway) {
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
    open_for_buyers(&gateway).await;
    // Without a token the address pays. The problem keeps its own status even without units.
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

/// A well-formed token with an invalid signature.
fn forged(key: &Key, n: usize) -> String {
    let token = key.sign(&json!({"sub": format!("forger-{n}")}));
    let (message, signature) = token.rsplit_once('.').unwrap();
    format!("{message}.{}", signature.chars().rev().collect::<String>())
}

#[tokio::test]
async fn wrong_tokens_from_an_address_of_many_refuse_none_of_the_others() {
    let redis = Redis::start();
    // With a secret, the address is not counted at all: here it would have a single wrong token.
    let gateway = Gateway::start_with(&redis, &["--limit-unverified", "1:1"]).await;
    open(&gateway, &small()).await;
    let held = gateway.reserve("alice", "k", &white()).await;
    let own = |gateway: &Gateway, token: String| {
        send(gateway.request(Method::GET, "/v1/sales/small/reservations").bearer_auth(token))
    };
    let alice = token("alice");
    for n in 0..1_017 {
        assert_eq!(own(&gateway, format!("{alice}{n}")).await.status, 401);
    }
    assert_eq!(own(&gateway, token("newcomer")).await.status, 200);
    assert_eq!(gateway.confirm(&held.id(), "pay", 1).await.status, 200);

    // With public keys a wrong signature costs more than its refusal: the address has twenty at
    // this rate, and new tokens share a hundred. Refusals without a signature check use up neither.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    let (users, services, stranger) = (Key::new("users"), Key::new("services"), Key::new("stranger"));
    write_keys(&file, &[&users, &services]);
    let path = file.to_str().unwrap();
    let keys = ["--auth-jwks-file", path, "--auth-service-key-ids", "services"];
    let limit = ["--limit-unverified", "1:100", "--cost-unverified", "5"];
    let gateway = Gateway::start_with(&redis, &[&keys[..], &limit].concat()).await;
    known(&gateway, "small").await;
    let known_before = users.sign(&json!({"sub": "known"}));
    assert_eq!(own(&gateway, known_before.clone()).await.status, 200);
    for n in 0..300 {
        assert_eq!(own(&gateway, format!("{alice}{n}")).await.status, 401, "not of our algorithm");
        assert_eq!(own(&gateway, users.sign(&json!({"exp": n + 1}))).await.status, 401, "expired");
        assert_eq!(own(&gateway, stranger.sign(&json!({}))).await.status, 401, "an unknown key");
    }
    let mut wrong = 0;
    while own(&gateway, forged(&users, wrong)).await.status == 401 {
        wrong += 1;
        if wrong == 60 {
            // The address has spent its own; a first valid token and a service are not turned away.
            assert_eq!(own(&gateway, users.sign(&json!({"sub": "newcomer"}))).await.status, 200);
            let service = services.sign(&json!({"sub": "payments", "scope": "service"}));
            let path = format!("/v1/sales/small/reservations/{}", held.id());
            let read = send(gateway.request(Method::GET, &path).bearer_auth(service)).await;
            assert_eq!(read.status, 200, "{}", read.text);
        }
        assert!(wrong < 1_000, "there is a bound");
    }
    assert!(wrong >= 120, "{wrong}");
    let refused = eventually("nothing is left", || async {
        let reply = own(&gateway, forged(&users, 2_000)).await;
        (reply.status == 429).then_some(reply)
    })
    .await;
    limited(&refused, "unverified", "q=20;w=100", 1);
    assert_eq!(own(&gateway, known_before).await.status, 200, "a verified token is still accepted");
    // The sale's page needs no token.
    assert_eq!(gateway.get("/v1/sales/small").await.status, 200);
}

#[tokio::test]
async fn services_at_listed_addresses_are_not_limited_by_address() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    let users = Key::new("users");
    write_keys(&file, &[&users]);
    let options = [
        ["--auth-jwks-file", file.to_str().unwrap()],
        ["--limit-unverified", "1:1"],
        ["--limit-address", "1:1"],
        ["--service-addresses", "203.0.113.0/24,2001:db8::/32"],
        ["--trusted-proxies", "127.0.0.0/8"],
    ];
    let gateway = Gateway::start_with(&redis, &options.concat()).await;
    open(&gateway, &small()).await;
    let call = async |client: &str, path: &str, token: Option<String>| {
        let mut request = gateway.request(Method::GET, path).header("x-forwarded-for", client);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        send(request).await.status
    };
    let own = "/v1/sales/small/reservations";
    for client in ["203.0.113.7", "2001:db8::7"] {
        for n in 0..30 {
            assert_eq!(call(client, own, Some(forged(&users, n))).await, 401);
            assert_eq!(call(client, "/v1/time", None).await, 200);
        }
    }
    eventually("another address is limited", || async {
        (call("198.51.100.7", own, Some(forged(&users, 99))).await == 429).then_some(())
    })
    .await;
    eventually("also without a token", || async {
        (call("198.51.100.7", "/v1/time", None).await == 429).then_some(())
    })
    .await;
    assert_eq!(call("203.0.113.7", own, Some(users.sign(&json!({})))).await, 200);
    let bad = run(&["serve", "--service-addresses", "payments.example", "--ops-token-file", "x"]);
    assert!(bad.code == 2 && bad.err.contains("--service-addresses"), "{bad:?}");
}

#[tokio::test]
async fn a_sale_and_a_gateway_have_a_ceiling() {
    let redis = Redis::start();
    // In reservations, whatever one costs.
    let options = ["--limit-sale", "1:5", "--cost-reserve", "400", "--limit-gateway", "1:1000000"];
    let gateway = Gateway::start_with(&redis, &options).await;
    open(&gateway, &small()).await;
    let start = Instant::now();
    let mut won = 0;
    let refusal = loop {
        let reply = gateway.reserve(&format!("buyer-{won}"), "k", &white()).await;
        if reply.status != 201 {
            break reply;
        }
        won += 1;
    };
    limited(&refusal, "sale", "q=5;w=5", 1);
    // The burst, and what came back meanwhile.
    assert!((5..=6 + start.elapsed().as_secs()).contains(&won), "{won} in {:?}", start.elapsed());
    // It is the sale's: its page and the buyers' own calls go on.
    assert_eq!(gateway.get_as("buyer-0", "/v1/sales/small/reservations").await.status, 200);

    let rate_override =
        gateway.ops(Method::PATCH, "/admin/v1/limits", &json!({"gateway": "1:1", "sale": "off"})).await;
    assert_eq!(rate_override.status, 200, "{}", rate_override.text);
    // What costs more than the burst costs the burst.
    let statuses = [gateway.get("/v1/time").await, gateway.reserve("late", "k", &white()).await];
    limited(&statuses[1], "gateway", "q=1;w=1", 1);
    balanced(&gateway).await;
}
