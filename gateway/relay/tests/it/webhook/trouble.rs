//! Receivers that fail: one reservation, all of them, for an hour, slowly, or after they have taken a webhook.

use std::time::Duration;

use relay::sink::Sink;
use testkit::eventually;

use super::receiver::Reaction;
use super::stage::Stage;
use super::{ids, rounds};

const DAYS: Duration = Duration::from_secs(3 * 24 * 3600);

#[tokio::test]
async fn none_is_lost_and_none_reordered_whatever_fails() {
    let mut stage = Stage::set().await;
    // Each webhook fails in some way, up to four times; the way is drawn from its id.
    stage.receiver.react(|arrival| {
        let drawn = arrival.id.bytes().fold(7_usize, |sum, byte| sum * 31 % 1009 + usize::from(byte));
        match (drawn + arrival.before * 3) % 7 {
            _ if arrival.before >= drawn % 5 => Reaction::Answer(200),
            0 | 1 => Reaction::Drop,
            2 => Reaction::Later(503, "2"),
            3 => Reaction::Answer(404),
            4 => Reaction::Redirect,
            5 => Reaction::Endless,
            _ => Reaction::Answer(500),
        }
    });
    let changes = rounds(40, 4);
    for page in changes.chunks(50) {
        stage.deliver(page.iter().map(String::as_str)).await;
        stage.rest().await;
    }
    let rest = stage.pass(DAYS).await;
    assert_eq!((rest.waiting, stage.receiver.order()), (0, ids(&changes)));
    let arrivals = stage.receiver.arrivals().len();
    assert!(arrivals > 2 * changes.len(), "they failed: {arrivals}");
}

#[tokio::test]
async fn a_reservation_that_fails_parks_no_other() {
    let mut stage = Stage::set().await;
    stage.receiver.react(|arrival| Reaction::Answer(if arrival.reservation() == "bad" { 500 } else { 200 }));
    stage.deliver(["bad", "bad"]).await;
    let changes = rounds(100, 2);
    stage.deliver(changes.iter().map(String::as_str)).await;
    let rest = stage.rest().await;
    assert_eq!((rest.waiting, rest.is_open), (2, false), "only its own two wait, at an unmoved clock");
    assert_eq!(
        (stage.status.parked.load(std::sync::atomic::Ordering::SeqCst), stage.receiver.times("car/1/1/x")),
        (1, 1)
    );
    assert_eq!(stage.receiver.times("car/2/1/x"), 0, "it waits behind the first");
    assert_eq!(stage.status.lag_ms(), 0, "what is parked has a metric of its own");
}

#[tokio::test]
async fn many_that_are_refused_hold_up_nothing() {
    let mut stage = Stage::set().await;
    stage.receiver.react(|arrival| Reaction::Answer(if arrival.sequence() <= 60 { 422 } else { 200 }));
    let changes = rounds(160, 1);
    stage.deliver(changes.iter().map(String::as_str)).await;
    let rest = stage.rest().await;
    assert_eq!((rest.waiting, rest.is_open), (60, false), "at an unmoved clock");
}

#[tokio::test]
async fn many_that_fail_as_if_the_receiver_were_down_hold_up_the_others_for_minutes_at_most() {
    let mut stage = Stage::set().await;
    stage.receiver.react(|arrival| Reaction::Answer(if arrival.sequence() <= 60 { 500 } else { 200 }));
    let changes = rounds(160, 1);
    stage.deliver(changes.iter().map(String::as_str)).await;
    let latest = stage.clock.now() + 20 * 60_000;
    while stage.pass(Duration::from_secs(1)).await.waiting > 60 {
        assert!(stage.clock.now() < latest);
    }
}

#[tokio::test]
async fn a_receiver_that_is_down_for_an_hour_is_not_hammered_and_then_catches_up() {
    let mut stage = Stage::set().await;
    stage.receiver.set_away(true);
    let changes = rounds(300, 2);
    stage.deliver(changes[..300].iter().map(String::as_str)).await;
    let rest = stage.pass(Duration::from_secs(1800)).await;
    assert!(rest.is_open);
    stage.deliver(changes[300..].iter().map(String::as_str)).await;
    let rest = stage.pass(Duration::from_secs(1800)).await;
    assert_eq!((rest.waiting, stage.receiver.arrivals().len()), (600, 0));
    let attempts = stage.receiver.connections();
    assert!((30..200).contains(&attempts), "{attempts} attempts in an hour");

    stage.receiver.set_away(false);
    let rest = stage.pass(Duration::from_secs(3600)).await;
    assert_eq!((rest.waiting, rest.is_open, stage.receiver.order()), (0, false, ids(&changes)));
    assert_eq!(stage.receiver.arrivals().len(), changes.len(), "none twice");
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_pause_gets_it() {
    let mut stage = Stage::set().await;
    stage.receiver.react(|_| Reaction::Later(429, "20"));
    stage.deliver(["a"]).await;
    assert!(stage.rest().await.is_open);
    stage.receiver.react(|_| Reaction::Answer(200));
    stage.deliver(["b", "c"]).await;
    stage.clock.advance(Duration::from_millis(19_999));
    assert_eq!((stage.rest().await.waiting, stage.receiver.arrivals().len()), (3, 1));
    stage.clock.advance(Duration::from_millis(1));
    assert_eq!((stage.rest().await.waiting, stage.receiver.arrivals().len()), (0, 4));
}

#[tokio::test]
async fn a_slow_receiver_gets_the_same_webhook_again() {
    let mut stage = Stage::set().await;
    stage.timeout = Duration::from_secs(1);
    stage.start().await;
    stage.receiver.react(|arrival| if arrival.before == 0 { Reaction::Stall } else { Reaction::Answer(200) });
    stage.deliver(["a", "a"]).await;
    let rest = stage.pass(Duration::from_secs(600)).await;
    assert_eq!(
        (rest.waiting, &stage.receiver.order()["a"][..]),
        (0, &["car/1/1/x".to_owned(), "car/2/1/x".to_owned()][..])
    );
    assert!(stage.receiver.times("car/1/1/x") >= 2 && stage.receiver.times("car/2/1/x") >= 2);
}

#[tokio::test]
async fn a_relay_that_is_killed_again_and_again_loses_nothing() {
    let mut stage = Stage::set().await;
    stage.receiver.react(|arrival| match (arrival.before, arrival.sequence() % 3) {
        (0, 0) => Reaction::Drop,
        _ => Reaction::Answer(200),
    });
    let changes = rounds(20, 5);
    for page in changes.chunks(10) {
        let arrived = stage.receiver.arrivals().len();
        stage.deliver(page.iter().map(String::as_str)).await;
        stage.clock.advance(Duration::from_secs(60));
        let arrives = async || (stage.receiver.arrivals().len() > arrived).then_some(());
        eventually("the first of a page arrives", arrives).await;
        stage.start().await;
    }
    let rest = stage.pass(DAYS).await;
    assert_eq!((rest.waiting, stage.receiver.order()), (0, ids(&changes)));
    assert_eq!(stage.webhooks().position().await.unwrap().as_deref(), Some("100-0/1~x"));
}
