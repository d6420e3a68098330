//! Tests `POST …/reservations`: the winner's answer, each refusal, and that a refusal changes
//! nothing.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{balanced, free, refused};
use testkit::definition::{open, small, white, with};
use testkit::gateway::{Gateway, send, service_token, token};
use testkit::redis::Redis;

const PATH: &str = "/v1/sales/small/reservations";

#[tokio::test]
async fn a_new_reservation_shows_every_member_of_the_contract() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;

    let body =
        json!({"model": "white", "packages": ["cover", "care"], "store": "gz-1", "accept_partial": false});
    let won = gateway.reserve("alice", "k1", &body).await;
    assert_eq!(won.status, 201, "{}", won.text);
    assert_eq!(won.header("content-type"), "application/json");
    assert_eq!(won.header("cache-control"), "no-store");
    assert_eq!(won.header("idempotency-replayed"), "");
    let location = format!("{PATH}/{}", won.id());
    assert_eq!(won.header("location"), location);
    let mut answered = won.json.clone();
    let mut time = |name: &str| {
        let text = answered[name].take();
        let text = text.as_str().unwrap();
        assert_eq!(text.len(), "2026-11-09T20:00:00.000Z".len(), "{text}");
        text.parse::<jiff::Timestamp>().unwrap()
    };
    let (held, expires, now) = (time("held_at"), time("expires_at"), time("server_time"));
    assert_eq!(expires.as_millisecond() - held.as_millisecond(), 15 * 60_000);
    assert!(held <= now && now < expires);
    let price = json!({
        "currency": "CNY", "total": 5_089_700, "deposit": 99_900, "balance": 4_989_800,
        "lines": [
            {"item": "model:white", "amount": 4_999_900},
            {"item": "package:cover", "amount": 29_900},
            {"item": "package:care", "amount": 59_900},
        ]
    });
    assert_eq!(
        answered,
        json!({"id": won.id(), "sale": "small", "number": 1, "version": 1, "state": "held", "model": "white",
            "packages": ["cover", "care"], "store": "gz-1", "unavailable": [], "price": price,
            "held_at": null, "expires_at": null, "server_time": null})
    );
    // The location is valid, and shows the same reservation.
    let read = gateway.get_as("alice", &location).await;
    assert_eq!((read.status, read.id()), (200, won.id()), "{}", read.text);
    assert_eq!(read.json["expires_at"], won.json["expires_at"]);
    // Numbers count what was taken, over all buyers.
    let second = gateway.reserve("bob", "k1", &white()).await;
    assert_eq!((second.status, &second.json["number"]), (201, &json!(2)), "{}", second.text);
    assert_ne!(second.id(), won.id());
}

