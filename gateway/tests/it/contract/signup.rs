//! Tests sign-ups: made, changed, withdrawn, required for a reservation, and exported with their sale.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{balanced, refused, settled};
use testkit::cli::run;
use testkit::definition::{apply, known, open, small, white};
use testkit::eventually;
use testkit::gateway::{Client, Gateway, Reply, send};
use testkit::redis::Redis;

const SIGNUP: &str = "/v1/sales/small/signup";

/// `small` with sign-up between these years.
fn taking_sign_ups(opens: u16, closes: u16, required: bool) -> Value {
    let mut definition = small();
    let at = |year: u16| format!("{year}-01-01T00:00:00Z");
    definition["signup"] = json!({"opens_at": at(opens), "closes_at": at(closes), "required": required});
    definition
}

fn white_with(packages: &[&str]) -> Value {
    json!({"choices": [{"model": "white", "packages": packages}]})
}

async fn call(gateway: &Client, method: Method, sub: &str, body: &Value) -> Reply {
    send(gateway.request(method, SIGNUP).bearer_auth(gateway.token(sub)).json(body)).await
}

async fn sign_up(gateway: &Client, sub: &str, body: &Value) -> Reply {
    call(gateway, Method::PUT, sub, body).await
}

async fn withdraw(gateway: &Client, sub: &str) -> Reply {
    send(gateway.request(Method::DELETE, SIGNUP).bearer_auth(gateway.token(sub))).await
}

