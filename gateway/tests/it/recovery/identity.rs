//! Tests a sale that is purged, imported or deleted and made again: every gateway treats it as
//! another sale.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::Signal;
use testkit::cli::Ended;
use testkit::definition::{apply, known, open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply};
use testkit::redis::Redis;

use crate::launch::spike::{balanced, fault, journal, reserve_until_answered};
use crate::operations::archive::sale;
use crate::recovery::failover::{RedisWithLoss, alarm};

const PAGE: &str = "/v1/sales/small";

/// `small` under this name, at this price of a white car.
fn named(name: &str, price: u64) -> Value {
    with(with(small(), "/sale/name", json!(name)), "/model/0/price", json!(price))
}

fn done(ended: &Ended) {
    assert_eq!(ended.code, 0, "{ended:?}");
}

fn export(redis: &Redis, name: &str) -> String {
    let path = redis.files().join(name).to_str().unwrap().to_owned();
    done(&sale(redis, &["export", "small", &path]));
    path
}

/// Closes it, exports it, and purges it: all it takes to give the name to another sale.
async fn purge(redis: &Redis, gateway: &Gateway, name: &str) -> String {
    assert_eq!(gateway.action("close", &json!({})).await.status, 200);
    let path = export(redis, name);
    done(&sale(redis, &["purge", "small", "--export", &path, "--confirm", "small"]));
    path
}

/// A buyer has paid for a white car.
async fn bought(gateway: &Gateway, sub: &str) -> Reply {
    let won = reserve_until_answered(gateway, sub, "k", &white()).await;
    assert_eq!(gateway.confirm(&won.id(), &format!("pay-{sub}"), 1).await.status, 200);
    won
}

/// A tap is sold the sale that there is now, at its price, or nothing yet.
async fn sells(gateway: &Gateway, sub: &str, price: u64) -> Reply {
    let won = eventually("a tap wins", || async {
        let answer = gateway.reserve(sub, "k", &white()).await;
        match (answer.status, answer.problem()) {
            (201, _) => Some(answer),
            // Or it was not found yet.
            (503, "temporary-reduced-capacity") | (404, "sale-not-found") => None,
            _ => panic!("{} {}", answer.status, answer.text),
        }
    })
    .await;
    at_price(won, price)
}

fn at_price(reply: Reply, price: u64) -> Reply {
    assert_eq!(reply.json["price"]["total"], price, "{}", reply.text);
    reply
}

async fn shows(gateway: &Gateway, name: &str) {
    eventually("the page is of this sale", || async {
        (gateway.get(PAGE).await.json["name"] == name).then_some(())
    })
    .await;
}

async fn has_no_fault(gateways: &[&Gateway]) {
    for gateway in gateways {
        assert!(!fault(gateway).await);
        assert_eq!(gateway.ops_get("/readyz").await.status, 200);
    }
}

fn state(redis: &Redis, field: &str) -> Option<String> {
    redis.run(&format!("HGET lg:{{small}}:state {field}"))
}

