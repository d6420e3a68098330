//! Tests the order of checks on a tap: the first failed check decides, in the read model and in
//! Redis alike.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{balanced, refused, settled};
use testkit::definition::{apply, known, open, small, white, with};
use testkit::gateway::{Gateway, Reply, send, token};
use testkit::redis::Redis;

/// What differs from answer to answer, taken out.
fn plain(reply: &Reply) -> Value {
    let mut json = reply.json.clone();
    for varies in ["server_time", "retry_after_ms"] {
        if let Some(value) = json.get_mut(varies) {
            value.take();
        }
    }
    json
}

/// Taps as a buyer unknown to the read model, which may answer, and as one with a cancelled
/// reservation, which needs Redis; both answers must be the same.
async fn alike(gateway: &Gateway, body: &Value) -> Reply {
    settled(gateway).await;
    let stranger = gateway.reserve("stranger", "new", body).await;
    let leaver = gateway.reserve("leaver", "new", body).await;
    assert_eq!(stranger.status, leaver.status);
    assert_eq!(plain(&stranger), plain(&leaver), "of {body}");
    stranger
}

#[tokio::test]
async fn token_then_request_then_sale() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    assert_eq!(gateway.action("close", &json!({})).await.status, 200);
    let before = balanced(&gateway).await;

    let bad = json!({"model": 1});
    let tap = |token: Option<String>, key: Option<&str>, sale: &str, body: &Value| {
        let mut request = gateway.request(Method::POST, &format!("/v1/sales/{sale}/reservations")).json(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        send(request)
    };
    let alice = || Some(token("alice"));
    let reply = tap(None, None, "nowhere", &bad).await;
    refused(&reply, 401, "unauthenticated", &[]);
    let reply = tap(Some("x.y.z".into()), None, "nowhere", &bad).await;
    refused(&reply, 401, "unauthenticated", &[]);
    let reply = tap(alice(), None, "nowhere", &white()).await;
    refused(&reply, 400, "idempotency-key-missing", &[]);
    let reply = tap(alice(), Some("k"), "nowhere", &bad).await;
    refused(&reply, 400, "invalid-request", &["pointer"]);
    let reply = tap(alice(), Some("k"), "nowhere", &white()).await;
    refused(&reply, 404, "sale-not-found", &[]);
    let reply = tap(alice(), Some("k"), "small", &bad).await;
    refused(&reply, 400, "invalid-request", &["pointer"]);
    let reply = tap(alice(), Some("k"), "small", &white()).await;
    refused(&reply, 410, "sale-closed", &[]);
    assert_eq!(balanced(&gateway).await, before);
}

#[tokio::test]
async fn closed_then_not_open_then_paused() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let later = with(small(), "/sale/opens_at", json!("2099-01-01T00:00:00Z"));
    let later = with(later, "/sale/id", json!("later"));
    assert_eq!(apply(&gateway, &later).await.status, 200);
    known(&gateway, "later").await;
    let action = async |word: &str| {
        let path = format!("/admin/v1/sales/later/{word}");
        gateway.ops(Method::POST, &path, &json!({})).await.json
    };
    let unknown = json!({"model": "none", "store": "none"});
    let ask = async || send(gateway.tap_at("later", "alice", "k", &unknown)).await;

    assert_eq!(action("pause").await["phase"], "upcoming");
    let reply = ask().await;
    let members = ["opens_at", "server_time", "retry_after_ms"];
    let problem = refused(&reply, 409, "sale-not-open", &members);
    assert_eq!(problem["opens_at"], "2099-01-01T00:00:00.000Z");
    let now: jiff::Timestamp = problem["server_time"].as_str().unwrap().parse().unwrap();
    assert!(now.as_second() > 1_700_000_000, "{problem}");
    // No timer holds the time until then; the opening is in `opens_at`.
    let wait = problem["retry_after_ms"].as_i64().unwrap();
    assert!((2_700_000..=3_600_000).contains(&wait), "{problem}");
    assert_eq!(action("close").await["phase"], "closed");
    testkit::eventually("the read model shows the close", || async {
        (gateway.get("/v1/sales/later").await.json["phase"] == "closed").then_some(())
    })
    .await;
    refused(&ask().await, 410, "sale-closed", &[]);
    let audit = gateway.ops_get("/admin/v1/sales/later/audit").await.json;
    assert_eq!((&audit["verdict"], &audit["sequence"]), (&json!("balanced"), &json!(3)));
}

