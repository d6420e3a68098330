//! Tests the ops listener: roles, operator actions, support lookup, metrics; a refusal changes
//! nothing.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{balanced, refused};
use testkit::definition::{apply, open, small, white, with};
use testkit::gateway::{Gateway, OPS_TOKEN, send, service_token, token};
use testkit::http::Raw;
use testkit::redis::Redis;

pub const SALE: &str = "/admin/v1/sales/small";

/// The journal of `small` from the ops listener.
pub async fn journal(gateway: &Gateway) -> Vec<Value> {
    let reply = gateway.ops_get(&format!("{SALE}/journal")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn only_an_ops_token_opens_the_admin_calls() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let before = balanced(&gateway).await;
    let client = reqwest::Client::new();
    let calls = [
        (Method::GET, "/admin/v1/sales".to_owned()),
        (Method::GET, SALE.to_owned()),
        (Method::PUT, SALE.to_owned()),
        (Method::POST, format!("{SALE}/pause")),
        (Method::POST, format!("{SALE}/restock")),
        (Method::GET, format!("{SALE}/buyers/alice")),
        (Method::GET, format!("{SALE}/audit")),
        (Method::GET, "/admin/v1/nothing".to_owned()),
        (Method::DELETE, SALE.to_owned()),
    ];
    for (method, path) in &calls {
        for wrong in [
            None,
            Some(format!("Bearer {}", token("ops"))),
            Some(format!("Bearer {}", service_token())),
            Some(format!("Bearer {OPS_TOKEN}x")),
            Some(format!("Bearer {}", &OPS_TOKEN[1..])),
            Some(format!("Basic {OPS_TOKEN}")),
            Some(format!("Bearer ops {OPS_TOKEN}")),
            Some("Bearer ".into()),
        ] {
            let mut request =
                client.request(method.clone(), format!("{}{path}", gateway.ops_url)).json(&small());
            if let Some(wrong) = wrong {
                request = request.header("authorization", wrong);
            }
            let reply = send(request).await;
            refused(&reply, 401, "unauthenticated", &[]);
            assert!(reply.header("www-authenticate").starts_with("Bearer"));
        }
    }
    assert_eq!(balanced(&gateway).await, before);
    // Health, metrics and the page need no token; the page asks for one.
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/", 200)] {
        let get = client.get(format!("{}{path}", gateway.ops_url));
        assert_eq!(send(get).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn wrong_paths_methods_and_bodies_are_refused_and_do_nothing() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let before = balanced(&gateway).await;
    let none = json!({});
    for path in
        ["/live", "/live/", "/admin", "/admin/v1/", "/admin/v1/sale", "/v1/time", "/admin/v1/sales/small/"]
    {
        refused(&gateway.ops_get(path).await, 404, "not-found", &[]);
    }
    let reply = gateway.action("explode", &none).await;
    refused(&reply, 404, "not-found", &[]);
    for (path, allow) in [
        ("/livez".to_owned(), "GET, HEAD"),
        ("/admin/v1/sales".to_owned(), "GET, HEAD"),
        (SALE.to_owned(), "GET, HEAD, PUT"),
        (format!("{SALE}/close"), "POST"),
        (format!("{SALE}/restock"), "POST"),
        (format!("{SALE}/audit"), "GET, HEAD"),
        (format!("{SALE}/buyers/x"), "GET, HEAD"),
    ] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            if !allow.contains(method.as_str()) {
                let reply = gateway.ops(method, &path, &none).await;
                refused(&reply, 405, "method-not-allowed", &[]);
                assert_eq!(reply.header("allow"), allow);
            }
        }
    }
    for sale in ["none", "SMALL", "{small}", "*"] {
        for (method, call, body) in [
            (Method::GET, "", none.clone()),
            (Method::GET, "/audit", none.clone()),
            (Method::GET, "/buyers/x", none.clone()),
            (Method::POST, "/pause", none.clone()),
            (Method::POST, "/close", none.clone()),
            (Method::POST, "/restock", json!({"item": "model:white", "total": 1, "was": 0})),
        ] {
            let path = format!("/admin/v1/sales/{sale}{call}");
            let reply = gateway.ops(method, &path, &body).await;
            refused(&reply, 404, "sale-not-found", &[]);
        }
    }
    for (word, body, pointer) in [
        ("pause", json!({"why": "x"}), "/why"),
        ("pause", json!({"reason": 1}), "/reason"),
        ("pause", json!({"reason": "x".repeat(501)}), "/reason"),
        ("pause", json!({"reason": "-"}), "/reason"),
        ("restock", json!({"item": "model:white", "total": 61, "was": 60, "reason": "-"}), "/reason"),
        ("pause", json!(["x"]), ""),
        ("restock", json!({"item": "model:white", "total": 1}), ""),
        ("restock", json!({"item": 1, "total": 1, "was": 60}), "/item"),
        ("restock", json!({"item": "model:white", "total": -1, "was": 60}), "/total"),
        ("restock", json!({"item": "model:white", "total": 1.5, "was": 60}), "/total"),
        ("restock", json!({"item": "model:white", "total": 1_000_000_001, "was": 60}), "/total"),
        ("restock", json!({"item": "model:white", "total": 61, "was": 1_000_000_001}), "/was"),
        ("restock", json!({"item": "model:white", "total": 61, "was": 60, "x": 1}), "/x"),
    ] {
        let reply = gateway.action(word, &body).await;
        let problem = refused(&reply, 400, "invalid-request", &["pointer"]);
        assert_eq!(problem["pointer"], pointer, "{word} {body}");
    }
    assert_eq!(balanced(&gateway).await, before);
}