#[tokio::test]
async fn a_buyer_signs_up_changes_the_choices_and_withdraws() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let format = || redis.run::<String>("HGET lg:{small}:state format");
    assert_eq!(format(), "2", "a sale without sign-ups shuts out no older gateway");
    open(&gateway, &taking_sign_ups(2026, 2099, false)).await;
    assert_eq!(format(), "3");

    let first = sign_up(&gateway, "ada", &white_with(&["cover", "care"])).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(first.header("cache-control"), "no-store");
    let mut shown = first.json.clone();
    let signed_up_at = shown["signed_up_at"].take();
    let expected = json!({"number": 1, "choices": [{"model": "white", "packages": ["care", "cover"], "store": null}],
        "signed_up_at": null, "withdraw_until": "2099-01-01T00:00:00.000Z"});
    assert_eq!(shown, expected);
    let again = sign_up(&gateway, "ada", &white_with(&["care", "cover"])).await;
    assert_eq!((again.status, &again.json), (200, &first.json), "the order of packages says nothing");

    let other = json!({"choices": [{"model": "black", "store": "gz-1"}, {"model": "white"}]});
    let changed = sign_up(&gateway, "ada", &other).await;
    assert_eq!((changed.status, &changed.json["number"]), (200, &json!(1)), "{}", changed.text);
    assert_eq!(changed.json["signed_up_at"], signed_up_at);
    assert_eq!(changed.json["choices"][0], json!({"model": "black", "packages": [], "store": "gz-1"}));
    assert_eq!(gateway.get_as("ada", SIGNUP).await.json, changed.json);

    assert_eq!(sign_up(&gateway, "bob with a blank", &white_with(&[])).await.json["number"], 2);
    assert_eq!(gateway.audit().await["signed_up"], 2);
    let desk = gateway.ops_get("/admin/v1/sales/small/buyers/ada").await.json;
    assert_eq!(desk["signup"], changed.json, "{desk}");

    for _ in 0..2 {
        let gone = withdraw(&gateway, "ada").await;
        assert_eq!((gone.status, &*gone.text), (204, ""));
    }
    assert_eq!(withdraw(&gateway, "cyd").await.status, 204, "who has never signed up is not signed up");
    refused(&gateway.get_as("ada", SIGNUP).await, 404, "signup-not-found", &[]);
    refused(&gateway.get_as("cyd", SIGNUP).await, 404, "signup-not-found", &[]);
    let anew = sign_up(&gateway, "ada", &white_with(&[])).await;
    assert_eq!((anew.status, &anew.json["number"]), (201, &json!(3)), "{}", anew.text);

    // Five changes after two definitions: what changed nothing has no entry.
    assert_eq!(balanced(&gateway).await, 7);
    settled(&gateway).await;
    assert_eq!(gateway.metrics().await.find("signed_up{sale=\"small\"}"), Some(2.0));
    let journal = gateway.ops_get("/admin/v1/sales/small/journal").await.text;
    let kind = |line: &str| serde_json::from_str::<Value>(line).unwrap()["kind"].clone();
    let kinds: Vec<Value> = journal.lines().map(kind).collect();
    assert_eq!(kinds, ["define", "define", "signup", "signup", "signup", "withdraw", "signup"]);
    eventually("the page shows how many", || async {
        let sale = gateway.get("/v1/sales/small").await.json;
        (sale["signup"]["count"] == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_sign_up_that_is_too_early_too_late_or_wrong_is_refused() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    refused(&sign_up(&gateway, "ada", &white_with(&[])).await, 404, "not-found", &[]);
    refused(&gateway.get_as("ada", SIGNUP).await, 404, "not-found", &[]);
    refused(&withdraw(&gateway, "ada").await, 404, "not-found", &[]);
    assert_eq!(gateway.get("/v1/sales/small").await.json.get("signup"), None);

    open(&gateway, &taking_sign_ups(2098, 2099, false)).await;
    let early = sign_up(&gateway, "ada", &white_with(&[])).await;
    let early = refused(&early, 409, "signup-not-open", &["opens_at", "closes_at"]);
    assert_eq!(early["opens_at"], "2098-01-01T00:00:00.000Z");
    assert_eq!(early["closes_at"], "2099-01-01T00:00:00.000Z");

    open(&gateway, &taking_sign_ups(2024, 2099, false)).await;
    assert_eq!(sign_up(&gateway, "ada", &white_with(&[])).await.status, 201);
    for (body, pointer) in [
        (json!({}), ""),
        (json!({"choices": []}), "/choices"),
        (json!({"choices": vec![json!({"model": "white"}); 4]}), "/choices"),
        (json!({"choices": [{"model": "-"}]}), "/choices/0/model"),
        (json!({"choices": [{"model": "white", "packages": ["care", "care"]}]}), "/choices/0/packages/1"),
        (json!({"choices": [{"model": "white", "colour": "red"}]}), "/choices/0/colour"),
    ] {
        let reply = sign_up(&gateway, "bob", &body).await;
        assert_eq!((reply.status, reply.problem()), (400, "invalid-request"), "{body}: {}", reply.text);
        assert_eq!(reply.json["pointer"].as_str().unwrap_or_default(), pointer, "{body}: {}", reply.text);
    }
    let body = json!({"choices": [{"model": "white", "packages": ["none"]}, {"model": "black", "packages": ["cover"], "store": "no-1"}]});
    let unknown = sign_up(&gateway, "bob", &body).await;
    let unknown = refused(&unknown, 422, "unknown-item", &["items"]);
    assert_eq!(unknown["items"], json!(["package:cover", "package:none", "store:no-1"]));
    let nobody = send(gateway.request(Method::PUT, SIGNUP).json(&white_with(&[]))).await;
    assert_eq!((nobody.status, nobody.problem()), (401, "unauthenticated"));

    // Once somebody has signed up, the terms can change, and not go.
    let gone = apply(&gateway, &small()).await;
    let gone = refused(&gone, 409, "definition-locked", &["fields"]);
    assert_eq!(gone["fields"], json!(["signup"]));
    open(&gateway, &taking_sign_ups(2024, 2025, false)).await;
    refused(&sign_up(&gateway, "bob", &white_with(&[])).await, 410, "signup-closed", &[]);
    refused(&sign_up(&gateway, "ada", &white_with(&["care"])).await, 410, "signup-closed", &[]);
    refused(&withdraw(&gateway, "ada").await, 410, "signup-closed", &[]);
    // The retry of a request that was in time is answered.
    assert_eq!(sign_up(&gateway, "ada", &white_with(&[])).await.status, 200);
    assert_eq!(withdraw(&gateway, "bob").await.status, 204);
    balanced(&gateway).await;
}

#[tokio::test]
async fn only_buyers_who_signed_up_reserve_where_that_is_required() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &taking_sign_ups(2024, 2099, true)).await;
    assert_eq!(gateway.get("/v1/sales/small").await.json["signup"]["required"], true);
    for sub in ["ada", "bob"] {
        assert_eq!(sign_up(&gateway, sub, &white_with(&[])).await.status, 201);
    }
    assert_eq!(withdraw(&gateway, "bob").await.status, 204);
    let body = white();
    let taps = ["ada", "bob", "cyd"].map(|sub| gateway.reserve(sub, "k", &body));
    let [ada, bob, cyd] = futures_util::future::join_all(taps).await.try_into().unwrap();
    assert_eq!(ada.status, 201, "{}", ada.text);
    refused(&bob, 403, "not-signed-up", &[]);
    refused(&cyd, 403, "not-signed-up", &[]);
    // It comes after paused, and before an unknown item.
    let unknown = json!({"model": "red"});
    refused(&gateway.reserve("cyd", "k", &unknown).await, 403, "not-signed-up", &[]);
    assert_eq!(gateway.action("pause", &json!({})).await.status, 200);
    assert_eq!(gateway.reserve("cyd", "k", &white()).await.problem(), "sale-paused");
    // A buyer who has a reservation keeps it.
    assert_eq!(gateway.reserve("ada", "k", &white()).await.status, 200);
    balanced(&gateway).await;
}

