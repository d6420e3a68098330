//! Too much at once: what is turned away, what waits, and what goes first.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{join, join_all, select, select_all};
use serde_json::Value;
use testkit::check::refused;
use testkit::definition::open;
use testkit::eventually;
use testkit::gateway::{Gateway, send};
use testkit::link::{Fault, Link};
use testkit::redis::Redis;

use crate::faults::callers::{far, stock};
use crate::faults::link::{PATIENT, still_waits};
use crate::launch::spike::{balanced, wins};

/// A gateway of one worker behind a link, with a sale of so many white cars, one of which alice holds.
async fn behind(proxy: &Link, options: &[&str], white: u64) -> (Gateway, String) {
    let gateway = Gateway::start_at(proxy.url(), &[PATIENT, options].concat()).await;
    open(&gateway, &stock(white)).await;
    let held = wins(&gateway, "alice", "k", &far()).await;
    (gateway, held.id())
}

/// Checks the gateway's counts of shed requests by reason.
async fn counted(gateway: &Gateway, reasons: &[&str]) -> f64 {
    let samples = gateway.metrics().await;
    let answered = samples.sum("requests_total", &[("outcome", "temporary-reduced-capacity")]);
    assert_eq!(samples.sum("shed_total", &[]), answered);
    let of = |reason| samples.of(&format!("shed_total{{reason=\"{reason}\"}}"));
    let shed: f64 = reasons.iter().map(of).sum();
    assert_eq!(shed, answered);
    shed
}

