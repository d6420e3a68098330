//! Tests standby queues: joined, left, granted whatever comes back, suspended, exported with their sale.

use std::cell::Cell;
use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{balanced, refused, settled};
use testkit::cli::run;
use testkit::definition::{known, open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Client, Gateway, Reply, send};
use testkit::redis::Redis;

use crate::launch::spike::journal;

const STANDBY: &str = "/v1/sales/small/standby";

/// `small` with standby queues, and so many white cars.
fn queued(stock: u64) -> Value {
    let mut definition = with(small(), "/model/0/stock", json!(stock));
    definition["sale"]["standby"] = json!(true);
    definition["sale"]["standby_hold"] = json!("2h");
    definition
}

async fn call(gateway: &Client, method: Method, sub: &str, body: &Value) -> Reply {
    send(gateway.request(method, STANDBY).bearer_auth(gateway.token(sub)).json(body)).await
}

async fn join(gateway: &Client, sub: &str) -> Reply {
    call(gateway, Method::PUT, sub, &json!({"model": "white", "packages": ["cover"], "store": "gz-1"})).await
}

async fn leave(gateway: &Client, sub: &str) -> Reply {
    send(gateway.request(Method::DELETE, STANDBY).bearer_auth(gateway.token(sub))).await
}

async fn place(gateway: &Client, sub: &str) -> Value {
    let reply = gateway.get_as(sub, STANDBY).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json
}

fn waiting(position: u64) -> Value {
    json!({"model": "white", "position": position, "odds": null, "state": "waiting", "reservation": null})
}

/// Takes all white cars, one for each of these buyers; their reservations.
async fn sell_out(gateway: &Client, buyers: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for sub in buyers {
        let won = gateway.reserve(sub, "k", &white()).await;
        assert_eq!(won.status, 201, "{}", won.text);
        ids.push(won.id());
    }
    ids
}

#[tokio::test]
async fn what_comes_back_goes_to_who_waits_first() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &queued(2)).await;
    assert_eq!(gateway.get("/v1/sales/small").await.json["standby"], true);
    let early = join(&gateway, "ada").await;
    assert_eq!(refused(&early, 409, "not-sold-out", &["items"])["items"], json!(["model:white"]));
    let ids = sell_out(&gateway, &["won-1", "won-2"]).await;
    let gone = gateway.reserve("ada", "k", &white()).await;
    assert_eq!(refused(&gone, 409, "sold-out", &["items", "final", "standby"])["standby"], true);

    for (n, sub) in ["ada", "bob", "cyd"].into_iter().enumerate() {
        let joined = join(&gateway, sub).await;
        assert_eq!((joined.status, &joined.json), (201, &waiting(n as u64 + 1)), "{}", joined.text);
        assert_eq!(joined.header("cache-control"), "no-store");
    }
    let again = join(&gateway, "bob").await;
    assert_eq!((again.status, &again.json), (200, &waiting(2)), "{}", again.text);
    assert_eq!(place(&gateway, "cyd").await, waiting(3));
    for _ in 0..2 {
        let left = leave(&gateway, "bob").await;
        assert_eq!((left.status, &*left.text), (204, ""));
    }
    refused(&gateway.get_as("bob", STANDBY).await, 404, "standby-not-found", &[]);
    assert_eq!(place(&gateway, "cyd").await, waiting(2));
    let anew = join(&gateway, "bob").await;
    assert_eq!((anew.status, &anew.json["position"]), (201, &json!(3)), "who left is the last");

    // The unit is Ada's in the very step that returns it.
    assert_eq!(gateway.cancel("won-1", &ids[0]).await.status, 200);
    let granted = place(&gateway, "ada").await;
    let id = granted["reservation"].as_str().unwrap();
    assert_eq!(
        granted,
        json!({"model": "white", "position": null, "odds": null, "state": "granted", "reservation": id})
    );
    let path = format!("/v1/sales/small/reservations/{id}");
    let held = gateway.get_as("ada", &path).await.json;
    assert_eq!(
        (&held["state"], &held["packages"], &held["store"]),
        (&json!("held"), &json!(["cover"]), &json!("gz-1"))
    );
    let times = ["held_at", "expires_at"]
        .map(|name| held[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
    let hours = (times[1].as_second() - times[0].as_second()) as f64 / 3_600.0;
    assert!((1.9..=2.1).contains(&hours), "{hours}");
    let retry = join(&gateway, "ada").await;
    assert_eq!((retry.status, &retry.json), (200, &granted), "a retry that was late shows what came of it");
    assert_eq!(gateway.confirm(id, "pay-1", 1).await.status, 200);
    // Who has cancelled what was granted goes to the end, and may not have it back before others.
    assert_eq!(gateway.cancel("won-2", &ids[1]).await.status, 200);
    let second = place(&gateway, "cyd").await["reservation"].as_str().unwrap().to_owned();
    assert_eq!(gateway.cancel("cyd", &second).await.status, 200);
    assert_eq!(place(&gateway, "bob").await["state"], "granted");
    let limit = join(&gateway, "won-1").await;
    assert_eq!((limit.status, &limit.json["position"]), (201, &json!(1)), "{}", limit.text);

    let audit = gateway.audit().await;
    assert_eq!((&audit["waiting"], &audit["items"][1]["aside"]), (&json!(1), &json!(0)), "{audit}");
    balanced(&gateway).await;
    settled(&gateway).await;
    let desk = gateway.ops_get("/admin/v1/sales/small/buyers/ada").await.json;
    assert_eq!(desk["standby"], granted, "{desk}");
    let kinds: Vec<&Value> = desk["journal"].as_array().unwrap().iter().map(|line| &line["kind"]).collect();
    assert_eq!(kinds, ["grant", "confirm"], "the join is in the journal only: {desk}");
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.find("standby_waiting{sale=\"small\",item=\"model:white\"}"), Some(1.0));
}