#[tokio::test]
async fn a_sale_that_is_applied_at_once_after_a_purge_is_another_at_every_gateway() {
    let redis = Redis::start();
    let (one, other) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    let mut incarnations = Vec::new();
    for round in 0..6_u64 {
        let (rehearsal, real) = (named("Rehearsal", 100 + round), named("The day", 5_000 + round));
        open(&one, &rehearsal).await;
        shows(&other, "Rehearsal").await;
        // Buyers with used keys.
        let before = at_price(bought(&other, "alice").await, 100 + round);
        at_price(bought(&one, "bob").await, 100 + round);
        let [etag, etag_there] = [&one, &other].map(|gateway| gateway.get(PAGE));
        let (etag, etag_there) = (etag.await, etag_there.await);
        incarnations.extend(state(&redis, "incarnation"));
        purge(&redis, &one, &format!("rehearsal-{round}")).await;

        let applied = apply(&one, &real).await;
        assert_eq!((applied.status, &applied.json["outcome"]), (200, &json!("created")), "{}", applied.text);
        assert_eq!(one.get(PAGE).await.json["name"], "The day", "what was answered is served");
        // The closed earlier sale refuses no new buyer either.
        sells(&other, "new", 5_000 + round).await;
        let again = sells(&other, "alice", 5_000 + round).await;
        assert_eq!((again.id(), &again.json["number"]), (before.id(), &json!(2)));
        sells(&one, "bob", 5_000 + round).await;
        shows(&other, "The day").await;
        assert_eq!(redis.run::<Option<String>>("HGET lg:purged small"), None);
        for (gateway, before) in [(&one, &etag), (&other, &etag_there)] {
            assert_ne!(gateway.get(PAGE).await.header("etag"), before.header("etag"));
            let id = again.id();
            let seen =
                at_price(gateway.get_as("alice", &format!("{PAGE}/reservations/{id}")).await, 5_000 + round);
            assert_eq!(seen.json["state"], "held", "this one is not paid");
        }
        has_no_fault(&[&one, &other]).await;
        let audit = balanced(&one).await;
        assert_eq!(audit["reservations"]["held"], 3, "{audit}");
        for sub in ["new", "alice", "bob"] {
            let list = one.get_as(sub, &format!("{PAGE}/reservations")).await;
            let id = list.json["reservations"][0]["id"].as_str().unwrap().to_owned();
            assert_eq!(one.confirm(&id, "pay", 1).await.status, 200);
        }
        incarnations.extend(state(&redis, "incarnation"));
        purge(&redis, &other, &format!("day-{round}")).await;
    }
    let mut different = incarnations.clone();
    different.dedup();
    assert_eq!(different.len(), 12, "{incarnations:?}");
    assert!(different.is_sorted(), "a later one is larger: {different:?}");
}

#[tokio::test]
async fn a_gateway_that_was_away_never_sells_the_old_catalogue_though_the_new_sequence_has_passed_the_old_one()
 {
    let redis = Redis::start();
    let (one, away) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    let mut old = with(named("Rehearsal", 100), "/package/0/stock", json!(1));
    open(&one, &old).await;
    shows(&away, "Rehearsal").await;
    let old_buyer = bought(&away, "old").await;
    away.signal(Signal::STOP);
    purge(&redis, &one, "rehearsal").await;
    // Other prices, another limit, and the same revision.
    old = with(named("The day", 5_000), "/package/0/stock", json!(2));
    open(&one, &old).await;
    let with_cover = json!({"model": "white", "packages": ["cover"], "store": "gz-1"});
    assert_eq!(one.reserve("first", "k", &with_cover).await.status, 201);
    assert_eq!(one.reserve("second", "k", &with_cover).await.status, 201);
    for n in 0..20 {
        at_price(reserve_until_answered(&one, &format!("buyer-{n}"), "k", &white()).await, 5_000);
    }
    away.signal(Signal::CONT);

    sells(&away, "late", 5_000).await;
    let gone = reserve_until_answered(&away, "later", "k", &with_cover).await;
    assert_eq!(gone.problem(), "sold-out", "{}", gone.text);
    let path = format!("{PAGE}/reservations/{}", old_buyer.id());
    eventually("what was of the old sale is not there", || async {
        let reply = away.get_as("old", &path).await;
        assert!(matches!(reply.status, 404 | 503), "{}", reply.text);
        (reply.status == 404).then_some(())
    })
    .await;
    shows(&away, "The day").await;
    has_no_fault(&[&one, &away]).await;
    let audit = balanced(&away).await;
    assert!(audit["items"].as_array().unwrap().iter().all(|item| item["free"].as_i64().unwrap_or(0) >= 0));
}

#[tokio::test]
async fn a_sale_with_deleted_keys_is_lost_until_it_is_applied_again() {
    let redis = Redis::start();
    let (one, other) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    open(&one, &named("Rehearsal", 100)).await;
    shows(&other, "Rehearsal").await;
    let before = bought(&other, "alice").await;
    let keys: Vec<String> = redis.run("KEYS lg:{small}:*");
    redis.run::<i64>(&format!("DEL {}", keys.join(" ")));
    for gateway in [&one, &other] {
        eventually("it is lost", || async { fault(gateway).await.then_some(()) }).await;
    }
    assert!(alarm(&redis, "acknowledged changes are gone").await.contains("sequence"));
    assert_eq!(one.reserve("bob", "k", &white()).await.status, 503);

    let applied = apply(&one, &named("The day", 5_000)).await;
    assert_eq!(applied.json["outcome"], "created", "{}", applied.text);
    assert_eq!(one.get(PAGE).await.json["name"], "The day");
    let after = sells(&other, "alice", 5_000).await;
    assert_eq!((after.id(), &after.json["number"]), (before.id(), &json!(1)));
    for gateway in [&one, &other] {
        eventually("the alarm is over", || async { (!fault(gateway).await).then_some(()) }).await;
    }
    balanced(&other).await;
}