/// Waits until Redis has decided so many reservations.
async fn decided(redis: &Redis, number: u64) {
    eventually("Redis decides", || async {
        (redis.run::<u64>("HGET lg:{small}:state number") == number).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_tap_that_waits_too_long_is_not_sent_and_the_one_before_it_is_not_lost() {
    let redis = Redis::start();
    let proxy = Link::to(&redis);
    let (gateway, _) = behind(&proxy, &["--queue-delay-max-ms", "50"], 5).await;
    proxy.set(Fault::StallAnswers);
    let body = far();
    let mut sent = pin!(gateway.reserve("bob", "k", &body));
    tokio::select! {
        early = &mut sent => panic!("{}", early.text),
        () = decided(&redis, 2) => {}
    }
    // They queue behind the first batch, and are shed while it still waits for its answer.
    let turned_away = join_all((0..20).map(|n| {
        let (gateway, body) = (&gateway, &body);
        async move { gateway.reserve(&format!("late-{n}"), "k", body).await }
    }));
    let turned_away = tokio::select! {
        early = &mut sent => panic!("{}", early.text),
        turned_away = turned_away => turned_away,
    };
    for reply in turned_away {
        refused(&reply, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
        assert_ne!(reply.header("retry-after"), "");
    }
    proxy.set(Fault::None);
    let won = sent.await;
    assert_eq!(won.status, 201, "{}", won.text);
    // On a slow machine some come when the first has waited for half of its time.
    assert_eq!(counted(&gateway, &["deadline", "delay"]).await, 20.0);
    // They were certainly not taken.
    let audit = balanced(&gateway).await;
    assert_eq!(audit["reservations"]["held"], 2, "{audit}");
    wins(&gateway, "late-0", "k", &far()).await;
}

#[tokio::test]
async fn a_tap_with_a_predicted_wait_over_the_limit_is_refused_at_once() {
    let redis = Redis::start();
    let proxy = Link::to(&redis);
    // Half a minute is the longest accepted wait.
    let (gateway, _) = behind(&proxy, &["--batch-max", "1", "--queue-delay-max-ms", "60000"], 200).await;
    let body = far();
    // Three batches of at least a second: by then the average is more than half a second.
    for n in 0..3 {
        proxy.set(Fault::StallAnswers);
        let buyer = format!("slow-{n}");
        let slow = gateway.reserve(&buyer, "k", &body);
        let (reply, ()) = join(slow, async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            proxy.set(Fault::None);
        })
        .await;
        assert_eq!(reply.status, 201, "{}", reply.text);
    }
    proxy.set(Fault::StallRequests);
    let tap = |n| tokio::spawn(send(gateway.tap(&format!("b-{n}"), "k", &body)));
    let taps: Vec<_> = (0..100).map(tap).collect();
    let (shed, samples) = eventually("every tap waits or is shed", || async {
        let samples = gateway.metrics().await;
        let shed = samples.of("shed_total{reason=\"delay\"}");
        (shed + samples.of("requests_in_flight") == 100.0).then_some((shed, samples))
    })
    .await;
    // Behind the batch in flight at most 52 batches of 0.58 s, the present average, fit into half a
    // minute; fewer if the machine slowed them down.
    let in_flight = samples.of("requests_in_flight");
    assert!((1.0..=53.0).contains(&in_flight), "{in_flight}");
    assert_eq!(samples.of("taps_waiting"), in_flight - 1.0);
    proxy.set(Fault::None);
    let replies = join_all(taps).await.into_iter().map(Result::unwrap);
    let (refusals, replies): (Vec<_>, Vec<_>) = replies.partition(|reply| reply.status == 503);
    for reply in &refusals {
        refused(reply, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
    }
    assert!(refusals.len() as f64 >= shed, "{} {shed}", refusals.len());
    let won = replies.iter().filter(|reply| reply.status == 201).count();
    assert!(won > 0, "no request was admitted");
    let audit = balanced(&gateway).await;
    assert_eq!(audit["reservations"]["held"], 4 + won, "{audit}");
}

#[tokio::test]
async fn requests_in_flight_are_capped_and_payments_and_pages_still_get_through() {
    let redis = Redis::start();
    let proxy = Link::to(&redis);
    let options = ["--in-flight-max", "10"];
    let (gateway, held) = behind(&proxy, &options, 100).await;
    proxy.set(Fault::StallRequests);
    let body = far();
    let taps = (0..30).map(|n| {
        let (gateway, body) = (&gateway, &body);
        Box::pin(async move { gateway.reserve(&format!("b-{n}"), "k", body).await })
    });
    let mut waiting: Vec<_> = taps.collect();
    // Nine are admitted; the others are shed at once.
    let mut shed = 0;
    while waiting.len() > 9 {
        let (reply, _, rest) = select_all(waiting).await;
        refused(&reply, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
        shed += 1;
        waiting = rest;
    }
    assert_eq!(shed, 21);
    // The page needs no permit, and one permit is reserved for payments.
    assert_eq!(gateway.get("/v1/sales/small").await.status, 200);
    let mut paid = pin!(gateway.confirm(&held, "pay-1", 1));
    still_waits(&gateway, &mut paid).await;
    let full = gateway.confirm(&held, "pay-1", 1).await;
    refused(&full, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
    assert_eq!(counted(&gateway, &["in-flight"]).await, 22.0);
    let samples = gateway.metrics().await;
    assert_eq!((samples.of("requests_in_flight"), samples.of("requests_in_flight_max")), (10.0, 10.0));
    proxy.set(Fault::None);
    let paid = paid.await;
    assert_eq!((paid.status, &paid.json["state"]), (200, &Value::from("confirmed")), "{}", paid.text);
    assert!(join_all(waiting).await.iter().all(|reply| reply.status == 201));
    let audit = balanced(&gateway).await;
    assert_eq!(audit["reservations"]["held"], 9, "{audit}");
}

#[tokio::test]
async fn a_confirm_goes_before_queued_taps() {
    let redis = Redis::start();
    let proxy = Link::to(&redis);
    let options = ["--batch-max", "1"];
    let (gateway, held) = behind(&proxy, &options, 100).await;
    proxy.set(Fault::StallRequests);
    let body = far();
    let taps = join_all((0..10).map(|n| {
        let (gateway, body) = (&gateway, &body);
        async move { gateway.reserve(&format!("b-{n}"), "k", body).await }
    }));
    let mut taps = pin!(taps);
    // They are here, and wait, when the payment comes.
    still_waits(&gateway, &mut taps).await;
    let mut paid = pin!(gateway.confirm(&held, "pay-1", 1));
    still_waits(&gateway, select(&mut taps, &mut paid)).await;
    proxy.set(Fault::None);
    assert_eq!(paid.await.status, 200);
    assert!(taps.await.iter().all(|reply| reply.status == 201));
    // One batch was on its way when the payment came.
    let journal = gateway.ops_get("/admin/v1/sales/small/journal").await;
    let kinds: Vec<Value> = journal.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = kinds.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    let before = kinds
        .iter()
        .skip_while(|kind| **kind != "reserve")
        .skip(1)
        .take_while(|kind| **kind == "reserve")
        .count();
    assert_eq!(before, 1, "{kinds:?}");
    balanced(&gateway).await;
}
