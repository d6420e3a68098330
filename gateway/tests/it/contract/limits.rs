//! Tests what a tap may reserve: `accept_partial`, the purchase limit, the attempts.

use serde_json::{Value, json};
use testkit::check::{balanced, refused, settled};
use testkit::definition::{open, small, white, with};
use testkit::gateway::Gateway;
use testkit::redis::Redis;

#[tokio::test]
async fn with_accept_partial_the_model_alone_decides() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let definition = with(small(), "/package/0/stock", json!(1));
    let definition = with(definition, "/stores/1/capacity", json!(1));
    open(&gateway, &with(definition, "/model/0/stock", json!(3))).await;
    let request = |partial: bool| json!({"model": "white", "packages": ["cover", "care"], "store": "gz-2", "accept_partial": partial});

    // While all is there, partial takes all.
    let first = gateway.reserve("first", "k", &request(true)).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!((&first.json["unavailable"], &first.json["store"]), (&json!([]), &json!("gz-2")));
    settled(&gateway).await;
    let before = balanced(&gateway).await;
    let refusal = gateway.reserve("second", "k", &request(false)).await;
    let problem = refused(&refusal, 409, "sold-out", &["items", "final", "standby"]);
    assert_eq!(problem["items"], json!(["package:cover", "store:gz-2"]));
    assert_eq!(problem["final"], false);
    assert_eq!(balanced(&gateway).await, before);

    // The refusal without `accept_partial` leaves the key free for another body.
    let second = gateway.reserve("second", "k", &request(true)).await;
    assert_eq!(second.status, 201, "{}", second.text);
    assert_eq!(second.json["packages"], json!(["care"]));
    assert_eq!(second.json["store"], Value::Null);
    assert_eq!(second.json["unavailable"], json!(["package:cover", "store:gz-2"]));
    assert_eq!(second.json["price"]["total"], 4_999_900 + 59_900);
    let again = gateway.reserve("second", "k", &request(true)).await;
    assert_eq!((again.status, again.id()), (200, second.id()));

    // It can be paid for without a store, or get one.
    let third = gateway.reserve("third", "k", &request(true)).await;
    assert_eq!(third.status, 201, "{}", third.text);
    let paid = gateway.confirm(&third.id(), "pay-3", 1).await;
    assert_eq!((paid.status, &paid.json["store"]), (200, &Value::Null), "{}", paid.text);
    let chosen = gateway.amend("second", &second.id(), &json!({"store": "gz-1"})).await;
    assert_eq!((chosen.status, &chosen.json["version"]), (200, &json!(2)));
    assert_eq!(chosen.json["store"], "gz-1");
    assert_eq!(chosen.json["unavailable"], json!(["package:cover"]));

    // The model is sold out now: a partial request is refused for the model only, by read model and
    // Redis alike.
    assert_eq!(gateway.cancel("first", &first.id()).await.status, 200);
    settled(&gateway).await;
    assert_eq!(gateway.reserve("fourth", "k", &white()).await.status, 201);
    settled(&gateway).await;
    for (buyer, key) in [("stranger", "k"), ("first", "k2")] {
        let reply = gateway.reserve(buyer, key, &request(true)).await;
        let problem = refused(&reply, 409, "sold-out", &["items", "final", "standby"]);
        assert_eq!(problem["items"], json!(["model:white"]), "{buyer}");
    }
    balanced(&gateway).await;
}

#[tokio::test]
async fn a_buyer_is_limited_in_what_he_has_and_in_what_he_ever_started() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let definition = with(small(), "/sale/per_buyer", json!(2));
    open(&gateway, &with(definition, "/sale/attempts", json!(3))).await;
    let tap = async |key: &str| gateway.reserve("alice", key, &white()).await;

    let first = tap("k1").await;
    let second = tap("k2").await;
    assert_eq!((first.status, second.status), (201, 201));
    let before = balanced(&gateway).await;
    let problem = tap("k3").await;
    let problem = refused(&problem, 409, "purchase-limit", &["reservations", "reason"]);
    assert_eq!(problem["reservations"], json!([first.id(), second.id()]));
    assert_eq!(problem["reason"], "per-buyer");
    assert_eq!(balanced(&gateway).await, before);
    // What is confirmed counts as well; what was cancelled makes room.
    assert_eq!(gateway.confirm(&first.id(), "p", 1).await.status, 200);
    assert_eq!(tap("k3").await.problem(), "purchase-limit");
    assert_eq!(gateway.cancel("alice", &second.id()).await.status, 200);
    let third = tap("k3").await;
    assert_eq!(third.status, 201, "the refused key wins: {}", third.text);
    // Three were started: no more, even though there is room.
    assert_eq!(gateway.cancel("alice", &third.id()).await.status, 200);
    let before = balanced(&gateway).await;
    let problem = tap("k4").await;
    let problem = refused(&problem, 409, "purchase-limit", &["reservations", "reason"]);
    assert_eq!(problem["reservations"], json!([first.id(), second.id(), third.id()]));
    assert_eq!(problem["reason"], "attempts");
    assert_eq!(balanced(&gateway).await, before);
    for (key, won, state) in
        [("k1", &first, "confirmed"), ("k2", &second, "cancelled"), ("k3", &third, "cancelled")]
    {
        let again = tap(key).await;
        assert_eq!((again.status, again.id()), (200, won.id()));
        assert_eq!(again.json["state"], state);
    }
    // The limit is a buyer's own.
    assert_eq!(gateway.reserve("bob", "k1", &white()).await.status, 201);
}
