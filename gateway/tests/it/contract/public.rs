//! Tests public reads: sale, stores, time, problem pages; caching, HEAD, CORS, wrong paths and
//! methods.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{balanced, refused, settled};
use testkit::definition::{known, open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply, send, service_token, token};
use testkit::redis::Redis;

const SALE: &str = "/v1/sales/small";

fn instant(value: &Value) -> jiff::Timestamp {
    let text = value.as_str().unwrap();
    assert_eq!(text.len(), "2026-11-09T20:00:00.000Z".len(), "{text}");
    text.parse().unwrap()
}

#[tokio::test]
async fn the_sale_shows_its_terms_and_availability() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let definition = with(small(), "/model/1/stock", json!(1));
    open(&gateway, &with(definition, "/package/0/stock", json!(10))).await;
    let shown = async || {
        let sale = gateway.get(SALE).await.json;
        (sale["phase"].as_str().unwrap().to_owned(), sale["clock"].as_str().unwrap().to_owned())
    };

    let sale = gateway.get(SALE).await;
    assert_eq!(sale.status, 200, "{}", sale.text);
    assert_eq!(sale.header("content-type"), "application/json");
    assert_eq!(sale.header("cache-control"), "public, max-age=1");
    let mut answered = sale.json.clone();
    instant(&answered["server_time"].take());
    assert_eq!(
        answered,
        json!({"id": "small", "name": "Small", "phase": "open", "opens_at": "2026-01-01T00:00:00.000Z",
            "closes_at": "2100-01-01T00:00:00.000Z", "hold_seconds": 900.0, "grace_seconds": 60.0, "per_buyer": 1,
            "attempts": 5, "currency": "CNY", "deposit": 99_900, "clock": "running", "poll_after_ms": 1000,
            "sells": "first-come", "standby": false,
            "models": [
                {"id": "white", "name": "White", "price": 4_999_900, "availability": "in_stock"},
                {"id": "black", "name": "Black", "price": 5_099_900, "availability": "in_stock"},
            ],
            "packages": [
                {"id": "cover", "name": "Cover", "price": 29_900, "availability": "in_stock", "models": ["white"]},
                {"id": "care", "name": "Care", "price": 59_900, "availability": "in_stock"},
            ], "server_time": null})
    );
    let black = json!({"model": "black", "store": "gz-1"});
    assert_eq!(gateway.reserve("a", "k", &black).await.status, 201);
    for n in 0..9 {
        let body = json!({"model": "white", "packages": ["cover"], "store": "gz-1"});
        let reply = gateway.reserve(&format!("b{n}"), "k", &body).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
    }
    settled(&gateway).await;
    let sale = gateway.get(SALE).await.json;
    assert_eq!(sale["models"][1]["availability"], "sold_out", "{sale}");
    assert_eq!(sale["packages"][0]["availability"], "low", "{sale}");
    assert_eq!(sale["phase"], "open");

    // Closed > paused > sold out > open.
    let all = json!({"item": "model:white", "total": 9, "was": 60});
    assert_eq!(gateway.action("restock", &all).await.status, 200);
    for (action, wanted) in [
        (None, ("sold_out", "running")),
        (Some("pause"), ("paused", "running")),
        (Some("freeze"), ("paused", "frozen")),
        (Some("resume"), ("sold_out", "frozen")),
        (Some("unfreeze"), ("sold_out", "running")),
        (Some("close"), ("closed", "running")),
        (Some("pause"), ("closed", "running")),
    ] {
        if let Some(action) = action {
            assert_eq!(gateway.action(action, &json!({})).await.status, 200);
        }
        settled(&gateway).await;
        let (phase, clock) = shown().await;
        assert_eq!((phase.as_str(), clock.as_str()), wanted, "after {action:?}");
    }
    for (sale, status) in [("none", 404), ("SMALL", 404), ("{small}", 404), ("small%20", 404)] {
        let reply = gateway.get(&format!("/v1/sales/{sale}")).await;
        refused(&reply, status, "sale-not-found", &[]);
        let reply = gateway.get(&format!("/v1/sales/{sale}/stores")).await;
        refused(&reply, status, "sale-not-found", &[]);
    }
}