#[tokio::test]
async fn wishes_and_models_change_and_bad_requests_are_refused() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    for reply in
        [join(&gateway, "ada").await, gateway.get_as("ada", STANDBY).await, leave(&gateway, "ada").await]
    {
        refused(&reply, 404, "not-found", &[]);
    }
    let refusal = gateway.action("standby-suspend", &json!({})).await;
    refused(&refusal, 404, "not-found", &[]);
    let format = || redis.run::<String>("HGET lg:{small}:state format");
    assert_eq!(format(), "2", "a sale without standby queues shuts out no older gateway");

    let mut definition = with(queued(1), "/model/1/stock", json!(1));
    definition["sale"]["standby_max"] = json!(2);
    open(&gateway, &definition).await;
    assert_eq!(format(), "3");
    sell_out(&gateway, &["won-1"]).await;
    assert_eq!(gateway.reserve("won-2", "k", &json!({"model": "black"})).await.status, 201);
    for (body, pointer) in [
        (json!({}), ""),
        (json!({"model": "white", "packages": ["care", "care"]}), "/packages/1"),
        (json!({"model": "white", "more": 1}), "/more"),
    ] {
        let reply = call(&gateway, Method::PUT, "ada", &body).await;
        assert_eq!((reply.status, reply.problem()), (400, "invalid-request"), "{}", reply.text);
        assert!(pointer.is_empty() || reply.json["pointer"] == pointer, "{}", reply.text);
    }
    let unknown = call(&gateway, Method::PUT, "ada", &json!({"model": "black", "packages": ["cover"]})).await;
    assert_eq!(refused(&unknown, 422, "unknown-item", &["items"])["items"], json!(["package:cover"]));
    let limit = join(&gateway, "won-1").await;
    assert_eq!(refused(&limit, 409, "purchase-limit", &["reservations", "reason"])["reason"], "per-buyer");

    assert_eq!(join(&gateway, "ada").await.status, 201);
    assert_eq!(join(&gateway, "bob").await.status, 201);
    refused(&join(&gateway, "cyd").await, 409, "standby-full", &["items"]);
    let other = call(&gateway, Method::PUT, "ada", &json!({"model": "white"})).await;
    assert_eq!((other.status, &other.json["position"]), (200, &json!(1)), "the place stays: {}", other.text);
    let moved = call(&gateway, Method::PUT, "ada", &json!({"model": "black"})).await;
    assert_eq!(
        (moved.status, &moved.json["model"], &moved.json["position"]),
        (200, &json!("black"), &json!(1))
    );
    assert_eq!(place(&gateway, "bob").await, waiting(1));
    assert_eq!(join(&gateway, "cyd").await.status, 201, "there is room again");
    balanced(&gateway).await;

    // Who waits keeps the queues from going, and those models their limits.
    for (pointer, value, field) in
        [("/sale/standby", json!(false), "standby"), ("/model/0/stock", Value::Null, "stock")]
    {
        let mut changed = with(definition.clone(), pointer, value);
        if field == "standby" {
            changed["sale"].as_object_mut().unwrap().retain(|key, _| !key.starts_with("standby"));
        } else {
            changed["model"][0].as_object_mut().unwrap().remove("stock");
        }
        let reply = gateway.ops(Method::PUT, "/admin/v1/sales/small", &changed).await;
        assert_eq!(refused(&reply, 409, "definition-locked", &["fields"])["fields"], json!([field]));
    }
}