#[tokio::test]
async fn replay_then_closed_then_paused_then_unknown_then_limit_then_sold_out() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let definition = with(small(), "/model/0/stock", json!(1));
    open(&gateway, &with(definition, "/package/0/stock", json!(1))).await;
    let black = json!({"model": "black", "packages": ["care"], "store": "gz-1"});
    let left = gateway.reserve("leaver", "old", &black).await.id();
    assert_eq!(gateway.cancel("leaver", &left).await.status, 200);
    let whole = json!({"model": "white", "packages": ["cover", "care"], "store": "gz-1"});
    let held = gateway.reserve("holder", "old", &whole).await;
    assert_eq!(held.status, 201, "{}", held.text);
    let before = balanced(&gateway).await;
    let unknown = json!({"model": "white", "packages": ["cover"], "store": "none"});

    // Open, and white is sold out.
    let reply = alike(&gateway, &whole).await;
    let problem = refused(&reply, 409, "sold-out", &["items", "final", "standby"]);
    assert_eq!(problem["items"], json!(["model:white", "package:cover"]));
    assert_eq!(problem["final"], false);
    let reply = alike(&gateway, &unknown).await;
    let problem = refused(&reply, 422, "unknown-item", &["items"]);
    assert_eq!(problem["items"], json!(["store:none"]));
    let reply = gateway.reserve("holder", "new", &whole).await;
    let problem = refused(&reply, 409, "purchase-limit", &["reservations", "reason"]);
    assert_eq!(problem["reservations"], json!([held.id()]));
    let reply = gateway.reserve("holder", "new", &unknown).await;
    refused(&reply, 422, "unknown-item", &["items"]);

    // Paused, then closed while paused: nothing but the own reservation goes before that.
    let standing = async |status: u16, name: &str, members: &[&str]| {
        for body in [&whole, &unknown, &black] {
            refused(&alike(&gateway, body).await, status, name, members);
            let reply = gateway.reserve("holder", "new", body).await;
            refused(&reply, status, name, members);
        }
        let again = gateway.reserve("holder", "old", &whole).await;
        assert_eq!((again.status, again.id()), (200, held.id()), "{}", again.text);
        assert_eq!(again.header("idempotency-replayed"), "true");
        let reply = gateway.reserve("holder", "old", &unknown).await;
        refused(&reply, 422, "idempotency-key-reused", &[]);
        let again = gateway.reserve("leaver", "old", &black).await;
        assert_eq!((again.status, again.id()), (200, left.clone()));
        assert_eq!(again.json["state"], "cancelled");
    };
    assert_eq!(gateway.action("pause", &json!({})).await.status, 200);
    standing(409, "sale-paused", &["retry_after_ms"]).await;
    assert_eq!(gateway.action("close", &json!({})).await.status, 200);
    standing(410, "sale-closed", &[]).await;
    assert_eq!(balanced(&gateway).await, before + 2);
}

#[tokio::test]
async fn sold_out_is_final_when_no_hold_is_left() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &with(small(), "/model/0/stock", json!(1))).await;
    let black = json!({"model": "black", "store": "gz-1"});
    let left = gateway.reserve("leaver", "old", &black).await.id();
    assert_eq!(gateway.cancel("leaver", &left).await.status, 200);
    let held = gateway.reserve("holder", "old", &white()).await.id();
    let reply = alike(&gateway, &white()).await;
    let problem = refused(&reply, 409, "sold-out", &["items", "final", "standby"]);
    assert_eq!(problem["final"], false, "a hold is outstanding");
    assert_eq!(gateway.confirm(&held, "p", 1).await.status, 200);
    let reply = alike(&gateway, &white()).await;
    let problem = refused(&reply, 409, "sold-out", &["items", "final", "standby"]);
    assert_eq!(problem["final"], true, "what is paid does not come back by itself");

    // The refused keys left nothing, so they win once there is more.
    let more = json!({"item": "model:white", "total": 2, "was": 1});
    assert_eq!(gateway.action("restock", &more).await.status, 200);
    settled(&gateway).await;
    let won = gateway.reserve("stranger", "new", &white()).await;
    assert_eq!(won.status, 201, "{}", won.text);
    let reply = gateway.reserve("leaver", "new", &white()).await;
    refused(&reply, 409, "sold-out", &["items", "final", "standby"]);
    balanced(&gateway).await;
}
