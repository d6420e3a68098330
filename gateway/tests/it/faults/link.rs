//! Tests a slow, dead or cut link to a healthy Redis.

use std::pin::pin;

use futures_util::future::select;
use serde_json::json;
use testkit::definition::{open, with};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::link::{Fault, Link};
use testkit::redis::Redis;

use crate::faults::callers::{far, stock};
use crate::launch::spike::{Answer, Spike, balanced, changes, ready, reserve_until_answered, wins};

/// One worker that gives nothing up while a test holds the link.
pub const PATIENT: &[&str] =
    &["--workers", "1", "--redis-answer-timeout-ms", "60000", "--tap-deadline-ms", "60000"];

/// Waits until the request was sent and has no answer, while the gateway still answers `/v1/time`.
pub async fn still_waits(gateway: &Gateway, mut call: impl Future + Unpin) {
    for _ in 0..10 {
        tokio::select! {
            _ = &mut call => panic!("it was answered"),
            time = gateway.get("/v1/time") => assert_eq!(time.status, 200),
        }
    }
}

#[tokio::test]
async fn a_tap_that_was_sent_and_not_answered_is_unknown_and_a_retry_finds_it() {
    let redis = Redis::start();
    let proxy = Link::to(&redis);
    let gateway = Gateway::start_at(proxy.url(), &["--redis-answer-timeout-ms", "500"]).await;
    open(&gateway, &stock(5)).await;
    // Both workers' links are known to work, so that the next tap is sent.
    wins(&gateway, "a", "k", &far()).await;
    wins(&gateway, "b", "k", &far()).await;

    proxy.set(Fault::StallAnswers);
    let tap = gateway.reserve("alice", "k", &far()).await;
    assert_eq!((tap.status, tap.problem()), (503, "outcome-unknown"), "{}", tap.text);
    // Redis has decided it.
    let taken: u64 = eventually("Redis decides", || async {
        let taken = redis.run("HGET lg:{small}:state number");
        (taken == 3).then_some(taken)
    })
    .await;
    ready(&gateway, false).await;

    proxy.set(Fault::None);
    let again = reserve_until_answered(&gateway, "alice", "k", &far()).await;
    assert_eq!((again.status, again.json["number"].as_u64()), (200, Some(taken)), "{}", again.text);
    ready(&gateway, true).await;
    let audit = balanced(&gateway).await;
    assert_eq!(audit["reservations"]["held"], 3, "{audit}");
}

#[tokio::test]
async fn a_winner_whose_answer_was_lost_is_not_refused_as_sold_out() {
    let redis = Redis::start();
    let proxy = Link::to(&redis);
    let cut_off = Gateway::start_at(proxy.url(), &["--redis-answer-timeout-ms", "500"]).await;
    open(&cut_off, &stock(1)).await;
    let other = Gateway::start(&redis).await;

    proxy.set(Fault::StallAnswers);
    let tap = cut_off.reserve("alice", "k", &far()).await;
    assert_eq!(tap.problem(), "outcome-unknown", "{}", tap.text);
    // At the other gateway all is sold out, for everybody but her.
    let late = reserve_until_answered(&other, "bob", "k", &far()).await;
    assert_eq!((late.status, late.problem()), (409, "sold-out"));
    let winner = reserve_until_answered(&other, "alice", "k", &far()).await;
    assert_eq!(winner.status, 200, "{}", winner.text);

    // Behind the stalled link no request gets a stale answer; once it is back, all are answered.
    for sub in ["alice", "bob", "carol"] {
        let answer = Answer::of(&cut_off.reserve(sub, "k", &far()).await);
        assert!(
            matches!(answer, Answer::Later(_)) || answer == Answer::No("sold-out".into()) && sub != "alice",
            "{sub}: {answer:?}"
        );
    }
    proxy.set(Fault::None);
    let again = reserve_until_answered(&cut_off, "alice", "k", &far()).await;
    assert_eq!(again.id(), winner.id());
    let late = reserve_until_answered(&cut_off, "carol", "k", &far()).await;
    assert_eq!((late.status, late.problem()), (409, "sold-out"));
    balanced(&cut_off).await;
}

#[tokio::test]
async fn an_answer_that_has_come_does_not_wait_for_the_next_batch() {
    let redis = Redis::start();
    let proxy = Link::to(&redis);
    let gateway = Gateway::start_at(proxy.url(), PATIENT).await;
    open(&gateway, &stock(5)).await;
    wins(&gateway, "a", "k", &far()).await;

    proxy.set(Fault::StallAnswers);
    let body = far();
    let mut alice = pin!(gateway.reserve("alice", "k", &body));
    let decided = eventually("Redis decides", || async {
        (redis.run::<u64>("HGET lg:{small}:state number") == 2).then_some(())
    });
    tokio::select! {
        early = &mut alice => panic!("{}", early.text),
        () = decided => {}
    }
    // The tap queues on the same worker that then answers `/v1/time`.
    let mut bob = pin!(gateway.reserve("bob", "k", &body));
    still_waits(&gateway, select(&mut alice, &mut bob)).await;
    // The answer to alice comes in; the batch with the tap of bob is sent and does not arrive.
    proxy.set(Fault::StallRequests);
    let won = tokio::select! {
        won = &mut alice => won,
        early = &mut bob => panic!("{}", early.text),
    };
    assert_eq!(won.status, 201, "{}", won.text);
    proxy.set(Fault::None);
    let won = bob.await;
    assert_eq!(won.status, 201, "{}", won.text);
    balanced(&gateway).await;
}

#[tokio::test]
async fn connections_that_died_without_a_word_are_replaced() {
    let redis = Redis::start();
    let proxy = Link::to(&redis);
    let gateway = Gateway::start_at(proxy.url(), &["--redis-answer-timeout-ms", "500"]).await;
    open(&gateway, &stock(5)).await;
    // The pool for admin calls has many connections by now.
    futures_util::future::join_all((0..8).map(|_| balanced(&gateway))).await;

    proxy.set(Fault::StallOld);
    let won = reserve_until_answered(&gateway, "alice", "k", &far()).await;
    assert!(matches!(won.status, 200 | 201), "{}", won.text);
    eventually("admin calls are answered", || async {
        let audit = gateway.ops_get("/admin/v1/sales/small/audit").await;
        (audit.status == 200).then_some(())
    })
    .await;
    // The journal consumer reads again, too.
    let renamed = with(stock(5), "/sale/name", json!("Renamed"));
    open(&gateway, &renamed).await;
    eventually("the new name is known", || async {
        let page = gateway.get("/v1/sales/small").await;
        (page.json["name"] == "Renamed").then_some(())
    })
    .await;
    ready(&gateway, true).await;
    balanced(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_cut_in_mid_spike_lose_nothing_and_come_back() {
    let redis = Redis::start();
    let proxy = Link::to(&redis);
    let gateway = Gateway::start_at(proxy.url(), &["--redis-answer-timeout-ms", "500"]).await;
    open(&gateway, &stock(200)).await;

    let spike = Spike::start(&[&gateway], "b", 300, &far());
    for (won, link) in [(20, Fault::Cut), (60, Fault::Stall), (100, Fault::StallAnswers), (140, Fault::Cut)] {
        spike.won(won).await;
        proxy.set(link);
        spike.put_off(24).await;
        proxy.set(Fault::None);
    }
    let outcome = spike.end().await;
    assert_eq!((outcome.winners.len(), outcome.refused.len()), (200, 100));
    ready(&gateway, true).await;
    outcome.reconcile(&gateway).await;
    // The same Redis as before: no epoch had to be adopted.
    assert_eq!(changes(&gateway, "adopt").await, 0);
}
