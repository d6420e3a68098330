//! Tests PATCH: all of it or nothing, for a version, judged by what it changes.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{balanced, free, refused, settled};
use testkit::definition::{apply, open, small, with};
use testkit::gateway::{Gateway, service_token};
use testkit::redis::Redis;

use crate::contract::reservation::{PATH, call, won};

#[tokio::test]
async fn a_patch_changes_all_of_it_or_nothing() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let definition = with(small(), "/model/1/stock", json!(1));
    let definition = with(definition, "/package/0/stock", json!(1));
    open(&gateway, &with(definition, "/stores/1/capacity", json!(1))).await;
    let taken = json!({"model": "white", "packages": ["cover"], "store": "gz-2"});
    won(&gateway, "other", &taken).await;
    let body = json!({"model": "white", "packages": ["care"], "store": "gz-1"});
    let id = won(&gateway, "alice", &body).await;
    let hold = gateway.get_as("alice", &format!("{PATH}/{id}")).await;

    let before = balanced(&gateway).await;
    for (body, pointer) in [
        (json!({"model": null}), "/model"),
        (json!({"store": null}), "/store"),
        (json!({"model": "-"}), "/model"),
        (json!({"store": "-"}), "/store"),
        (json!({"packages": ["care", "-"]}), "/packages/1"),
        (json!({"packages": null}), "/packages"),
        (json!({"packages": ["care", "care"]}), "/packages/1"),
        (json!({"accept_partial": true}), "/accept_partial"),
        (json!({"version": null}), "/version"),
        (json!(["white", [], "gz-1"]), ""),
    ] {
        let reply = gateway.amend("alice", &id, &body).await;
        let problem = refused(&reply, 400, "invalid-request", &["pointer"]);
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
    for (body, items) in [
        (json!({"model": "red"}), json!(["model:red"])),
        (
            json!({"model": "black", "packages": ["cover", "x"], "store": "y"}),
            json!(["package:cover", "package:x", "store:y"]),
        ),
    ] {
        let reply = gateway.amend("alice", &id, &body).await;
        let problem = refused(&reply, 422, "unknown-item", &["items"]);
        assert_eq!(problem["items"], items);
    }
    // One of three is gone: the other two do not move either.
    let amendment = json!({"model": "black", "packages": [], "store": "gz-2"});
    let reply = gateway.amend("alice", &id, &amendment).await;
    let problem = refused(&reply, 409, "sold-out", &["items", "final", "standby"]);
    assert_eq!((&problem["items"], &problem["final"]), (&json!(["store:gz-2"]), &json!(false)));
    // What changes nothing leaves the version, and nothing behind.
    for same in [json!({}), body.clone(), json!({"store": "gz-1"})] {
        let reply = gateway.amend("alice", &id, &same).await;
        assert_eq!((reply.status, &reply.json["version"]), (200, &json!(1)), "{}", reply.text);
    }
    assert_eq!(balanced(&gateway).await, before);

    let amendment = json!({"model": "black", "packages": [], "store": "sh-1"});
    let changed = gateway.amend("alice", &id, &amendment).await;
    assert_eq!((changed.status, &changed.json["version"]), (200, &json!(2)), "{}", changed.text);
    assert_eq!(changed.json["price"]["total"], 5_099_900);
    for retained in ["id", "number", "held_at", "expires_at", "state"] {
        assert_eq!(changed.json[retained], hold.json[retained], "{retained}");
    }
    assert_eq!(balanced(&gateway).await, before + 1);
    assert_eq!(free(&gateway, "model:black").await, Some(0));
    assert_eq!(free(&gateway, "model:white").await, Some(59));
    // Its old store has room for others, its new one has not.
    let black = json!({"model": "black", "store": "gz-1"});
    let reply = gateway.reserve("carol", "k", &black).await;
    assert_eq!(
        refused(&reply, 409, "sold-out", &["items", "final", "standby"])["items"],
        json!(["model:black"])
    );
    // The key still stands for the request that was made, and finds what became of it.
    let again = gateway.reserve("alice", "k1", &body).await;
    assert_eq!((again.status, &again.json["model"]), (200, &json!("black")), "{}", again.text);
}