#[tokio::test]
async fn an_operator_action_returns_the_new_state_and_is_journalled_with_name_and_reason() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let mut sequence = balanced(&gateway).await;
    for (word, reason, field, value) in [
        ("pause", json!({"reason": "stores are overrun"}), "paused", true),
        ("resume", json!({}), "paused", false),
        ("freeze", json!({"reason": "支付中断, \"down\"\n"}), "frozen", true),
        ("unfreeze", json!({"reason": null}), "frozen", false),
        ("close", json!({"reason": "x".repeat(500)}), "closed", true),
    ] {
        for repeated in [false, true] {
            let reply = gateway.action(word, &reason).await;
            assert_eq!(reply.status, 200, "{word}: {}", reply.text);
            assert_eq!(reply.json[field], value, "{word}: {}", reply.text);
            sequence += u64::from(!repeated);
            assert_eq!(reply.json["sequence"], sequence, "{word}, repeated: {repeated}");
        }
        let last = journal(&gateway).await.pop().unwrap();
        assert_eq!((&last["kind"], &last["who"]), (&json!(word), &json!("ops")));
        let answered = reason["reason"].as_str().map_or(Value::Null, |r| json!(r));
        assert_eq!(last.get("reason").cloned().unwrap_or_default(), answered);
    }
    // Without any body, as with `curl -X POST`.
    let head =
        format!("POST {SALE}/pause HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {OPS_TOKEN}\r\n");
    let request = format!("{head}connection: close\r\n\r\n");
    let reply = Raw::connect(&gateway.ops_url).await.send(request).await.answer().await;
    assert_eq!((reply.status, &reply.json["phase"]), (200, &json!("closed")), "{}", reply.text);
    assert_eq!(balanced(&gateway).await, sequence + 1);
}

#[tokio::test]
async fn the_support_desk_sees_a_buyer_and_ops_see_the_sale() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let second = with(with(small(), "/sale/id", json!("another")), "/sale/name", json!("Another"));
    assert_eq!(apply(&gateway, &second).await.status, 200);
    // A subject is only a name, whatever it contains.
    let hostile = r#"a"b\{c}:*|/../%00'"#;
    for buyer in ["alice", hostile] {
        let id = gateway.reserve(buyer, "k", &white()).await.id();
        assert_eq!(gateway.amend(buyer, &id, &json!({"store": "sh-1"})).await.status, 200);
        assert_eq!(gateway.cancel(buyer, &id).await.status, 200);
        let name: String = buyer.bytes().map(|b| format!("%{b:02x}")).collect();
        let seen = gateway.ops_get(&format!("{SALE}/buyers/{name}")).await;
        assert_eq!(seen.status, 200, "{}", seen.text);
        assert_eq!(seen.json["buyer"], buyer);
        let list = seen.json["reservations"].as_array().unwrap();
        assert_eq!((list.len(), &list[0]["id"]), (1, &json!(id)));
        assert_eq!((&list[0]["state"], &list[0]["version"]), (&json!("cancelled"), &json!(2)));
        let kinds: Vec<&Value> =
            seen.json["journal"].as_array().unwrap().iter().map(|l| &l["kind"]).collect();
        assert_eq!(kinds, ["reserve", "amend", "cancel"]);
        assert!(seen.json["journal"].as_array().unwrap().iter().all(|l| l["buyer"] == buyer));
    }
    let absent = gateway.ops_get(&format!("{SALE}/buyers/absent")).await;
    assert_eq!((&absent.json["reservations"], &absent.json["journal"]), (&json!([]), &json!([])));
    refused(&gateway.ops_get(&format!("{SALE}/buyers/%ff")).await, 404, "not-found", &[]);

    assert_eq!(gateway.reserve("bob", "k", &white()).await.status, 201);
    let shown = gateway.ops_get(SALE).await.json;
    assert_eq!(shown["reservations"], json!({"held": 1, "confirmed": 0, "cancelled": 2, "expired": 0}));
    assert_eq!(shown["items"][0], json!({"item": "model:white", "total": 60, "free": 59}));
    assert_eq!(shown["items"][3], json!({"item": "package:care", "total": null, "free": null}));
    assert_eq!(shown["phase"], "open");
    // The definition comes back in the form in which it is put.
    let again = apply(&gateway, &shown["definition"]).await;
    assert_eq!(again.json["outcome"], "unchanged", "{}", again.text);
    let sales = gateway.ops_get("/admin/v1/sales").await.json;
    let ids: Vec<&Value> = sales["sales"].as_array().unwrap().iter().map(|s| &s["sale"]).collect();
    assert_eq!(ids, ["another", "small"]);
    assert_eq!(sales["unreadable"], json!([]));

    let audit = gateway.audit().await;
    assert_eq!((&audit["sale"], &audit["verdict"]), (&json!("small"), &json!("balanced")));
    let audited = |item: &str| {
        let items = audit["items"].as_array().unwrap();
        items.iter().find(|i| i["item"] == item).unwrap().clone()
    };
    assert_eq!(
        audited("model:white"),
        json!({"item": "model:white", "total": 60, "free": 59, "held": 1, "confirmed": 0, "drift": 0})
    );
    assert_eq!(
        audited("store:sh-1"),
        json!({"item": "store:sh-1", "total": null, "free": null, "held": 0, "confirmed": 0, "drift": 0})
    );

    let metrics = gateway.ops_get("/metrics").await;
    let samples: Vec<&str> = metrics.text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(samples.len() > 10, "{}", metrics.text);
    assert!(samples.iter().all(|line| line.starts_with("launchgate_")), "{}", metrics.text);
}
