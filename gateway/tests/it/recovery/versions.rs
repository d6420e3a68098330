//! Tests gateways of two versions on one ledger: their scripts differ, and so do their hashes.

use futures_util::future::join_all;
use gateway::store::scripts::{REAL_CLOCK, Scripts};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::balanced;
use testkit::definition::open;
use testkit::eventually;
use testkit::gateway::{Gateway, Reply, service_token, token};
use testkit::inside::Inside;
use testkit::redis::Redis;

use crate::faults::callers::{far, stock};
use crate::launch::spike::{reserve_until_answered, wins};
use crate::recovery::failover::{RedisWithLoss, wait_until_recovered};

/// A gateway whose scripts all differ from the shipped ones.
async fn of_another_version(redis: &Redis) -> Inside {
    let clock = format!("{REAL_CLOCK}\n-- as an earlier version had it");
    assert_ne!(Scripts::new(&clock).digest(), Scripts::new(REAL_CLOCK).digest());
    let gateway = Inside::start(redis, &clock).await;
    eventually("it serves the sale", || async { (gateway.phase().await == "open").then_some(()) }).await;
    gateway
}

fn same(one: &Reply, other: &Reply) {
    let shown = |reply: &Reply| (reply.id(), reply.problem().to_owned(), reply.json["number"].clone());
    assert_eq!(shown(one), shown(other), "{} {}", one.text, other.text);
}

#[tokio::test]
async fn gateways_of_two_versions_sell_one_sale_together() {
    let redis = Redis::start();
    let new = Gateway::start(&redis).await;
    open(&new, &stock(20)).await;
    let old = of_another_version(&redis).await;

    // Each buyer taps at one of them, and asks again at the other.
    let taps = join_all((0..60).map(|n| {
        let (new, old) = (&new, &old);
        async move {
            let buyer = format!("buyer-{n}");
            let at_new = async || new.reserve(&buyer, "k", &far()).await;
            let at_old = async || old.reserve(&buyer, "k", &far()).await;
            match n % 2 {
                0 => (at_new().await, at_old().await),
                _ => (at_old().await, at_new().await),
            }
        }
    }))
    .await;
    for (first, again) in &taps {
        assert!(matches!(first.status, 201 | 409), "{}", first.text);
        same(first, again);
    }
    let won: Vec<(String, String)> = taps
        .iter()
        .enumerate()
        .filter(|(_, (first, _))| first.status == 201)
        .map(|(n, (first, _))| (format!("buyer-{n}"), first.id()))
        .collect();
    assert_eq!(won.len(), 20);

    // What one has changed is the other's next version.
    let (buyer, id) = &won[0];
    let moved = old.call(Method::PATCH, token(buyer), id, "", &json!({"store": "gz-1"})).await;
    assert_eq!((moved.status, &moved.json["version"]), (200, &json!(2)), "{}", moved.text);
    assert_eq!(new.confirm(id, "pay", 1).await.problem(), "reservation-changed");
    assert_eq!(new.confirm(id, "pay", 2).await.status, 200);
    let body = json!({"payment": "pay", "version": 2});
    let again = old.call(Method::POST, service_token(), id, "/confirm", &body).await;
    assert_eq!((again.status, &again.json["state"]), (200, &json!("confirmed")), "{}", again.text);
    let (buyer, id) = &won[1];
    assert_eq!(old.call(Method::POST, token(buyer), id, "/cancel", &Value::Null).await.status, 200);
    assert_eq!(
        new.get_as(buyer, &format!("/v1/sales/small/reservations/{id}")).await.json["state"],
        "cancelled"
    );
    balanced(&new).await;
}

#[tokio::test]
async fn gateways_of_two_versions_recover_one_ledger_together() {
    let mut redis = RedisWithLoss(Redis::start());
    let new = Gateway::start(&redis.0).await;
    open(&new, &stock(4)).await;
    let old = of_another_version(&redis.0).await;
    redis.save_files();
    eventually("the new epoch is adopted", || async { (old.phase().await == "open").then_some(()) }).await;
    let by_new = wins(&new, "by-new", "k", &far()).await;
    // The connections that the crash has cut are found out by taps.
    let by_old = eventually("the other version sells, too", || async {
        Some(old.reserve("by-old", "k", &far()).await).filter(|reply| matches!(reply.status, 200 | 201))
    })
    .await;
    redis.restart_from_saved();
    assert_eq!(wait_until_recovered(&new).await["lost"], 0);
    same(&reserve_until_answered(&new, "by-old", "k", &far()).await, &by_old);
    same(&reserve_until_answered(&new, "by-new", "k", &far()).await, &by_new);
    balanced(&new).await;
}