#[tokio::test]
async fn suspended_grants_set_units_aside_until_they_are_resumed() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &queued(2)).await;
    let ids = sell_out(&gateway, &["won-1", "won-2"]).await;
    assert_eq!(join(&gateway, "ada").await.status, 201);
    let suspended = gateway.action("standby-suspend", &json!({"reason": "the odds were wrong"})).await.json;
    assert_eq!(
        (&suspended["suspended"], &suspended["suspension"]["reason"], &suspended["waiting"]),
        (&json!(true), &json!("the odds were wrong"), &json!(1))
    );
    for (sub, id) in ["won-1", "won-2"].into_iter().zip(&ids) {
        assert_eq!(gateway.cancel(sub, id).await.status, 200);
    }
    let bot = gateway.reserve("bot", "k", &white()).await;
    refused(&bot, 409, "sold-out", &["items", "final", "standby"]);
    assert_eq!(place(&gateway, "ada").await, waiting(1));
    let item = &gateway.ops_get("/admin/v1/sales/small").await.json["items"][0];
    assert_eq!((&item["free"], &item["aside"]), (&json!(0), &json!(2)), "{item}");
    assert_eq!(gateway.metrics().await.find("standby_suspended{sale=\"small\"}"), Some(1.0));
    balanced(&gateway).await;

    assert_eq!(gateway.action("standby-resume", &json!({})).await.json["suspended"], false);
    eventually("the tick grants", || async {
        (place(&gateway, "ada").await["state"] == "granted").then_some(())
    })
    .await;
    // What nobody waits for is free again.
    eventually("the other is free", || async {
        (gateway.reserve("bot", "k", &white()).await.status == 201).then_some(())
    })
    .await;
    balanced(&gateway).await;
}

#[tokio::test]
async fn a_restock_goes_to_the_queue_and_who_has_enough_is_skipped() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &queued(1)).await;
    sell_out(&gateway, &["won"]).await;
    let subs: Vec<String> = (0..100).map(|n| format!("waits-{n}")).collect();
    for sub in &subs {
        assert_eq!(join(&gateway, sub).await.status, 201);
    }
    // Ada is the first no longer: one car is enough for her.
    assert_eq!(gateway.reserve(&subs[0], "k", &json!({"model": "black"})).await.status, 201);
    let body = json!({"item": "model:white", "total": 81, "was": 1});
    let restocked = gateway.ops(Method::POST, "/admin/v1/sales/small/restock", &body).await;
    assert_eq!((restocked.status, &restocked.json["free"]), (200, &json!(0)), "{}", restocked.text);
    let bot = gateway.reserve("bot", "k", &white()).await;
    refused(&bot, 409, "sold-out", &["items", "final", "standby"]);
    eventually("the ticks grant the rest", || async {
        (gateway.audit().await["waiting"] == 19).then_some(())
    })
    .await;
    assert_eq!(place(&gateway, &subs[0]).await["state"], "skipped");
    for sub in &subs[1..=80] {
        assert_eq!(place(&gateway, sub).await["state"], "granted", "{sub}");
    }
    assert_eq!(place(&gateway, &subs[81]).await, waiting(1));
    balanced(&gateway).await;
    // In the order in which they joined.
    let lines: Vec<Value> =
        journal(&gateway).await.into_iter().filter(|line| line["kind"] == "grant").collect();
    let buyers = |what: &str| {
        let lines = lines.iter().filter(|line| !line[what].is_null());
        lines.map(|line| line["buyer"].as_str().unwrap().to_owned()).collect::<Vec<String>>()
    };
    assert_eq!(buyers("skipped"), subs[..1]);
    assert_eq!(buyers("reservation"), subs[1..=80]);
}

