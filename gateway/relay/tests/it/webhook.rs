//! Tests webhooks against a real receiver, with a clock that the test moves.

mod fork;
mod launch;
mod operator;
mod receiver;
mod stage;
mod trouble;
mod usage;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;

use receiver::Reaction;
use relay::sink::{Sink, SinkError};
use serde_json::json;
use stage::{SALE, Stage};
use testkit::eventually;

/// The names of so many reservations, each of them so many times: all first changes, then all second ones, …
fn rounds(reservations: usize, changes: usize) -> Vec<String> {
    (0..changes).flat_map(|_| (0..reservations).map(|n| format!("r{n}"))).collect()
}

/// The ids of these changes per reservation, as a feed that begins with them has them.
fn ids(reservations: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (sequence, reservation) in (1..).zip(reservations) {
        ids.entry(reservation.clone()).or_default().push(format!("{SALE}/{sequence}/1/x"));
    }
    ids
}

#[tokio::test]
async fn every_change_arrives_signed_and_in_order() {
    let mut stage = Stage::set().await;
    let changes = rounds(30, 4);
    stage.deliver(changes.iter().map(String::as_str)).await;
    stage.webhooks().settle().await.unwrap();
    assert_eq!(stage.receiver.order(), ids(&changes));
    let arrival = &stage.receiver.arrivals()[0];
    assert_eq!(
        (&*arrival.content_type, &arrival.body["type"]),
        ("application/json", &json!("reservation.confirmed"))
    );
    assert_eq!(arrival.body["timestamp"], arrival.body["data"]["at"]);
    assert_eq!(stage.webhooks().position().await.unwrap().as_deref(), Some("120-0/1~x"));
    assert_eq!((stage.status.delivered.load(SeqCst), stage.status.lag_changes()), (120, 0));
    assert!(stage.receiver.connections() <= 4, "connections are used again");
}

#[tokio::test]
async fn requests_are_sent_side_by_side_up_to_the_limit() {
    let mut stage = Stage::set().await;
    stage.receiver.react(|_| Reaction::Hold);
    let changes = rounds(9, 2);
    stage.deliver(changes.iter().map(String::as_str)).await;
    stage.until("as many as allowed are in flight", |rest| rest.in_flight == 4).await;
    eventually("they have arrived", async || (stage.receiver.open_max() == 4).then_some(())).await;
    stage.receiver.open_gate();
    stage.webhooks().settle().await.unwrap();
    assert_eq!((stage.receiver.open_max(), stage.receiver.order()), (4, ids(&changes)));
}

#[tokio::test]
async fn nothing_is_sent_without_the_lease() {
    let mut stage = Stage::set().await;
    stage.status.has_lease.store(false, SeqCst);
    stage.deliver(["a"]).await;
    assert_eq!((stage.rest().await.waiting, stage.receiver.arrivals().len()), (1, 0));
    assert_eq!((stage.status.lag_changes(), stage.status.lag_ms()), (0, 0), "another relay delivers it");
    stage.receiver.react(|_| Reaction::Answer(500));
    stage.status.has_lease.store(true, SeqCst);
    stage.until("it is parked", |rest| rest.wakes_at.is_some() && rest.in_flight == 0).await;
    assert_eq!((stage.status.parked.load(SeqCst), stage.status.lag_changes()), (1, 1));
    stage.status.has_lease.store(false, SeqCst);
    stage.rest().await;
    assert_eq!((stage.status.parked.load(SeqCst), stage.status.lag_changes()), (0, 0));
    stage.receiver.react(|_| Reaction::Answer(200));
    stage.clock.advance(std::time::Duration::from_secs(60));
    stage.status.has_lease.store(true, SeqCst);
    stage.webhooks().settle().await.unwrap();
}

#[tokio::test]
async fn secrets_are_rotated_while_webhooks_are_sent() {
    let mut stage = Stage::set().await;
    let new = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    stage.deliver(["a"]).await;
    stage.webhooks().settle().await.unwrap();
    std::fs::write(stage.secret_file(), format!("{new}\n{}\n", receiver::SECRET)).unwrap();
    // The receiver knows the old secret: no webhook is refused while both sign.
    let mut signatures = 1;
    while signatures < 2 {
        stage.deliver(["a"]).await;
        stage.webhooks().settle().await.unwrap();
        signatures = stage.receiver.arrivals().last().unwrap().signatures.split(' ').count();
        tokio::task::yield_now().await;
    }
    stage.receiver.set_secret(new);
    stage.deliver(["a"]).await;
    stage.webhooks().settle().await.unwrap();
    std::fs::write(stage.secret_file(), new).unwrap();
    while signatures == 2 {
        stage.deliver(["a"]).await;
        stage.webhooks().settle().await.unwrap();
        signatures = stage.receiver.arrivals().last().unwrap().signatures.split(' ').count();
    }
}

#[tokio::test]
async fn the_folder_refuses_a_second_relay_and_an_outdated_fence() {
    let mut stage = Stage::set().await;
    let second = relay::webhook::outbox::Outbox::open(&stage.state_dir(), SALE, "orders");
    assert!(second.unwrap_err().to_string().contains("another relay uses it"));
    let change = stage::change(1, "a", "x");
    let page = relay::change::Page { cursor: change.cursor.clone(), changes: vec![change] };
    stage.webhooks().deliver(&page, 8).await.unwrap();
    assert_eq!(stage.webhooks().deliver(&page, 7).await, Err(SinkError::Superseded));
}

#[tokio::test]
async fn an_outbox_that_cannot_be_written_does_not_keep_the_program_from_its_end() {
    let mut stage = Stage::set().await;
    stage.rest().await;
    let beside = rusqlite::Connection::open(stage.state_dir().join("outbox.sqlite")).unwrap();
    beside.execute_batch("ALTER TABLE queues RENAME TO away").unwrap();
    tokio::time::timeout(testkit::PATIENCE, stage.webhooks().close()).await.unwrap();
}
