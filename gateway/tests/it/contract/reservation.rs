//! Tests the calls on one reservation: list, read, confirm, cancel; permissions, deadlines,
//! and refusals, which change nothing.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{balanced, free, refused, settled};
use testkit::definition::{open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply, send, service_token, token};
use testkit::redis::Redis;

use super::admin::journal;

/// The reservations of the sale.
pub const PATH: &str = "/v1/sales/small/reservations";

/// Makes a call with this token.
pub async fn call(gateway: &Gateway, token: &str, method: Method, path: &str, body: Option<Value>) -> Reply {
    let request = gateway.request(method, path).bearer_auth(token);
    send(match body {
        Some(body) => request.json(&body),
        None => request,
    })
    .await
}

/// Reserves with the key `k1`; the reservation's id.
pub async fn won(gateway: &Gateway, buyer: &str, body: &Value) -> String {
    let reply = gateway.reserve(buyer, "k1", body).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.id()
}

#[tokio::test]
async fn a_buyer_reads_his_own_and_a_service_reads_all() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &with(small(), "/sale/per_buyer", json!(2))).await;
    let first = won(&gateway, "alice", &white()).await;
    let second = gateway.reserve("alice", "k2", &white()).await.id();
    won(&gateway, "bob", &white()).await;

    let list = gateway.get_as("alice", PATH).await;
    assert_eq!(list.status, 200, "{}", list.text);
    let ids: Vec<&Value> = list.json["reservations"].as_array().unwrap().iter().map(|r| &r["id"]).collect();
    assert_eq!(ids, [&json!(first), &json!(second)]);
    assert!(list.json["server_time"].is_string());
    let none = gateway.get_as("carol", PATH).await;
    assert_eq!((none.status, &none.json["reservations"]), (200, &json!([])), "{}", none.text);

    let one = format!("{PATH}/{first}");
    for token in [token("alice"), service_token()] {
        let read = call(&gateway, &token, Method::GET, &one, None).await;
        assert_eq!((read.status, read.id()), (200, first.clone()), "{}", read.text);
        assert_eq!(read.header("cache-control"), "no-store");
        let head = call(&gateway, &token, Method::HEAD, &one, None).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
    }
}

/// Checks every call on a reservation without a token, with a wrong sale, a wrong id, or another
/// buyer's reservation.
#[tokio::test]
async fn a_buyer_neither_sees_nor_changes_reservations_of_others() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let id = won(&gateway, "alice", &white()).await;
    let before = balanced(&gateway).await;

    let never = format!("{}{}", &id[..20], "AAAAAAAAAAAA");
    let stranger = "A".repeat(32);
    let hostile = ["x", "%2e%2e%2fetc", "*", "KEYS[1]", "%00", "%0d%0a", "{small}", "😀"];
    let confirm = json!({"payment": "pay", "version": 1});
    for (method, suffix, body) in [
        (Method::GET, "", None),
        (Method::PATCH, "", Some(json!({"store": "gz-2"}))),
        (Method::POST, "/cancel", None),
        (Method::POST, "/confirm", Some(confirm.clone())),
    ] {
        let path = |sale: &str, id: &str| format!("/v1/sales/{sale}/reservations/{id}{suffix}");
        let absent = gateway.request(method.clone(), &path("small", &id));
        let reply = send(absent).await;
        refused(&reply, 401, "unauthenticated", &[]);
        let services_only = suffix == "/confirm";
        let owner = if services_only { service_token() } else { token("alice") };
        let ask = |token: String, path: String| {
            let (gateway, method, body) = (&gateway, method.clone(), body.clone());
            async move { call(gateway, &token, method, &path, body).await }
        };
        let reply = ask(owner.clone(), path("nowhere", &id)).await;
        refused(&reply, 404, "sale-not-found", &[]);
        for wrong in [&never, &stranger].into_iter().map(String::as_str).chain(hostile) {
            for token in [owner.clone(), service_token()] {
                let reply = ask(token, path("small", wrong)).await;
                refused(&reply, 404, "reservation-not-found", &[]);
            }
        }
        // Another buyer's is 404; only a service confirms, whatever the id.
        let reply = ask(token("bob"), path("small", &id)).await;
        if services_only {
            refused(&reply, 403, "forbidden", &[]);
            let own = ask(token("alice"), path("small", &id)).await;
            refused(&own, 403, "forbidden", &[]);
        } else {
            refused(&reply, 404, "reservation-not-found", &[]);
        }
    }
    let reply = call(&gateway, "no.token.atall", Method::GET, PATH, None).await;
    refused(&reply, 401, "unauthenticated", &[]);
    let reply = gateway.get_as("alice", "/v1/sales/nowhere/reservations").await;
    refused(&reply, 404, "sale-not-found", &[]);
    let reply = gateway.get_as("alice", &format!("{PATH}?page=2")).await;
    refused(&reply, 400, "invalid-request", &[]);
    assert_eq!(balanced(&gateway).await, before);
}

