//! Tests the list of sales, and `meta`: passed through, and changed at any time.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::settled;
use testkit::definition::{apply, open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Gateway, send};
use testkit::redis::Redis;

const LIST: &str = "/v1/sales";

/// A sale of another name, with this opening.
fn named(id: &str, opens_at: &str) -> Value {
    with(with(small(), "/sale/id", json!(id)), "/sale/opens_at", json!(opens_at))
}

#[tokio::test]
async fn the_list_has_every_listed_sale_that_is_not_over() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let list = async || {
        let reply = gateway.get(LIST).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("cache-control"), "public, max-age=1");
        reply
    };
    let ids = |list: &Value| -> Vec<String> {
        let sales = list["sales"].as_array().unwrap();
        sales.iter().map(|sale| sale["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list().await.json, json!({"sales": []}));
    open(&gateway, &small()).await;
    open(&gateway, &named("later", "2099-01-01T00:00:00Z")).await;
    open(&gateway, &named("also", "2026-01-01T00:00:00Z")).await;
    let mut hidden = named("hidden", "2026-01-01T00:00:00Z");
    hidden["sale"]["listed"] = json!(false);
    open(&gateway, &hidden).await;
    let over = with(named("over", "2026-01-01T00:00:00Z"), "/sale/closes_at", json!("2026-01-02T00:00:00Z"));
    open(&gateway, &over).await;

    let all = list().await;
    assert_eq!(
        all.json["sales"][1],
        json!({"id": "small", "name": "Small", "phase": "open", "opens_at": "2026-01-01T00:00:00.000Z",
            "closes_at": "2100-01-01T00:00:00.000Z"})
    );
    assert_eq!(ids(&all.json), ["also", "small", "later"]);
    assert_eq!(all.json["sales"][2]["phase"], "upcoming");
    // The page of a sale that is not listed is there.
    assert_eq!(gateway.get("/v1/sales/hidden").await.status, 200);

    let ask = async |method: Method, tag: &str| {
        send(gateway.request(method, LIST).header("if-none-match", tag)).await
    };
    let tag = all.header("etag").to_owned();
    for method in [Method::GET, Method::HEAD] {
        let reply = ask(method, &tag).await;
        assert_eq!((reply.status, reply.text.as_str(), reply.header("etag")), (304, "", tag.as_str()));
    }
    let head = send(gateway.request(Method::HEAD, LIST)).await;
    assert_eq!((head.status, head.text.as_str(), head.header("etag")), (200, "", tag.as_str()));
    // A reservation changes nothing here; a pause, another name and the end of a sale do.
    assert_eq!(gateway.reserve("a", "k", &white()).await.status, 201);
    settled(&gateway).await;
    assert_eq!(list().await.header("etag"), tag);
    assert_eq!(gateway.action("pause", &json!({})).await.status, 200);
    settled(&gateway).await;
    let paused = ask(Method::GET, &tag).await;
    assert_eq!((paused.status, &paused.json["sales"][1]["phase"]), (200, &json!("paused")));
    hidden["sale"]["listed"] = json!(true);
    assert_eq!(apply(&gateway, &hidden).await.json["outcome"], "updated");
    eventually("it is listed", || async {
        ids(&list().await.json).contains(&"hidden".to_owned()).then_some(())
    })
    .await;
    assert_eq!(gateway.action("close", &json!({})).await.status, 200);
    settled(&gateway).await;
    assert_eq!(ids(&list().await.json), ["also", "hidden", "later"]);
}

#[tokio::test]
async fn meta_is_passed_through_and_is_never_locked() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let meta = json!({"image": "https://shop.example/air.webp", "tags": ["new", 1, 2.5, null, {"深": {}}]});
    let mut definition = small();
    definition["sale"]["meta"] = meta.clone();
    definition["model"][1]["meta"] = json!({});
    definition["package"][0]["meta"] = json!({"order": 1});
    open(&gateway, &definition).await;
    let sale = gateway.get("/v1/sales/small").await;
    assert_eq!(sale.json["meta"], meta);
    assert_eq!(sale.json["models"][1]["meta"], json!({}));
    assert_eq!(sale.json["packages"][0]["meta"], json!({"order": 1}));
    for without in ["/models/0", "/packages/1"] {
        assert!(sale.json.pointer(without).unwrap().get("meta").is_none(), "{}", sale.text);
    }
    assert!(sale.text.ends_with("Z\"}"), "the time is still the last member: {}", sale.text);

    assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 201);
    assert_eq!(apply(&gateway, &definition).await.json["outcome"], "unchanged");
    definition["sale"]["meta"]["image"] = json!("https://shop.example/air-2.webp");
    definition["model"][0]["meta"] = json!({"colour": "#ffffff"});
    assert_eq!(apply(&gateway, &definition).await.json["outcome"], "updated");
    eventually("the new one shows", || async {
        let changed = gateway.get("/v1/sales/small").await;
        (changed.header("etag") != sale.header("etag")
            && changed.json["models"][0]["meta"] == json!({"colour": "#ffffff"}))
        .then_some(())
    })
    .await;

    definition["sale"]["meta"] = json!({"text": "x".repeat(4_096)});
    definition["model"][0]["meta"] = json!([]);
    let refused = apply(&gateway, &definition).await;
    assert_eq!((refused.status, refused.problem()), (400, "invalid-request"), "{}", refused.text);
    let mistakes = &refused.json["mistakes"];
    assert_eq!(mistakes[0]["pointer"], "/sale/meta", "{}", refused.text);
    assert_eq!(mistakes[1]["pointer"], "/model/0/meta", "{}", refused.text);
}