#[tokio::test]
async fn an_older_export_over_a_purged_sale_is_a_sale_of_its_own() {
    let redis = Redis::start();
    let (one, other) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    open(&one, &small()).await;
    known(&other, "small").await;
    bought(&one, "alice").await;
    let older = export(&redis, "older");
    let bob = bought(&other, "bob").await;
    bought(&other, "carol").await;
    let last = purge(&redis, &one, "last").await;
    let of_before = |path: &str| std::fs::read_to_string(path).unwrap().lines().nth(1).unwrap().to_owned();

    done(&sale(&redis, &["import", &older]));
    // It is open, and at a sequence that both have long left behind them.
    for gateway in [&one, &other] {
        eventually("it is found", || async {
            (gateway.get(PAGE).await.json["phase"] == "open").then_some(())
        })
        .await;
    }
    let again = sells(&other, "bob", 4_999_900).await;
    assert_eq!((again.id(), &again.json["number"]), (bob.id(), &json!(2)), "{}", again.text);
    let alice = sells_again(&one, "alice").await;
    assert_eq!(alice.json["state"], "confirmed");
    assert_eq!(journal(&one).await.len() as u64, balanced(&other).await["sequence"].as_u64().unwrap());
    has_no_fault(&[&one, &other]).await;

    // The export of the sale before proves nothing of this one, be it as it was.
    let incarnation = state(&redis, "incarnation").unwrap();
    assert!(!of_before(&older).contains(&incarnation) && !of_before(&last).contains(&incarnation));
    let refused = sale(&redis, &["purge", "small", "--export", &older, "--confirm", "small"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("another one of that name"), "{refused:?}");
    balanced(&one).await;
}

/// A replay, once the gateway has found the sale.
async fn sells_again(gateway: &Gateway, sub: &str) -> Reply {
    eventually("the replay is answered", || async {
        let answer = gateway.reserve(sub, "k", &white()).await;
        match (answer.status, answer.problem()) {
            (200, _) => Some(answer),
            (503, "temporary-reduced-capacity") => None,
            _ => panic!("{} {}", answer.status, answer.text),
        }
    })
    .await
}

#[tokio::test]
async fn changes_of_an_earlier_sale_of_the_same_name_are_never_replayed() {
    let mut redis = Redis::start();
    let (one, away) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    open(&one, &named("Rehearsal", 100)).await;
    shows(&away, "Rehearsal").await;
    for sub in ["a", "b", "c"] {
        bought(&away, sub).await;
    }
    away.signal(Signal::STOP);
    purge(&redis, &one, "rehearsal").await;
    open(&one, &named("The day", 5_000)).await;
    at_price(reserve_until_answered(&one, "first", "k", &white()).await, 5_000);
    let before = journal(&one).await;
    redis.kill();
    redis.start_again().unwrap();
    away.signal(Signal::CONT);

    // The recovery waits for the one that was away: it speaks of the sale that there is.
    let second = eventually("the sale goes on", || async {
        Some(one.reserve("second", "k", &white()).await).filter(|reply| matches!(reply.status, 200 | 201))
    })
    .await;
    assert_eq!(second.json["number"], 2, "{}", second.text);
    assert_eq!(journal(&one).await[..before.len()], before[..]);
    at_price(reserve_until_answered(&away, "third", "k", &white()).await, 5_000);
    assert_eq!(
        balanced(&away).await["reservations"],
        json!({"held": 3, "confirmed": 0, "cancelled": 0, "expired": 0})
    );
}

#[tokio::test]
async fn a_redis_that_falls_back_to_an_earlier_sale_sells_nothing_and_reports_the_loss() {
    let mut redis = RedisWithLoss(Redis::start());
    let gateway = Gateway::start(&redis.0).await;
    open(&gateway, &named("Rehearsal", 100)).await;
    reserve_until_answered(&gateway, "early", "k", &white()).await;
    let early =
        gateway.get_as("early", &format!("{PAGE}/reservations")).await.json["reservations"][0].clone();
    assert_eq!(gateway.confirm(early["id"].as_str().unwrap(), "pay", 1).await.status, 200);
    redis.save_files();
    eventually("it goes on", || async { (!fault(&gateway).await).then_some(()) }).await;
    reserve_until_answered(&gateway, "early", "k", &white()).await;
    purge(&redis.0, &gateway, "rehearsal").await;
    open(&gateway, &named("The day", 5_000)).await;
    at_price(reserve_until_answered(&gateway, "late", "k", &white()).await, 5_000);
    redis.restart_from_saved();

    let why = alarm(&redis.0, "knows a later incarnation of the sale").await;
    assert!(why.contains("release small --all"), "{why}");
    let tap = gateway.reserve("late", "k", &white()).await;
    assert_eq!((tap.status, tap.problem()), (503, "temporary-reduced-capacity"), "{}", tap.text);
    // One that starts now finds the same: it does not take the ledger as it is.
    let started = Gateway::start(&redis.0).await;
    eventually("the other reports it, too", || async {
        let live = started.ops_get("/admin/v1/live?frames=1").await;
        let last: Value = serde_json::from_str(live.text.lines().last()?).unwrap();
        last["alarms"].to_string().contains("knows a later incarnation").then_some(())
    })
    .await;
    assert_eq!(started.reserve("late", "k", &white()).await.status, 503);
}

#[tokio::test]
async fn a_ledger_of_the_first_format_gets_the_same_incarnation_at_each_upgrade() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let won = reserve_until_answered(&gateway, "alice", "k", &white()).await;
    drop(gateway);
    let mut found = Vec::new();
    for _ in 0..2 {
        redis.run::<i64>("HDEL lg:{small}:state incarnation format");
        let gateway = Gateway::start(&redis).await;
        let again = sells_again(&gateway, "alice").await;
        assert_eq!(again.id(), won.id());
        eventually("it is of this format", || async { (state(&redis, "format")? == "2").then_some(()) })
            .await;
        found.push(state(&redis, "incarnation").unwrap());
        assert_eq!(gateway.action("pause", &json!({})).await.status, 200);
        balanced(&gateway).await;
    }
    assert_eq!((found[0].len(), &found[0]), (32, &found[1]));
}