#[tokio::test]
async fn a_mistake_in_a_body_is_pointed_at_and_leaves_nothing() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let before = balanced(&gateway).await;
    let many: Vec<String> = (0..17).map(|n| format!("p{n}")).collect();
    let long = "x".repeat(65);
    for (body, pointer) in [
        (json!({"model": 3, "store": "gz-1"}), "/model"),
        (json!({"model": null, "store": "gz-1"}), "/model"),
        (json!({"model": "", "store": "gz-1"}), "/model"),
        (json!({"model": "a b", "store": "gz-1"}), "/model"),
        (json!({"model": "-", "store": "gz-1"}), "/model"),
        (json!({"model": "white", "store": "-"}), "/store"),
        (json!({"model": "white", "store": "gz-1", "packages": ["-"]}), "/packages/0"),
        (json!({"model": "white\n", "store": "gz-1"}), "/model"),
        (json!({"model": "weiß", "store": "gz-1"}), "/model"),
        (json!({"model": "a}:{", "store": "gz-1"}), "/model"),
        (json!({"model": long, "store": "gz-1"}), "/model"),
        (json!({"model": "white", "store": ["gz-1"]}), "/store"),
        (json!({"store": "gz-1"}), ""),
        (json!({"model": "white", "store": "gz-1", "packages": "cover"}), "/packages"),
        (json!({"model": "white", "store": "gz-1", "packages": ["cover", 1]}), "/packages/1"),
        (json!({"model": "white", "store": "gz-1", "packages": ["cover", "a,b"]}), "/packages/1"),
        (json!({"model": "white", "store": "gz-1", "packages": ["cover", "care", "cover"]}), "/packages/2"),
        (json!({"model": "white", "store": "gz-1", "packages": many}), "/packages"),
        (json!({"model": "white", "store": "gz-1", "accept_partial": "yes"}), "/accept_partial"),
        (json!({"model": "white", "store": "gz-1", "price": 1}), "/price"),
        (json!(["white", [], "gz-1", false]), ""),
        (json!("white"), ""),
        (json!(null), ""),
    ] {
        let reply = gateway.reserve("alice", "k1", &body).await;
        let problem = refused(&reply, 400, "invalid-request", &["pointer"]);
        assert_eq!(problem["pointer"], pointer, "{body}: {problem}");
    }
    for text in [
        &b""[..],
        b"{",
        b"{\"model\": \"white\", \"store\": \"gz-1\"} {}",
        b"{\"model\": \"white\", \"model\": \"black\", \"store\": \"gz-1\"}",
        b"{\"model\": \"white\", \"store\": \"gz-1\",}",
        b"{\"model\": \"wh\xffite\", \"store\": \"gz-1\"}",
        b"\xef\xbb\xbf{\"model\": \"white\", \"store\": \"gz-1\"}",
        &[b'['; 10_000],
    ] {
        let request = gateway.tap("alice", "k1", &json!(null)).body(text.to_vec());
        refused(&send(request).await, 400, "invalid-request", &["pointer"]);
    }
    assert_eq!(balanced(&gateway).await, before);
    // The key that was refused so often is as good as new.
    assert_eq!(gateway.reserve("alice", "k1", &white()).await.status, 201);
}

#[tokio::test]
async fn a_store_may_be_chosen_later() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let definition = with(small(), "/stores/1/capacity", json!(1));
    open(&gateway, &with(definition, "/model/1/stock", json!(1))).await;
    for (buyer, body) in [
        ("alice", json!({"model": "white", "packages": ["cover"]})),
        ("bob", json!({"model": "white", "store": null, "accept_partial": true})),
        ("carol", json!({"model": "black", "store": null})),
    ] {
        let won = gateway.reserve(buyer, "k1", &body).await;
        let shown = (won.status, &won.json["store"], &won.json["unavailable"]);
        assert_eq!(shown, (201, &Value::Null, &json!([])), "{}", won.text);
        // Left out and null are the same request; with a store it is another one.
        let mut same = body.clone();
        match same.as_object_mut().unwrap().remove("store") {
            Some(_) => {}
            None => same["store"] = Value::Null,
        }
        for same in [body.clone(), same] {
            let again = gateway.reserve(buyer, "k1", &same).await;
            assert_eq!((again.status, again.id()), (200, won.id()), "{}", again.text);
        }
        let other = gateway.reserve(buyer, "k1", &with_store(&body, "gz-1")).await;
        refused(&other, 422, "idempotency-key-reused", &[]);
    }
    for (store, left) in [("gz-1", Some(80)), ("gz-2", Some(1))] {
        assert_eq!(free(&gateway, &format!("store:{store}")).await, left);
    }
    let reply = gateway.reserve("dora", "k1", &json!({"model": "black"})).await;
    assert_eq!(
        refused(&reply, 409, "sold-out", &["items", "final", "standby"])["items"],
        json!(["model:black"])
    );
    let reply = gateway.reserve("dora", "k1", &json!({"model": "red"})).await;
    assert_eq!(refused(&reply, 422, "unknown-item", &["items"])["items"], json!(["model:red"]));

    // Chosen before the payment, after it, and never.
    let id = async |buyer: &str| {
        gateway.get_as(buyer, PATH).await.json["reservations"][0]["id"].as_str().unwrap().to_owned()
    };
    let (alice, bob, carol) = (id("alice").await, id("bob").await, id("carol").await);
    let chosen = gateway.amend("alice", &alice, &json!({"store": "gz-2"})).await;
    let shown = (chosen.status, &chosen.json["store"], &chosen.json["version"]);
    assert_eq!(shown, (200, &json!("gz-2"), &json!(2)), "{}", chosen.text);
    let reply = gateway.amend("bob", &bob, &json!({"store": "gz-2"})).await;
    assert_eq!(
        refused(&reply, 409, "sold-out", &["items", "final", "standby"])["items"],
        json!(["store:gz-2"])
    );
    for (id, version) in [(&alice, 2), (&bob, 1), (&carol, 1)] {
        let paid = gateway.confirm(id, "pay", version).await;
        assert_eq!((paid.status, &paid.json["state"]), (200, &json!("confirmed")), "{}", paid.text);
    }
    let request = gateway.request(Method::PATCH, &format!("{PATH}/{bob}")).bearer_auth(service_token());
    let chosen = send(request.json(&json!({"store": "gz-1"}))).await;
    let shown = (chosen.status, &chosen.json["store"], &chosen.json["version"]);
    assert_eq!(shown, (200, &json!("gz-1"), &json!(2)), "{}", chosen.text);
    let read = gateway.get_as("carol", &format!("{PATH}/{carol}")).await;
    assert_eq!((&read.json["state"], &read.json["store"]), (&json!("confirmed"), &Value::Null));
    balanced(&gateway).await;
}