#[tokio::test]
async fn unknown_query_parameters_are_ignored_on_cacheable_reads_and_refused_elsewhere() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let held = gateway.reserve("alice", "k", &white()).await;
    settled(&gateway).await;
    let plain = gateway.get(SALE).await;
    for query in ["?_=1764362111", "?utm_source=mail&utm_source=mail", "?", "?&&", "?%zz=%ff"] {
        let sale = gateway.get(&format!("{SALE}{query}")).await;
        assert_eq!((sale.status, sale.header("etag")), (200, plain.header("etag")), "{query}: {}", sale.text);
        assert_eq!(sale.header("cache-control"), "public, max-age=1");
        let stores = gateway.get(&format!("{SALE}/stores{query}")).await;
        assert_eq!((stores.status, stores.json["stores"].as_array().unwrap().len()), (200, 3), "{query}");
        for path in ["/v1/sales", "/v1/sales/small/cities", "/v1/sales/small/stores/gz-1"] {
            assert_eq!(gateway.get(&format!("{path}{query}")).await.status, 200, "{path}{query}");
        }
    }
    let some = gateway.get(&format!("{SALE}/stores?_=17&limit=1&utm_source=x")).await;
    assert_eq!(some.json["stores"].as_array().unwrap().len(), 1, "{}", some.text);
    // What is known is still checked, beside anything.
    for bad in ["limit=x&_=17", "_=17&limit=1&limit=1", "available=yes&utm_source=x"] {
        refused(&gateway.get(&format!("{SALE}/stores?{bad}")).await, 400, "invalid-request", &[]);
    }
    let before = balanced(&gateway).await;
    let own = format!("/v1/sales/small/reservations/{}", held.id());
    let (taps, confirm, cancel) =
        ("/v1/sales/small/reservations", format!("{own}/confirm"), format!("{own}/cancel"));
    for (method, path, body) in [
        (Method::POST, taps, white()),
        (Method::GET, taps, Value::Null),
        (Method::GET, own.as_str(), Value::Null),
        (Method::PATCH, own.as_str(), json!({"store": "gz-2"})),
        (Method::POST, &confirm, json!({"payment": "p", "version": 1})),
        (Method::POST, &cancel, Value::Null),
        (Method::GET, "/v1/time", Value::Null),
        (Method::GET, "/problems/sold-out", Value::Null),
    ] {
        for query in ["_=17", "accept_partial=true"] {
            let request = gateway.request(method.clone(), &format!("{path}?{query}"));
            let token = if path == confirm { service_token() } else { token("alice") };
            let request = request.bearer_auth(token).header("idempotency-key", "other");
            let request = if body.is_null() { request } else { request.json(&body) };
            refused(&send(request).await, 400, "invalid-request", &[]);
        }
    }
    assert_eq!(balanced(&gateway).await, before);
    for path in ["/admin/v1/sales", "/admin/v1/fleet", "/admin/v1/limits", "/admin/v1/sales/small/audit"] {
        refused(&gateway.ops_get(&format!("{path}?_=17")).await, 400, "invalid-request", &[]);
    }
    let action = gateway.action("pause?for=1h", &json!({})).await;
    refused(&action, 400, "invalid-request", &[]);
}