#[tokio::test]
async fn a_confirm_is_for_one_payment_and_one_version() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let id = won(&gateway, "alice", &white()).await;
    let before = balanced(&gateway).await;
    let path = format!("{PATH}/{id}/confirm");
    for (body, pointer) in [
        (json!({"payment": "", "version": 1}), "/payment"),
        (json!({"payment": "-", "version": 1}), "/payment"),
        (json!({"payment": "a b", "version": 1}), "/payment"),
        (json!({"payment": "a\nb", "version": 1}), "/payment"),
        (json!({"payment": "p".repeat(129), "version": 1}), "/payment"),
        (json!({"payment": 7, "version": 1}), "/payment"),
        (json!({"payment": "p", "version": 0}), "/version"),
        (json!({"payment": "p", "version": -1}), "/version"),
        (json!({"payment": "p", "version": 1.5}), "/version"),
        (json!({"payment": "p", "version": 1e30}), "/version"),
        (json!({"payment": "p", "version": 4_294_967_296_u64}), "/version"),
        (json!({"payment": "p"}), ""),
        (json!({"version": 1}), ""),
        (json!({"payment": "p", "version": 1, "amount": 1}), "/amount"),
        (json!(["p", 1]), ""),
    ] {
        let reply = call(&gateway, &service_token(), Method::POST, &path, Some(body)).await;
        let problem = refused(&reply, 400, "invalid-request", &["pointer"]);
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
    let changed = ["state", "version"];
    let reply = gateway.confirm(&id, "pay-1", 2).await;
    let problem = refused(&reply, 409, "reservation-changed", &changed);
    assert_eq!((&problem["state"], &problem["version"]), (&json!("held"), &json!(1)));
    assert_eq!(balanced(&gateway).await, before);

    // It changed while it was paid: the old version is refused, the new one is good.
    let amended = gateway.amend("alice", &id, &json!({"packages": ["care"]})).await;
    assert_eq!(amended.json["version"], 2, "{}", amended.text);
    let reply = gateway.confirm(&id, "pay-1", 1).await;
    assert_eq!(refused(&reply, 409, "reservation-changed", &changed)["version"], 2);
    let longest = "~".repeat(128);
    let done = gateway.confirm(&id, &longest, 2).await;
    assert_eq!(
        (done.status, &done.json["state"], &done.json["expires_at"]),
        (200, &json!("confirmed"), &Value::Null),
        "{}",
        done.text
    );
    let after = balanced(&gateway).await;
    let again = gateway.confirm(&id, &longest, 2).await;
    assert_eq!((again.status, &again.json["state"]), (200, &json!("confirmed")));
    let reply = gateway.confirm(&id, "pay-2", 2).await;
    let problem = refused(&reply, 409, "payment-conflict", &changed);
    assert_eq!((&problem["state"], &problem["version"]), (&json!("confirmed"), &json!(2)));
    // Paid: the buyer can neither change nor cancel it, a service can change it.
    let reply = gateway.amend("alice", &id, &json!({"store": "gz-2"})).await;
    assert_eq!(refused(&reply, 409, "reservation-not-held", &changed)["state"], "confirmed");
    let reply = gateway.cancel("alice", &id).await;
    assert_eq!(refused(&reply, 409, "reservation-not-held", &changed)["state"], "confirmed");
    let one = format!("{PATH}/{id}");
    assert_eq!(balanced(&gateway).await, after);
    let moved = json!({"store": "gz-2"});
    let moved = call(&gateway, &service_token(), Method::PATCH, &one, Some(moved)).await;
    assert_eq!(
        (moved.status, &moved.json["version"], &moved.json["store"]),
        (200, &json!(3), &json!("gz-2")),
        "{}",
        moved.text
    );
    // Confirmed at version 2, the same payment stays the answer to a late retry.
    assert_eq!(gateway.confirm(&id, &longest, 2).await.status, 200);
    assert_eq!(balanced(&gateway).await, after + 1);
}

