//! Too much at once: what is turned away, what waits, and what goes first.

use std::pin::pin;
use std::time::Duration;

use crate::faults::{far, stock};
use crate::faults_link::{PATIENT, still_waits};
use crate::harness::check::refused;
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::proxy::{Link, Proxy};
use crate::harness::redis::Redis;
use crate::harness::sale::open;
use crate::spike::{balanced, told};
use futures_util::future::{join, join_all, select, select_all};
use serde_json::Value;

/// A gateway of one worker behind a link, with a sale of so many white cars, one of which alice holds.
async fn behind(proxy: &Proxy, options: &[&str], white: u64) -> (Gateway, String) {
    let gateway = Gateway::start_at(proxy.url(), &[PATIENT, options].concat()).await;
    open(&gateway, &stock(white)).await;
    let held = told(&gateway, "alice", "k", &far()).await;
    assert_eq!(held.status, 201, "{}", held.text);
    (gateway, held.id())
}

/// How many the gateway says it has turned away for these reasons, and for no others.
async fn counted(gateway: &Gateway, reasons: &[&str]) -> f64 {
    let samples = gateway.metrics().await;
    let told = samples.sum("requests_total", &[("outcome", "temporary-reduced-capacity")]);
    assert_eq!(samples.sum("shed_total", &[]), told);
    let of = |reason| samples.of(&format!("shed_total{{reason=\"{reason}\"}}"));
    let shed: f64 = reasons.iter().map(of).sum();
    assert_eq!(shed, told);
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
    let proxy = Proxy::start(&redis).await;
    let (gateway, _) = behind(&proxy, &["--queue-delay-max-ms", "50"], 5).await;
    proxy.set(Link::StallAnswers);
    let body = far();
    let mut sent = pin!(gateway.reserve("bob", "k", &body));
    tokio::select! {
        early = &mut sent => panic!("{}", early.text),
        () = decided(&redis, 2) => {}
    }
    // They wait behind his batch, and are told while he still waits for his answer.
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
    proxy.set(Link::Pass);
    let won = sent.await;
    assert_eq!(won.status, 201, "{}", won.text);
    // On a slow machine some come when the first has waited for half of its time.
    assert_eq!(counted(&gateway, &["deadline", "delay"]).await, 20.0);
    // They were certainly not taken.
    let audit = balanced(&gateway).await;
    assert_eq!(audit["reservations"]["held"], 2, "{audit}");
    assert_eq!(told(&gateway, "late-0", "k", &far()).await.status, 201);
}

#[tokio::test]
async fn a_tap_with_a_predicted_wait_over_the_limit_is_refused_at_once() {
    let redis = Redis::start();
    let proxy = Proxy::start(&redis).await;
    // Half a minute is what anybody may expect to wait for.
    let (gateway, _) = behind(&proxy, &["--batch-max", "1", "--queue-delay-max-ms", "60000"], 200).await;
    let body = far();
    // Three batches of at least a second: by then the average is more than half a second.
    for n in 0..3 {
        proxy.set(Link::StallAnswers);
        let buyer = format!("slow-{n}");
        let slow = gateway.reserve(&buyer, "k", &body);
        let (reply, ()) = join(slow, async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            proxy.set(Link::Pass);
        })
        .await;
        assert_eq!(reply.status, 201, "{}", reply.text);
    }
    proxy.set(Link::StallRequests);
    let taps = (0..100).map(|n| {
        let (gateway, body) = (&gateway, &body);
        Box::pin(async move { gateway.reserve(&format!("b-{n}"), "k", body).await })
    });
    let mut waiting: Vec<_> = taps.collect();
    // One is on its way, and before the last of 53 there are 52 batches. All others are told while nothing moves.
    while waiting.len() > 53 {
        let (reply, _, rest) = select_all(waiting).await;
        refused(&reply, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
        waiting = rest;
    }
    assert_eq!(counted(&gateway, &["delay"]).await, 47.0);
    let samples = gateway.metrics().await;
    assert_eq!((samples.of("taps_waiting"), samples.of("requests_in_flight")), (52.0, 53.0));
    proxy.set(Link::Pass);
    let replies = join_all(waiting).await;
    let won = replies.iter().filter(|reply| reply.status == 201).count();
    assert!(won > 0, "nobody was let in");
    let audit = balanced(&gateway).await;
    assert_eq!(audit["reservations"]["held"], 4 + won, "{audit}");
}

#[tokio::test]
async fn requests_in_flight_are_capped_and_payments_and_pages_still_get_through() {
    let redis = Redis::start();
    let proxy = Proxy::start(&redis).await;
    let options = ["--in-flight-max", "10"];
    let (gateway, held) = behind(&proxy, &options, 100).await;
    proxy.set(Link::StallRequests);
    let body = far();
    let taps = (0..30).map(|n| {
        let (gateway, body) = (&gateway, &body);
        Box::pin(async move { gateway.reserve(&format!("b-{n}"), "k", body).await })
    });
    let mut waiting: Vec<_> = taps.collect();
    // Nine are let in; the others are told at once.
    let mut shed = 0;
    while waiting.len() > 9 {
        let (reply, _, rest) = select_all(waiting).await;
        refused(&reply, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
        shed += 1;
        waiting = rest;
    }
    assert_eq!(shed, 21);
    // The page needs no place, and there is one left for who pays.
    assert_eq!(gateway.get("/v1/sales/small").await.status, 200);
    let mut paid = pin!(gateway.confirm(&held, "pay-1", 1));
    still_waits(&gateway, &mut paid).await;
    let full = gateway.confirm(&held, "pay-1", 1).await;
    refused(&full, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
    assert_eq!(counted(&gateway, &["in-flight"]).await, 22.0);
    let samples = gateway.metrics().await;
    assert_eq!((samples.of("requests_in_flight"), samples.of("requests_in_flight_max")), (10.0, 10.0));
    proxy.set(Link::Pass);
    let paid = paid.await;
    assert_eq!((paid.status, &paid.json["state"]), (200, &Value::from("confirmed")), "{}", paid.text);
    assert!(join_all(waiting).await.iter().all(|reply| reply.status == 201));
    let audit = balanced(&gateway).await;
    assert_eq!(audit["reservations"]["held"], 9, "{audit}");
}

#[tokio::test]
async fn a_confirm_goes_before_queued_taps() {
    let redis = Redis::start();
    let proxy = Proxy::start(&redis).await;
    let options = ["--batch-max", "1"];
    let (gateway, held) = behind(&proxy, &options, 100).await;
    proxy.set(Link::StallRequests);
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
    proxy.set(Link::Pass);
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