#[tokio::test]
async fn an_etag_is_of_the_sale_and_not_of_the_gateway_or_the_second() {
    let redis = Redis::start();
    let (one, two) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    open(&one, &small()).await;
    known(&two, "small").await;
    let ask = async |gateway: &Gateway, method: Method, tag: &str| {
        let request = gateway.request(method, SALE).header("if-none-match", tag);
        send(request).await
    };
    let first = one.get(SALE).await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2, "{tag}");
    eventually("server_time moves on, the tag stays", || async {
        let again = one.get(SALE).await;
        assert_eq!(again.header("etag"), tag);
        (again.json["server_time"] != first.json["server_time"]).then_some(())
    })
    .await;
    assert_eq!(two.get(SALE).await.header("etag"), tag);
    for matching in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".into()] {
        for method in [Method::GET, Method::HEAD] {
            let reply = ask(&two, method, &matching).await;
            assert_eq!((reply.status, reply.text.as_str()), (304, ""), "{matching}");
            assert_eq!(reply.header("etag"), tag);
            assert_eq!(reply.header("cache-control"), "public, max-age=1");
        }
    }
    assert_eq!(ask(&one, Method::GET, "\"other\"").await.status, 200);
    // A car more or less does not show; a pause does.
    assert_eq!(one.reserve("a", "k", &white()).await.status, 201);
    settled(&one).await;
    assert_eq!(one.get(SALE).await.header("etag"), tag);
    assert_eq!(one.action("pause", &json!({})).await.status, 200);
    settled(&one).await;
    let changed = ask(&one, Method::GET, &tag).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn stores_come_in_pages_by_city_and_by_what_is_left() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let stores: Vec<Value> = (0..120)
        .map(|n| {
            let city = if n % 3 == 0 { "上海" } else { "Guangzhou" };
            json!({"id": format!("s{n:03}"), "name": format!("Store {n}"), "city": city, "capacity": 1})
        })
        .collect();
    open(&gateway, &with(small(), "/stores", json!(stores))).await;
    let body = json!({"model": "white", "store": "s001"});
    assert_eq!(gateway.reserve("a", "k", &body).await.status, 201);
    settled(&gateway).await;

    let page = async |query: &str| gateway.get(&format!("{SALE}/stores{query}")).await;
    let ids = |reply: &Reply| -> Vec<String> {
        let stores = reply.json["stores"].as_array().unwrap();
        stores.iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect()
    };
    let first = page("").await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(first.header("cache-control"), "public, max-age=1");
    assert_eq!(
        first.json["stores"][1],
        json!({"id": "s001", "name": "Store 1", "province": null, "city": "Guangzhou", "address": null, "lat": null,
            "lng": null, "availability": "sold_out"})
    );
    assert_eq!(first.json["stores"][0]["availability"], "in_stock");

    // Walking through the pages meets every store once, in the definition's order.
    for (query, wanted) in [
        ("limit=50", 120),
        ("limit=7", 120),
        ("limit=120", 120),
        ("limit=7&city=Guangzhou", 80),
        ("limit=7&city=%E4%B8%8A%E6%B5%B7&available=true", 40),
        ("limit=10&available=true", 119),
        ("limit=10&available=false", 120),
        // Case, white space of other kinds and decomposed accents do not hide a store.
        ("city=guangzhou", 80),
        ("limit=9&city=%E3%80%80GUANGZHOU%C2%A0", 80),
        ("city=%E4%B8%8A%E6%B5%B7%E2%80%8B", 40),
        ("city=Guang%20zhou", 0),
    ] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let reply = page(&format!("?{query}{cursor}")).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            seen.extend(ids(&reply));
            match reply.json["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!((seen.len(), &seen), (wanted, &sorted), "{query}");
    }
    assert_eq!(ids(&page("?limit=500").await).len(), 120);
    assert_eq!(ids(&first).len(), 50, "the default size of a page");
    for bad in [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=x",
        "limit=",
        "available=yes",
        "available=",
        "cursor=none",
        "cursor=",
        "limit=1&limit=2",
    ] {
        let reply = page(&format!("?{bad}")).await;
        refused(&reply, 400, "invalid-request", &[]);
    }
}

