//! `PUT /admin/v1/sales/{sale}` and restock: applied again, locked, below what is taken, wrong; all or nothing.

use serde_json::{Value, json};
use testkit::check::{balanced, free, refused, settled};
use testkit::definition::{apply, known, open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Gateway, OPS_TOKEN, Reply, send};
use testkit::redis::Redis;

use super::admin::{SALE, journal};

#[tokio::test]
async fn a_restock_pressed_twice_is_done_once() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    for n in 0..3 {
        let reply = gateway.reserve(&format!("b{n}"), "k", &white()).await;
        assert_eq!(reply.status, 201);
    }
    let restock = async |item: &str, total: u64, was: u64| {
        gateway
            .action("restock", &json!({"item": item, "total": total, "was": was, "reason": "more came"}))
            .await
    };
    let before = balanced(&gateway).await;
    for _ in 0..2 {
        let reply = restock("model:white", 80, 60).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.json, json!({"item": "model:white", "total": 80, "free": 77}));
    }
    let last = journal(&gateway).await.pop().unwrap();
    for (field, value) in [
        ("kind", json!("restock")),
        ("item", json!("model:white")),
        ("total", json!(80)),
        ("was", json!(60)),
        ("who", json!("ops")),
        ("reason", json!("more came")),
    ] {
        assert_eq!(last[field], value, "{field}");
    }
    let reply = restock("model:white", 90, 60).await;
    assert_eq!(refused(&reply, 409, "stock-changed", &["total"])["total"], 80);
    let reply = restock("model:white", 2, 80).await;
    let problem = refused(&reply, 409, "stock-taken", &["items", "taken"]);
    assert_eq!((&problem["items"], &problem["taken"]), (&json!(["model:white"]), &json!(3)));
    for unknown in ["model:red", "white", "", "model:", "colour:white", "model:white\n"] {
        let reply = restock(unknown, 5, 5).await;
        refused(&reply, 422, "unknown-item", &["items"]);
    }
    let reply = restock("package:care", 5, 0).await;
    refused(&reply, 409, "stock-changed", &[]);
    assert_eq!(balanced(&gateway).await, before + 1);
    // Down to what is taken, and up again.
    assert_eq!(restock("model:white", 3, 80).await.json["free"], 0);
    settled(&gateway).await;
    assert_eq!(gateway.reserve("late", "k", &white()).await.problem(), "sold-out");
    assert_eq!(restock("store:gz-2", 1_000_000_000, 10).await.status, 200);
    assert_eq!(free(&gateway, "model:white").await, Some(0));
    balanced(&gateway).await;
}

#[tokio::test]
async fn a_definition_applied_again_changes_only_what_changed_in_it() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let output = |reply: &Reply| (reply.json["outcome"].clone(), reply.json["revision"].clone());
    let first = apply(&gateway, &small()).await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(first.json, json!({"sale": "small", "revision": 1, "outcome": "created"}));
    let again = apply(&gateway, &small()).await;
    assert_eq!(output(&again), (json!("unchanged"), json!(1)), "{}", again.text);
    open(&gateway, &small()).await;
    assert_eq!(balanced(&gateway).await, 1);
    assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 201);

    // A restock stays, whether nothing else changes or the same item does.
    let more = json!({"item": "model:white", "total": 100, "was": 60});
    assert_eq!(gateway.action("restock", &more).await.status, 200);
    assert_eq!(output(&apply(&gateway, &small()).await), (json!("unchanged"), json!(1)));
    assert_eq!(free(&gateway, "model:white").await, Some(99));
    let renamed = with(small(), "/sale/name", json!("Smaller"));
    assert_eq!(output(&apply(&gateway, &renamed).await), (json!("updated"), json!(2)));
    assert_eq!(free(&gateway, "model:white").await, Some(99));
    let five_more = with(renamed.clone(), "/model/0/stock", json!(65));
    assert_eq!(output(&apply(&gateway, &five_more).await), (json!("updated"), json!(3)));
    assert_eq!(free(&gateway, "model:white").await, Some(104));
    // And back, which takes away five.
    assert_eq!(output(&apply(&gateway, &renamed).await), (json!("updated"), json!(4)));
    assert_eq!(free(&gateway, "model:white").await, Some(99));

    // A limit that goes and comes; an item that comes and goes.
    let open_end =
        with(renamed.clone(), "/model/0", json!({"id": "white", "name": "White", "price": 4_999_900}));
    assert_eq!(apply(&gateway, &open_end).await.status, 200);
    assert_eq!(free(&gateway, "model:white").await, None);
    let limited = with(renamed.clone(), "/model/0/stock", json!(50));
    assert_eq!(apply(&gateway, &limited).await.status, 200);
    assert_eq!(free(&gateway, "model:white").await, Some(49));
    let mut wider = limited.clone();
    wider["package"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": "mats", "name": "Mats", "price": 100, "stock": 7}));
    assert_eq!(apply(&gateway, &wider).await.status, 200);
    assert_eq!(free(&gateway, "package:mats").await, Some(7));
    settled(&gateway).await;
    let mats = json!({"model": "black", "packages": ["mats"], "store": "gz-1"});
    assert_eq!(apply(&gateway, &limited).await.status, 200, "no reservation has mats");
    settled(&gateway).await;
    let reply = gateway.reserve("bob", "k", &mats).await;
    assert_eq!(refused(&reply, 422, "unknown-item", &["items"])["items"], json!(["package:mats"]));
    let shown = gateway.ops_get(SALE).await;
    assert_eq!(shown.json["definition"]["sale"]["name"], "Smaller", "{}", shown.text);
    assert_eq!(shown.json["revision"], 8);
    balanced(&gateway).await;
}