#[tokio::test]
async fn what_ops_are_answered_is_what_the_same_gateway_serves() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    for n in 0..30 {
        let id = format!("sale-{n}");
        let applied = apply(&gateway, &with(small(), "/sale/id", json!(id))).await;
        assert_eq!(applied.status, 200, "{}", applied.text);
        let page = gateway.get(&format!("/v1/sales/{id}")).await;
        assert_eq!((page.status, &page.json["phase"]), (200, &json!("open")), "{}", page.text);
        assert_eq!(gateway.ops_get(&format!("/admin/v1/sales/{id}")).await.status, 200);
    }
    open(&gateway, &small()).await;
    let page = async || gateway.get(PAGE).await.json;
    for n in 0..20 {
        let name = format!("Name {n}");
        assert_eq!(apply(&gateway, &with(small(), "/sale/name", json!(name))).await.status, 200);
        assert_eq!(page().await["name"], name);
        for (action, phase) in [("pause", "paused"), ("pause", "paused"), ("resume", "open")] {
            assert_eq!(gateway.action(action, &json!({})).await.status, 200);
            assert_eq!(page().await["phase"], phase);
        }
    }
    let restock = json!({"item": "model:white", "total": 0, "was": 60});
    assert_eq!(gateway.ops(Method::POST, "/admin/v1/sales/small/restock", &restock).await.status, 200);
    assert_eq!(page().await["models"][0]["availability"], "sold_out");
    assert_eq!(gateway.action("close", &json!({})).await.status, 200);
    assert_eq!(page().await["phase"], "closed");
}