#[tokio::test]
async fn a_payment_after_the_end_of_the_hold_takes_it_again_only_if_asked_to() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let definition = with(small(), "/sale/hold", json!("1s"));
    let definition = with(definition, "/package/0/stock", json!(1));
    open(&gateway, &with(definition, "/sale/grace", json!("0s"))).await;
    let body = json!({"model": "white", "packages": ["cover"], "store": "gz-1"});
    let (alice, gone) = (won(&gateway, "alice", &body).await, ["state", "version"]);
    let has_ended = async |id: &str| {
        let path = format!("{PATH}/{id}");
        eventually("the hold has ended", || async {
            let shown = call(&gateway, &service_token(), Method::GET, &path, None).await;
            (shown.json["state"] == "expired").then_some(())
        })
        .await;
    };
    has_ended(&alice).await;
    let confirm = async |id: &str, payment: &str, late: Value| {
        let body = json!({"payment": payment, "version": 1, "accept_late": late});
        call(&gateway, &service_token(), Method::POST, &format!("{PATH}/{id}/confirm"), Some(body)).await
    };
    for bad in [json!("yes"), json!(1), Value::Null] {
        let reply = confirm(&alice, "pay-1", bad).await;
        assert_eq!(refused(&reply, 400, "invalid-request", &["pointer"])["pointer"], "/accept_late");
    }
    for reply in [gateway.confirm(&alice, "pay-1", 1).await, confirm(&alice, "pay-1", json!(false)).await] {
        let problem = refused(&reply, 409, "reservation-not-held", &gone);
        assert_eq!((&problem["state"], &problem["version"]), (&json!("expired"), &json!(1)));
    }
    let path = format!("{PATH}/{alice}/confirm");
    let own = json!({"payment": "pay-1", "version": 1, "accept_late": true});
    let reply = call(&gateway, &token("alice"), Method::POST, &path, Some(own)).await;
    refused(&reply, 403, "forbidden", &[]);
    let paid = confirm(&alice, "pay-1", json!(true)).await;
    let shown = (paid.status, &paid.json["state"], &paid.json["number"], &paid.json["version"]);
    assert_eq!(shown, (200, &json!("confirmed"), &json!(1), &json!(1)), "{}", paid.text);
    for again in [confirm(&alice, "pay-1", json!(true)).await, gateway.confirm(&alice, "pay-1", 1).await] {
        assert_eq!((again.status, &again.json["state"]), (200, &json!("confirmed")), "{}", again.text);
    }
    refused(&confirm(&alice, "pay-2", json!(true)).await, 409, "payment-conflict", &gone);
    assert_eq!(free(&gateway, "package:cover").await, Some(0));

    // The only cover is sold: the late payment for another one is refunded, and stays so once the cover is back.
    let path = format!("{PATH}/{alice}/cancel");
    assert_eq!(call(&gateway, &service_token(), Method::POST, &path, None).await.status, 200);
    let bob = won(&gateway, "bob", &body).await;
    has_ended(&bob).await;
    eventually("its cover is back", || async {
        (free(&gateway, "package:cover").await == Some(1)).then_some(())
    })
    .await;
    let carol = won(&gateway, "carol", &body).await;
    // Also if its second is over by now.
    assert_eq!(confirm(&carol, "pay-3", json!(true)).await.status, 200);
    let reply = confirm(&bob, "pay-4", json!(true)).await;
    assert_eq!(refused(&reply, 409, "reservation-not-held", &gone)["state"], "expired");
    let path = format!("{PATH}/{carol}/cancel");
    assert_eq!(call(&gateway, &service_token(), Method::POST, &path, None).await.status, 200);
    assert_eq!(free(&gateway, "package:cover").await, Some(1));
    let before = balanced(&gateway).await;
    let reply = confirm(&bob, "pay-4", json!(true)).await;
    refused(&reply, 409, "reservation-not-held", &gone);
    assert_eq!(balanced(&gateway).await, before);
    assert_eq!(gateway.reserve("bob", "k2", &body).await.status, 201);
    balanced(&gateway).await;
    let lines = journal(&gateway).await;
    let of_bob = lines.iter().filter(|line| line["reservation"] == bob);
    let of_bob: Vec<_> = of_bob.map(|line| (&line["kind"], &line["state"], &line["payment"])).collect();
    let (held, over, none) = (json!("held"), json!("expired"), Value::Null);
    let (reserve, expire, refuse, payment) =
        (json!("reserve"), json!("expire"), json!("refuse"), json!("pay-4"));
    assert_eq!(of_bob, [(&reserve, &held, &none), (&expire, &over, &none), (&refuse, &over, &payment)]);
}