fn with_store(body: &Value, store: &str) -> Value {
    let mut body = body.clone();
    body["store"] = json!(store);
    body
}

#[tokio::test]
async fn the_kind_and_the_size_of_a_body_are_checked_and_leave_nothing() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let before = balanced(&gateway).await;
    let request = |kind: Option<&str>, encoding: Option<&str>| {
        let mut request = gateway
            .request(Method::POST, PATH)
            .bearer_auth(token("alice"))
            .header("idempotency-key", "k1")
            .body(white().to_string());
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        request
    };
    for (kind, encoding) in [
        (None, None),
        (Some("text/plain"), None),
        (Some("application/x-www-form-urlencoded"), None),
        (Some("application/jsonp"), None),
        (Some("application/json"), Some("gzip")),
    ] {
        let reply = send(request(kind, encoding)).await;
        refused(&reply, 415, "unsupported-media-type", &[]);
    }
    // 16 KiB are allowed, one byte more is not, announced or in chunks.
    let padded = |bytes: usize| {
        let mut text = white().to_string();
        text.insert_str(1, &" ".repeat(bytes - text.len()));
        text
    };
    let sized = |text: String| gateway.tap("alice", "k1", &json!(null)).body(text);
    let reply = send(sized(padded(16 * 1024 + 1))).await;
    refused(&reply, 413, "body-too-large", &[]);
    let reply = send(sized(padded(1024 * 1024))).await;
    refused(&reply, 413, "body-too-large", &[]);
    assert_eq!(balanced(&gateway).await, before);
    assert_eq!(send(sized(padded(16 * 1024))).await.status, 201);
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        let again = send(request(Some(kind), Some("identity"))).await;
        assert_eq!(again.status, 200, "{kind}: {}", again.text);
    }
}