/// A bot polls at another gateway without a pause: no unit that somebody waits for is ever its.
#[tokio::test]
async fn a_bot_never_gets_a_unit_that_a_buyer_waits_for() {
    let redis = Redis::start();
    let gateways = [Gateway::start(&redis).await, Gateway::start(&redis).await];
    let mut definition = queued(10);
    definition["sale"]["per_buyer"] = json!(100);
    definition["sale"]["attempts"] = json!(100);
    open(&gateways[0], &definition).await;
    known(&gateways[1], "small").await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(gateways[0].reserve("won", &format!("k{n}"), &white()).await.id());
    }
    let subs: Vec<String> = (0..10).map(|n| format!("waits-{n}")).collect();
    for sub in &subs {
        assert_eq!(join(&gateways[0], sub).await.status, 201);
    }
    let is_over = Cell::new(false);
    let bot = async {
        let mut refusals = 0_u64;
        while !is_over.get() {
            let reply = gateways[1].reserve("bot", "k", &white()).await;
            assert_eq!((reply.status, reply.problem()), (409, "sold-out"), "{}", reply.text);
            refusals += 1;
        }
        refusals
    };
    let returns = async {
        for id in &ids {
            assert_eq!(gateways[0].cancel("won", id).await.status, 200);
        }
        for sub in &subs {
            eventually("it is granted at every gateway", || async {
                let mut granted = true;
                for gateway in &gateways {
                    granted &= place(gateway, sub).await["state"] == "granted";
                }
                granted.then_some(())
            })
            .await;
        }
        is_over.set(true);
    };
    let (refusals, ()) = tokio::join!(bot, returns);
    assert!(refusals > 0);
    balanced(&gateways[0]).await;
}

#[tokio::test]
async fn queues_are_exported_and_imported_with_their_sale() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &queued(2)).await;
    let ids = sell_out(&gateway, &["won-1", "won-2"]).await;
    for sub in ["ada", "bob", "cyd"] {
        assert_eq!(join(&gateway, sub).await.status, 201);
    }
    assert_eq!(gateway.cancel("won-1", &ids[0]).await.status, 200);
    assert_eq!(leave(&gateway, "bob").await.status, 204);
    let before = gateway.audit().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sale").display().to_string();
    let exported = run(&["sale", "export", "small", &file, "--redis", &redis.url()]);
    assert_eq!(exported.code, 0, "{exported:?}");
    let elsewhere = Redis::start();
    let imported = run(&["sale", "import", &file, "--redis", &elsewhere.url()]);
    assert_eq!(imported.code, 0, "{imported:?}");
    let other = Gateway::start(&elsewhere).await;
    known(&other, "small").await;
    let keys: BTreeSet<String> = elsewhere.run("KEYS lg:{small}:*");
    assert!(keys.contains("lg:{small}:queue") && keys.contains("lg:{small}:standby"), "{keys:?}");
    let after = other.audit().await;
    assert_eq!((&before["items"], &before["waiting"]), (&after["items"], &after["waiting"]));
    assert_eq!(place(&other, "cyd").await, waiting(1));
    assert_eq!(other.cancel("won-2", &ids[1]).await.status, 200);
    assert_eq!(place(&other, "cyd").await["state"], "granted");
    balanced(&other).await;
}

/// A third of the winners does not pay: all is sold in the end, in the order of the queue.
#[tokio::test]
async fn when_winners_do_not_pay_all_is_sold_to_the_queue_in_its_order() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let mut definition = queued(9);
    definition["sale"]["hold"] = json!("1s");
    definition["sale"]["grace"] = json!("0s");
    open(&gateway, &definition).await;
    let winners: Vec<String> = (0..9).map(|n| format!("won-{n}")).collect();
    let ids = sell_out(&gateway, &winners.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for (n, id) in ids.iter().enumerate().filter(|(n, _)| n % 3 != 0) {
        let paid = gateway.confirm(id, &format!("pay-{n}"), 1).await;
        // A slow machine may be too late: then it is one more who did not pay.
        assert!(matches!(paid.status, 200 | 409), "{}", paid.text);
    }
    let mut queue = Vec::new();
    for n in 0..9 {
        let sub = format!("waits-{n}");
        // Whatever has come back already is not waited for.
        let joined = join(&gateway, &sub).await;
        match joined.status {
            201 => queue.push(sub),
            _ => drop(refused(&joined, 409, "not-sold-out", &["items"])),
        }
    }
    eventually("every hold has ended or is granted", || async {
        let audit = gateway.audit().await;
        (audit["reservations"]["expired"].as_u64() >= Some(3)).then_some(())
    })
    .await;
    eventually("all that came back is taken", || async {
        let audit = gateway.audit().await;
        let item =
            audit["items"].as_array().unwrap().iter().find(|i| i["item"] == "model:white").unwrap().clone();
        let taken = item["held"].as_u64().unwrap() + item["confirmed"].as_u64().unwrap();
        (taken == 9 || audit["waiting"] == 0).then_some(())
    })
    .await;
    let mut states = Vec::new();
    for sub in &queue {
        states.push(place(&gateway, sub).await["state"] == "granted");
    }
    assert!(states.is_sorted_by(|a, b| a >= b), "granted from the front: {states:?}");
    balanced(&gateway).await;
}