#[tokio::test]
async fn a_cancel_ends_it_and_gives_the_stock_back_once() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let body = json!({"model": "white", "packages": ["cover"], "store": "gz-2"});
    let held = won(&gateway, "alice", &body).await;
    let paid = won(&gateway, "bob", &body).await;
    assert_eq!(gateway.confirm(&paid, "p", 1).await.status, 200);
    let service_cancel = async |id: &str| {
        let path = format!("{PATH}/{id}/cancel");
        call(&gateway, &service_token(), Method::POST, &path, None).await
    };

    let done = gateway.cancel("alice", &held).await;
    assert_eq!(
        (done.status, &done.json["state"], &done.json["expires_at"]),
        (200, &json!("cancelled"), &Value::Null),
        "{}",
        done.text
    );
    let after = balanced(&gateway).await;
    assert_eq!(gateway.cancel("alice", &held).await.status, 200);
    assert_eq!(service_cancel(&held).await.status, 200);
    // An ended reservation stays readable, but no caller can PATCH or confirm it.
    let gone = ["state", "version"];
    let reply = gateway.confirm(&held, "late", 1).await;
    assert_eq!(refused(&reply, 409, "reservation-not-held", &gone)["state"], "cancelled");
    let reply = gateway.amend("alice", &held, &json!({"store": "gz-1"})).await;
    refused(&reply, 409, "reservation-not-held", &gone);
    let read = gateway.get_as("alice", &format!("{PATH}/{held}")).await;
    assert_eq!((read.status, &read.json["state"]), (200, &json!("cancelled")));
    assert_eq!(balanced(&gateway).await, after);
    assert_eq!(free(&gateway, "model:white").await, Some(59));

    // A refund, by a service only, and once.
    let reply = gateway.cancel("bob", &paid).await;
    refused(&reply, 409, "reservation-not-held", &gone);
    assert_eq!(balanced(&gateway).await, after);
    for _ in 0..2 {
        let refund = service_cancel(&paid).await;
        assert_eq!((refund.status, &refund.json["state"]), (200, &json!("cancelled")), "{}", refund.text);
    }
    assert_eq!(balanced(&gateway).await, after + 1);
    for (item, left) in [("model:white", 60), ("package:cover", 20), ("store:gz-2", 10)] {
        assert_eq!(free(&gateway, item).await, Some(left), "{item}");
    }
    let reply = gateway.confirm(&paid, "p", 1).await;
    assert_eq!(refused(&reply, 409, "reservation-not-held", &gone)["state"], "cancelled");
}

#[tokio::test]
async fn pause_and_close_stop_new_reservations_only() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    for action in ["pause", "close"] {
        let (a, b) = (format!("{action}-a"), format!("{action}-b"));
        let first = won(&gateway, &a, &white()).await;
        let second = won(&gateway, &b, &white()).await;
        let reply = gateway.action(action, &json!({"reason": "a test"})).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let changed = gateway.amend(&a, &first, &json!({"model": "black"})).await;
        assert_eq!((changed.status, &changed.json["version"]), (200, &json!(2)));
        assert_eq!(gateway.confirm(&first, "p", 2).await.status, 200);
        assert_eq!(gateway.cancel(&b, &second).await.status, 200);
        let new = gateway.reserve("new", "k", &white()).await;
        assert!(matches!(new.status, 409 | 410), "{}", new.text);
        assert_eq!(gateway.action("resume", &json!({})).await.status, 200);
        settled(&gateway).await;
    }
    let new = gateway.reserve("new", "k", &white()).await;
    refused(&new, 410, "sale-closed", &[]);
    balanced(&gateway).await;
}