#[tokio::test]
async fn a_key_is_quoted_or_bare_and_names_one_reservation() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let before = balanced(&gateway).await;

    let keyless = gateway.request(Method::POST, PATH).bearer_auth(token("alice")).json(&white());
    refused(&send(keyless).await, 400, "idempotency-key-missing", &[]);
    let long = "x".repeat(65);
    let bad: &[&[u8]] =
        &[b"", b"\"\"", b"a b", b"\"a b\"", b"\"a\"b\"", b"\"a\\n\"", b"\xc3\xa4", b"a\tb", long.as_bytes()];
    for key in bad {
        let request = gateway
            .request(Method::POST, PATH)
            .bearer_auth(token("alice"))
            .header("idempotency-key", *key)
            .json(&white());
        let reply = send(request).await;
        refused(&reply, 400, "invalid-request", &[]);
    }
    let twice = gateway.tap("alice", "k1", &white()).header("idempotency-key", "k1");
    refused(&send(twice).await, 400, "invalid-request", &[]);
    assert_eq!(balanced(&gateway).await, before);

    // The two forms of a key are the same key; the longest and the strangest are keys.
    let longest = "~".repeat(64);
    for (buyer, key, same) in [
        ("a", "k1", "\"k1\""),
        ("b", r#""say\"hi\"\\""#, r#"say"hi"\"#),
        ("c", &longest, &format!("\"{longest}\"")),
        ("d", "{small}:*|'`$(x)", "\"{small}:*|'`$(x)\""),
        ("e", "-", "\"-\""),
    ] {
        let won = gateway.reserve(buyer, key, &white()).await;
        assert_eq!(won.status, 201, "{key}: {}", won.text);
        let again = gateway.reserve(buyer, same, &white()).await;
        assert_eq!((again.status, again.id()), (200, won.id()), "{key} and {same}: {}", again.text);
    }
}

#[tokio::test]
async fn a_retry_finds_its_reservation_and_another_body_is_refused() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let body = json!({"model": "white", "packages": ["cover", "care"], "store": "gz-1"});
    let won = gateway.reserve("alice", "k1", &body).await;
    assert_eq!(won.status, 201, "{}", won.text);
    let before = balanced(&gateway).await;
    // The same request in other words.
    for same in [
        json!({"model": "white", "packages": ["cover", "care"], "store": "gz-1", "accept_partial": false}),
        json!({"store": "gz-1", "packages": ["care", "cover"], "model": "white"}),
    ] {
        let again = gateway.reserve("alice", "k1", &same).await;
        assert_eq!(again.status, 200, "{}", again.text);
        assert_eq!(again.header("idempotency-replayed"), "true");
        let mut answered = again.json.clone();
        answered["server_time"] = won.json["server_time"].clone();
        assert_eq!(answered, won.json);
    }
    for other in [
        json!({"model": "black", "packages": ["care"], "store": "gz-1"}),
        json!({"model": "white", "packages": ["cover"], "store": "gz-1"}),
        json!({"model": "white", "packages": ["cover", "care"], "store": "gz-2"}),
        json!({"model": "white", "packages": ["cover", "care"], "store": "gz-1", "accept_partial": true}),
        json!({"model": "no-such-model", "store": "gz-1"}),
    ] {
        let reply = gateway.reserve("alice", "k1", &other).await;
        refused(&reply, 422, "idempotency-key-reused", &[]);
    }
    // Whatever becomes of it, the key stays its own: a late retry never buys again.
    assert_eq!(balanced(&gateway).await, before);
    assert_eq!(gateway.cancel("alice", &won.id()).await.status, 200);
    let late = gateway.reserve("alice", "k1", &body).await;
    assert_eq!((late.status, &late.json["state"]), (200, &json!("cancelled")), "{}", late.text);
    assert_eq!(late.json["expires_at"], Value::Null);
    assert_eq!(free(&gateway, "model:white").await, Some(60));
    // For another buyer the same key is another reservation.
    assert_eq!(gateway.reserve("bob", "k1", &body).await.status, 201);
}

#[tokio::test]
async fn unknown_or_invalid_members_are_named() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let before = balanced(&gateway).await;
    for (body, items) in [
        (json!({"model": "red", "store": "gz-1"}), json!(["model:red"])),
        (json!({"model": "white", "store": "gz-9"}), json!(["store:gz-9"])),
        (json!({"model": "black", "packages": ["care", "cover"], "store": "gz-1"}), json!(["package:cover"])),
        (
            json!({"model": "White", "packages": ["nothing"], "store": "..", "accept_partial": true}),
            json!(["model:White", "package:nothing", "store:.."]),
        ),
    ] {
        let reply = gateway.reserve("alice", "k1", &body).await;
        let problem = refused(&reply, 422, "unknown-item", &["items"]);
        assert_eq!(problem["items"], items, "{problem}");
    }
    assert_eq!(balanced(&gateway).await, before);
}
