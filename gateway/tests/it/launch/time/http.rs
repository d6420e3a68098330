//! Tests time over HTTP, for apps and the payment service, with in-process gateways and a clock
//! that the test moves.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::definition::{open, small, white, with};
use testkit::gateway::{service_token, token};
use testkit::inside::Inside;
use testkit::redis::Redis;
use testkit::{eventually, redis};

use crate::model::START;
use crate::model::world::TEST_CLOCK;

async fn state(inside: &Inside, id: &str) -> String {
    let reply = inside.call(Method::GET, service_token(), id, "", &Value::Null).await;
    reply.json["state"].as_str().unwrap_or_default().to_owned()
}

async fn sale_clock(redis: &Redis) -> i64 {
    redis.run::<String>("HGET lg:{small}:state clock").parse().unwrap()
}

fn set_time(redis: &redis::Redis, ms: i64) {
    redis.run::<()>(&format!("SET lg:test-now {}", START + ms));
}

/// Lets `TIME` run until the sale clock is there; the gateways' own reapers tick.
async fn run_until(redis: &Redis, time: &mut i64, clock: i64) {
    while sale_clock(redis).await < clock {
        let at = sale_clock(redis).await;
        *time += (clock - at).min(2_000);
        set_time(redis, *time);
        let ticked = || async { (sale_clock(redis).await > at).then_some(()) };
        eventually("a gateway ticks", ticked).await;
    }
}

fn definition() -> Value {
    let ten_seconds_later = jiff::Timestamp::from_millisecond(START + 10_000).unwrap().to_string();
    let sale = with(small(), "/sale/opens_at", json!(ten_seconds_later));
    with(with(sale, "/sale/hold", json!("5s")), "/sale/grace", json!("2s"))
}

#[tokio::test]
async fn a_sale_opens_and_its_holds_end_by_redis_time_alone() {
    let redis = Redis::start_with(&["--appendonly", "no"]);
    set_time(&redis, 0);
    let (one, two) = (Inside::start(&redis, TEST_CLOCK).await, Inside::start(&redis, TEST_CLOCK).await);
    open(&one, &definition()).await;
    for gateway in [&one, &two] {
        eventually("upcoming", || async { (gateway.phase().await == "upcoming").then_some(()) }).await;
        let early = gateway.reserve("ada", "k", &white()).await;
        assert_eq!((early.status, early.problem()), (409, "sale-not-open"), "{}", early.text);
    }
    let mut time = 10_000;
    set_time(&redis, time);
    // The ledger decides, so that no gateway opens early or late. A read model may lag by a second.
    let won = eventually("open", || async {
        Some(two.reserve("ada", "k", &white()).await).filter(|r| r.status == 201)
    })
    .await;
    let id = won.id();

    // After an hour's step of TIME no hold has expired.
    let before = sale_clock(&redis).await;
    set_time(&redis, time + 3_600_000);
    eventually("the step was noticed", || async { (sale_clock(&redis).await > before).then_some(()) }).await;
    assert_eq!(sale_clock(&redis).await, before + 2_000);
    assert_eq!(state(&one, &id).await, "held");
    set_time(&redis, time);
    let ticked_back = || async {
        let tick: String = redis.run("HGET lg:{small}:state tick");
        (tick == (START + time).to_string()).then_some(())
    };
    eventually("the step back was noticed", ticked_back).await;

    let deadline = before + 5_000;
    run_until(&redis, &mut time, deadline).await;
    let store = json!({"store": "gz-2"});
    let late = one.call(Method::PATCH, token("ada"), &id, "", &store).await;
    assert_eq!((late.status, late.problem()), (409, "reservation-not-held"), "{}", late.text);
    assert_eq!(late.json["state"], "held");
    let moved = two.call(Method::PATCH, service_token(), &id, "", &store).await;
    assert_eq!((moved.status, &moved.json["store"]), (200, &json!("gz-2")), "{}", moved.text);

    run_until(&redis, &mut time, deadline + 2_000).await;
    let body = json!({"payment": "pay", "version": 2});
    let refund = two.call(Method::POST, service_token(), &id, "/confirm", &body).await;
    assert_eq!((refund.status, refund.problem()), (409, "reservation-not-held"), "{}", refund.text);
    assert_eq!(refund.json["state"], "expired");
    let swept = || async {
        let audit = one.ops(Method::GET, "/admin/v1/sales/small/audit", &Value::Null).await.json;
        (audit["reservations"]["expired"] == 1).then_some(audit)
    };
    let audit = eventually("the stock is back", swept).await;
    assert_eq!((&audit["verdict"], &audit["items"][1]["free"]), (&json!("balanced"), &json!(60)), "{audit}");
    let replay = one.reserve("ada", "k", &white()).await;
    assert_eq!((replay.status, &replay.json["state"]), (200, &json!("expired")), "{}", replay.text);
}