#[tokio::test]
async fn terms_that_buyers_have_seen_are_locked_and_nothing_is_half_applied() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    // Before the first reservation everything may change.
    open(&gateway, &with(small(), "/sale/hold", json!("10m"))).await;
    assert_eq!(apply(&gateway, &small()).await.status, 200);
    settled(&gateway).await;
    let whole = json!({"model": "white", "packages": ["cover", "care"], "store": "gz-2"});
    // Of the first batch all items are remembered; of later ones those that come back.
    assert_eq!(gateway.reserve("bob", "k", &white()).await.status, 201);
    let id = gateway.reserve("alice", "k", &whole).await.id();
    assert_eq!(gateway.cancel("alice", &id).await.status, 200);
    let before = balanced(&gateway).await;
    for (pointer, value, field) in [
        ("/sale/opens_at", json!("2026-01-01T00:00:01Z"), "opens_at"),
        ("/sale/hold", json!("16m"), "hold"),
        ("/sale/grace", json!("61s"), "grace"),
        ("/sale/per_buyer", json!(2), "per_buyer"),
        ("/sale/currency", json!("EUR"), "currency"),
        ("/sale/deposit", json!(1), "deposit"),
        ("/model/1/price", json!(1), "price of model:black"),
        ("/package/0/price", json!(1), "price of package:cover"),
    ] {
        // The stock in the same file does not move either.
        let changed = with(with(small(), pointer, value), "/model/0/stock", json!(1_000));
        let reply = apply(&gateway, &changed).await;
        let problem = refused(&reply, 409, "definition-locked", &["fields"]);
        assert_eq!(problem["fields"], json!([field]));
    }
    // What was ever taken can't be removed, not even after a cancel.
    let mut less = small();
    less["package"].as_array_mut().unwrap().remove(1);
    less["stores"].as_array_mut().unwrap().remove(1);
    let reply = apply(&gateway, &less).await;
    let problem = refused(&reply, 409, "definition-locked", &["items"]);
    let mut items: Vec<&str> =
        problem["items"].as_array().unwrap().iter().map(|i| i.as_str().unwrap()).collect();
    items.sort_unstable();
    assert_eq!(items, ["package:care", "store:gz-2"]);
    // Never below what is taken.
    let reply = apply(&gateway, &with(small(), "/model/0/stock", json!(0))).await;
    let problem = refused(&reply, 409, "stock-taken", &["items"]);
    assert_eq!(problem["items"], json!(["model:white"]));
    assert_eq!(balanced(&gateway).await, before);
    assert_eq!(free(&gateway, "model:white").await, Some(59));

    // Unlocked members may change: names, the end, attempts, stock, stores without a reservation.
    let mut other = with(small(), "/sale/name", json!("Other"));
    for (pointer, value) in [
        ("/sale/closes_at", json!("2099-01-01T00:00:00Z")),
        ("/sale/attempts", json!(6)),
        ("/model/0/stock", json!(1)),
        ("/stores/2", json!({"id": "sh-2", "name": "New", "city": "Shanghai", "capacity": 5})),
    ] {
        other = with(other, pointer, value);
    }
    let reply = apply(&gateway, &other).await;
    assert_eq!(reply.json["outcome"], "updated", "{}", reply.text);
    assert_eq!(free(&gateway, "model:white").await, Some(0));
    // Close is final, also for a definition.
    assert_eq!(gateway.action("close", &json!({})).await.status, 200);
    let reply = apply(&gateway, &with(other, "/sale/closes_at", json!("2100-01-01T00:00:00Z"))).await;
    let problem = refused(&reply, 409, "definition-locked", &["fields"]);
    assert_eq!(problem["fields"], json!(["closes_at"]));
    balanced(&gateway).await;
}