#[tokio::test]
async fn the_time_is_public_and_never_cached() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    for _ in 0..2 {
        let reply = gateway.get("/v1/time").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.json.as_object().unwrap().len(), 1);
        instant(&reply.json["server_time"]);
        // Once more, with a sale: then it is Redis's clock.
        open(&gateway, &small()).await;
    }
    let head = send(gateway.request(Method::HEAD, "/v1/time")).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn the_listener_serves_its_own_document() {
    let redis = Redis::start();
    let origin = "https://tools.example";
    let gateway = Gateway::start_with(&redis, &["--cors-origins", origin]).await;
    let document = send(gateway.request(Method::GET, "/openapi.json").header("origin", origin)).await;
    assert_eq!(document.status, 200, "{}", document.text);
    assert_eq!(document.header("content-type"), "application/json");
    assert_eq!(document.header("cache-control"), "public, max-age=1");
    assert_eq!(document.header("access-control-allow-origin"), origin);
    assert!(document.header("access-control-expose-headers").contains("ETag"));
    let printed = testkit::cli::run(&["openapi", "--api", "apps"]);
    assert_eq!(document.json, serde_json::from_str::<Value>(&printed.out).unwrap());
    assert!(
        document.json["paths"]["/openapi.json"].is_object() && document.json["paths"]["/livez"].is_null()
    );

    // Unknown query parameters are ignored, as on every cacheable read.
    let again = gateway.request(Method::GET, "/openapi.json?cache=buster");
    let again = send(again.header("if-none-match", document.header("etag"))).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    assert_eq!(again.header("etag"), document.header("etag"));
    let head = send(gateway.request(Method::HEAD, "/openapi.json")).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), document.text.len().to_string());
}

#[tokio::test]
async fn every_problem_has_a_page() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let named = "invalid-request idempotency-key-missing unauthenticated forbidden not-found sale-not-found \
        reservation-not-found store-not-found method-not-allowed request-timeout body-too-large uri-too-long unsupported-media-type \
        headers-too-large sale-not-open sale-paused sold-out purchase-limit reservation-not-held reservation-changed \
        payment-conflict sale-closed idempotency-key-reused unknown-item quota-exceeded internal \
        temporary-reduced-capacity outcome-unknown definition-locked stock-taken stock-changed";
    for name in named.split_whitespace() {
        let page = gateway.get(&format!("/problems/{name}")).await;
        assert_eq!(page.status, 200, "{name}");
        assert!(page.text.len() > 20, "{name}: {}", page.text);
        assert!(page.header("content-type").starts_with("text/"), "{name}");
    }
    for none in ["/problems/", "/problems/nothing", "/problems/sold-out/x", "/problems"] {
        refused(&gateway.get(none).await, 404, "not-found", &[]);
    }
}

#[tokio::test]
async fn wrong_paths_and_methods_are_refused() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let before = balanced(&gateway).await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/time/",
        "/v1/sales/small/",
        "/v1/sales/small/reservations/x/refund",
        "/v1/sales/small/reservations/x/confirm/y",
        "/V1/time",
        "/v2/time",
        "/admin/v1/sales",
        "/metrics",
        "/livez",
        "/readyz",
        "/.env",
    ] {
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            let reply = send(gateway.request(method, path)).await;
            refused(&reply, 404, "not-found", &[]);
        }
    }
    let reservation = format!("{SALE}/reservations/x");
    for (path, allow) in [
        ("/v1/time", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
        ("/problems/sold-out", "GET, HEAD"),
        (SALE, "GET, HEAD"),
        ("/v1/sales", "GET, HEAD"),
        ("/v1/sales/small/cities", "GET, HEAD"),
        ("/v1/sales/small/stores", "GET, HEAD"),
        ("/v1/sales/small/stores/gz-1", "GET, HEAD"),
        ("/v1/sales/small/reservations", "GET, HEAD, POST"),
        (&reservation, "GET, HEAD, PATCH"),
        (&format!("{reservation}/confirm"), "POST"),
        (&format!("{reservation}/cancel"), "POST"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
            if allow.split(", ").any(|a| a == method) {
                continue;
            }
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let reply = send(gateway.request(method.clone(), path)).await;
            assert_eq!(reply.status, 405, "{method} {path}");
            assert_eq!(reply.header("allow"), allow, "{method} {path}");
            if method != Method::HEAD {
                refused(&reply, 405, "method-not-allowed", &[]);
            }
        }
    }
    assert_eq!(balanced(&gateway).await, before);
}