#[tokio::test]
async fn a_patch_for_another_version_changes_nothing() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let id = won(&gateway, "alice", &json!({"model": "white", "store": "gz-1"})).await;
    let amend = async |store: &str, version: Value| {
        gateway.amend("alice", &id, &json!({"store": store, "version": version})).await
    };
    for bad in [json!(0), json!(4_294_967_296_u64), json!(-1), json!(1.5), json!("1"), Value::Null] {
        let reply = amend("gz-2", bad.clone()).await;
        assert_eq!(refused(&reply, 400, "invalid-request", &["pointer"])["pointer"], "/version", "{bad}");
    }
    let changed = amend("gz-2", json!(1)).await;
    assert_eq!((changed.status, &changed.json["version"]), (200, &json!(2)), "{}", changed.text);
    let before = balanced(&gateway).await;
    // Outdated (also where the answer to the first one was lost), or of no version that there is.
    for version in [1, 3] {
        let reply = amend("gz-1", json!(version)).await;
        let problem = refused(&reply, 409, "reservation-changed", &["state", "version"]);
        assert_eq!((&problem["state"], &problem["version"]), (&json!("held"), &json!(2)));
        // Also where it does not fit what the reservation has become, or names what does not exist.
        for body in [json!({"packages": ["care", "x"]}), json!({"model": "none", "store": "y"})] {
            let mut body = body;
            body["version"] = json!(version);
            let reply = gateway.amend("alice", &id, &body).await;
            refused(&reply, 409, "reservation-changed", &["state", "version"]);
        }
    }
    let unknown = json!({"model": "none", "version": 2});
    refused(&gateway.amend("alice", &id, &unknown).await, 422, "unknown-item", &["items"]);
    assert_eq!(balanced(&gateway).await, before);
    let back = amend("gz-1", json!(2.0)).await;
    assert_eq!((back.status, &back.json["version"]), (200, &json!(3)), "{}", back.text);
    let same = amend("gz-1", json!(3)).await;
    assert_eq!((same.status, &same.json["version"]), (200, &json!(3)), "{}", same.text);
    assert_eq!(gateway.cancel("alice", &id).await.status, 200);
    // Whatever the version, it is too late.
    for version in [1, 3, 9] {
        let reply = amend("gz-2", json!(version)).await;
        refused(&reply, 409, "reservation-not-held", &["state", "version"]);
    }
}