/// Only an operator's close is final: the instant of closing can be moved after it has passed.
#[tokio::test]
async fn a_sale_whose_closing_has_passed_opens_again_with_a_later_one() {
    let redis = Redis::start();
    let (gateway, other) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    open(&gateway, &small()).await;
    known(&other, "small").await;
    assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 201);
    let closing = |instant: &str| with(small(), "/sale/closes_at", json!(instant));
    let phase = async |gateway: &Gateway| gateway.get("/v1/sales/small").await.json["phase"].clone();
    for (round, buyer) in ["bob", "carol"].into_iter().enumerate() {
        let reply = apply(&gateway, &closing("2026-01-01T00:00:01Z")).await;
        assert_eq!((reply.status, &reply.json["outcome"]), (200, &json!("updated")), "{}", reply.text);
        assert_eq!(phase(&gateway).await, "closed");
        for gateway in [&gateway, &other] {
            refused(&gateway.reserve(buyer, "k", &white()).await, 410, "sale-closed", &[]);
        }
        assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 200, "a replay");
        let reply = apply(&gateway, &closing(["2100-01-01T00:00:00Z", "2099-01-01T00:00:00Z"][round])).await;
        assert_eq!((reply.status, &reply.json["outcome"]), (200, &json!("updated")), "{}", reply.text);
        assert_eq!(phase(&gateway).await, "open");
        // A gateway that has not read it yet refuses nobody by the old one.
        let won = [&other, &gateway][round].reserve(buyer, "k", &white()).await;
        assert_eq!(won.status, 201, "{}", won.text);
    }
    balanced(&gateway).await;
}

/// Without waiting: what was answered is served, however busy the machine is.
#[tokio::test]
async fn a_sale_is_served_as_soon_as_its_definition_was_answered() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    for n in 0..50 {
        let definition = with(small(), "/sale/id", json!(format!("sale-{n}")));
        for (name, outcome) in [("First", "created"), ("Second", "updated")] {
            let definition = with(definition.clone(), "/sale/name", json!(name));
            let reply = apply(&gateway, &definition).await;
            if reply.status != 503 {
                assert_eq!((reply.status, &reply.json["outcome"]), (200, &json!(outcome)), "{}", reply.text);
            } else {
                // The gateway could not read it in time, and says so; sent again, it answers once it has.
                refused(&reply, 503, "outcome-unknown", &["retry_after_ms"]);
                eventually("it is served", || async {
                    (apply(&gateway, &definition).await.status == 200).then_some(())
                })
                .await;
            }
            let page = gateway.get(&format!("/v1/sales/sale-{n}")).await;
            assert_eq!((page.status, &page.json["name"]), (200, &json!(name)), "{}", page.text);
        }
    }
}

#[tokio::test]
async fn every_mistake_of_a_definition_is_reported_at_once() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let mut wrong = small();
    for (pointer, value) in [
        ("/sale/hold", json!("soon")),
        ("/sale/currency", json!("yuan")),
        ("/model/0/price", json!(-1)),
        ("/package/0/models", json!(["red"])),
        ("/stores/1/id", json!("gz-1")),
        ("/stores/2/id", json!("-")),
    ] {
        wrong = with(wrong, pointer, value);
    }
    let reply = apply(&gateway, &wrong).await;
    let problem = refused(&reply, 400, "invalid-request", &["pointer", "mistakes"]);
    let mistakes = problem["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), 6, "{problem}");
    assert_eq!(problem["pointer"], mistakes[0]["pointer"]);
    for pointer in
        ["/sale/hold", "/sale/currency", "/model/0/price", "/package/0/models", "/stores/1", "/stores/2/id"]
    {
        let answered = |m: &Value| m["pointer"].as_str().unwrap().starts_with(pointer);
        assert!(mistakes.iter().any(answered), "{pointer}: {problem}");
    }
    let put = async |path: &str, text: String, kind: &str| {
        let request = reqwest::Client::new()
            .put(format!("{}{path}", gateway.ops_url))
            .bearer_auth(OPS_TOKEN)
            .header("content-type", kind)
            .body(text);
        send(request).await
    };
    let text = small().to_string();
    let reply = put("/admin/v1/sales/other", text.clone(), "application/json").await;
    assert_eq!(refused(&reply, 400, "invalid-request", &["pointer"])["pointer"], "/sale/id");
    let reply = put(SALE, text.clone(), "application/toml").await;
    refused(&reply, 415, "unsupported-media-type", &[]);
    for malformed in [&text[..text.len() - 1], "", "[]", "null", "{}"] {
        let reply = put(SALE, malformed.to_owned(), "application/json").await;
        refused(&reply, 400, "invalid-request", &["pointer", "mistakes"]);
    }
    let reply = put(SALE, " ".repeat(32 * 1024 * 1024 + 1), "application/json").await;
    refused(&reply, 413, "body-too-large", &[]);
    let sales = gateway.ops_get("/admin/v1/sales").await;
    assert_eq!(sales.json, json!({"sales": [], "unreadable": []}), "nothing was defined");
    // It leaves out the gateways' heartbeats.
    let keys: Vec<String> = redis.run("KEYS *");
    let keys: Vec<String> = keys.into_iter().filter(|key| key != "lg:fleet").collect();
    assert_eq!(keys, [""; 0]);
}