#[tokio::test]
async fn ten_thousand_sign_ups_that_are_sent_twice_have_ten_thousand_numbers() {
    const BUYERS: usize = 10_000;
    let redis = Redis::start();
    let gateways = [Gateway::start(&redis).await, Gateway::start(&redis).await];
    open(&gateways[0], &taking_sign_ups(2024, 2099, false)).await;
    known(&gateways[1], "small").await;
    let twice = |n: usize| {
        let gateways = &gateways;
        async move {
            let (sub, body) = (format!("buyer-{n}"), white_with(&[]));
            let both = gateways.each_ref().map(|gateway| sign_up(gateway, &sub, &body));
            let [one, other] = futures_util::future::join_all(both).await.try_into().unwrap();
            assert_eq!([one.status, other.status].iter().sum::<u16>(), 401, "{} {}", one.text, other.text);
            assert_eq!(one.json, other.json);
            one.json["number"].as_u64().unwrap()
        }
    };
    let numbers: BTreeSet<u64> = stream::iter(0..BUYERS).map(twice).buffer_unordered(100).collect().await;
    assert!(numbers.iter().copied().eq(1..=BUYERS as u64));
    balanced(&gateways[0]).await;
    assert_eq!(gateways[1].audit().await["signed_up"], BUYERS);
}

#[tokio::test]
async fn sign_ups_go_with_their_sale_into_another_redis() {
    let (first, second) = (Redis::start(), Redis::start());
    let gateway = Gateway::start(&first).await;
    open(&gateway, &taking_sign_ups(2024, 2099, false)).await;
    for sub in ["ada", "bob"] {
        assert_eq!(sign_up(&gateway, sub, &white_with(&["care"])).await.status, 201);
    }
    assert_eq!(withdraw(&gateway, "bob").await.status, 204);
    let shown = gateway.get_as("ada", SIGNUP).await.json;
    let file = first.files().join("small.jsonl");
    let file = file.to_str().unwrap();
    let sale = |redis: &Redis, args: &[&str]| run(&[&["sale"], args, &["--redis", &redis.url()]].concat());
    let ended = sale(&first, &["export", "small", file]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let ended = sale(&second, &["import", file]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let other = Gateway::start(&second).await;
    known(&other, "small").await;
    assert_eq!(other.get_as("ada", SIGNUP).await.json, shown);
    refused(&other.get_as("bob", SIGNUP).await, 404, "signup-not-found", &[]);
    assert_eq!(sign_up(&other, "bob", &white_with(&[])).await.json["number"], 3);
    balanced(&other).await;
}