/// A buyer until `configure_until`, a service for ever. The price follows what is reserved.
#[tokio::test]
async fn what_is_paid_can_be_changed_until_the_sales_instant_for_that() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let until = |instant: Value| {
        let mut definition = small();
        definition["sale"]["configure_until"] = instant;
        definition
    };
    let reply = apply(&gateway, &until(json!("2026-01-01T00:00:00Z"))).await;
    let problem = refused(&reply, 400, "invalid-request", &["pointer", "mistakes"]);
    assert_eq!(problem["pointer"], "/sale/configure_until", "{problem}");
    open(&gateway, &until(json!("2099-01-01T00:00:00Z"))).await;
    let body = json!({"model": "white", "packages": ["cover"], "store": "gz-1"});
    let id = won(&gateway, "alice", &body).await;
    assert_eq!(gateway.confirm(&id, "p", 1).await.status, 200);

    let amendment = json!({"model": "black", "packages": ["care"], "store": "gz-2", "version": 1});
    let changed = gateway.amend("alice", &id, &amendment).await;
    let shown = (changed.status, &changed.json["state"], &changed.json["version"]);
    assert_eq!(shown, (200, &json!("confirmed"), &json!(2)), "{}", changed.text);
    let price = json!({
        "currency": "CNY", "total": 5_159_800, "deposit": 99_900, "balance": 5_059_900,
        "lines": [{"item": "model:black", "amount": 5_099_900}, {"item": "package:care", "amount": 59_900}]
    });
    assert_eq!((&changed.json["price"], &changed.json["expires_at"]), (&price, &Value::Null));
    for (item, left) in [("model:white", 60), ("model:black", 39), ("package:cover", 20), ("store:gz-2", 9)] {
        assert_eq!(free(&gateway, item).await, Some(left), "{item}");
    }
    let audit = gateway.audit().await;
    let confirmed = |item: &str| {
        let items = audit["items"].as_array().unwrap();
        items.iter().find(|found| found["item"] == item).unwrap()["confirmed"].clone()
    };
    let items = ["model:white", "model:black", "package:cover", "package:care"];
    assert_eq!(items.map(confirmed), [0, 1, 0, 1].map(|n| json!(n)));
    // The payment for the first version stays the answer to a retry.
    assert_eq!(gateway.confirm(&id, "p", 1).await.status, 200);
    let reply = gateway.amend("alice", &id, &json!({"store": "gz-1", "version": 1})).await;
    let problem = refused(&reply, 409, "reservation-changed", &["state", "version"]);
    assert_eq!((&problem["state"], &problem["version"]), (&json!("confirmed"), &json!(2)));

    // The instant may be moved at any time, and taken away. It is not shown to buyers.
    let service = service_token();
    for (n, definition) in [until(json!("2026-01-01T00:00:01Z")), small()].into_iter().enumerate() {
        open(&gateway, &definition).await;
        settled(&gateway).await;
        let page = gateway.get("/v1/sales/small").await;
        assert!(!page.text.contains("configure_until"), "{}", page.text);
        let reply = gateway.amend("alice", &id, &json!({"store": "sh-1"})).await;
        let problem = refused(&reply, 409, "reservation-not-held", &["state", "version"]);
        assert_eq!((&problem["state"], &problem["version"]), (&json!("confirmed"), &json!(2 + n)));
        let path = format!("{PATH}/{id}");
        let body = [json!({"model": "white"}), json!({"packages": [], "store": "gz-1"})][n].clone();
        let changed = call(&gateway, &service, Method::PATCH, &path, Some(body)).await;
        assert_eq!((changed.status, &changed.json["version"]), (200, &json!(3 + n)), "{}", changed.text);
    }
    balanced(&gateway).await;
}

/// A package is narrowed to other models while a reservation has it.
#[tokio::test]
async fn a_patch_is_judged_by_what_it_changes() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let body = json!({"model": "white", "packages": ["cover"], "store": "gz-1"});
    let paid = won(&gateway, "alice", &body).await;
    assert_eq!(gateway.confirm(&paid, "p", 1).await.status, 200);
    let held = won(&gateway, "bob", &body).await;
    open(&gateway, &with(small(), "/package/0/models", json!(["black"]))).await;

    let one = format!("{PATH}/{paid}");
    let moved = call(&gateway, &service_token(), Method::PATCH, &one, Some(json!({"store": "gz-2"}))).await;
    assert_eq!((moved.status, &moved.json["store"]), (200, &json!("gz-2")), "{}", moved.text);
    for amendment in [json!({"store": "gz-2"}), json!({"packages": ["care", "cover"]})] {
        let retained = gateway.amend("bob", &held, &amendment).await;
        assert_eq!(retained.status, 200, "{}", retained.text);
        assert!(retained.json["packages"].as_array().unwrap().contains(&json!("cover")), "{}", retained.text);
    }
    let other = gateway.amend("bob", &held, &json!({"model": "black"})).await;
    assert_eq!(other.status, 200, "{}", other.text);
    // What it changes has to fit, also what it takes up again.
    let reply = gateway.amend("bob", &held, &json!({"model": "white"})).await;
    assert_eq!(refused(&reply, 422, "unknown-item", &["items"])["items"], json!(["package:cover"]));
    let dropped = gateway.amend("bob", &held, &json!({"model": "white", "packages": []})).await;
    assert_eq!(dropped.status, 200, "{}", dropped.text);
    let reply = gateway.amend("bob", &held, &json!({"packages": ["cover"]})).await;
    assert_eq!(refused(&reply, 422, "unknown-item", &["items"])["items"], json!(["package:cover"]));
    balanced(&gateway).await;
}
