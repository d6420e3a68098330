//! After a fork: what was lost is taken back, newest first, then the new history follows.

use std::sync::atomic::Ordering::SeqCst;

use relay::sink::Sink;
use serde_json::json;

use super::receiver::Reaction;
use super::stage::{Stage, change};

#[tokio::test]
async fn what_the_ledger_lost_is_rescinded_and_then_its_new_history_follows() {
    let mut stage = Stage::set().await;
    stage.deliver(["a", "b", "a", "b", "a"]).await;
    stage.webhooks().settle().await.unwrap();
    // The gateway's common cursor is before the fork: what both histories have is known.
    let new = [change(2, "b", "x"), change(3, "a", "x"), change(4, "c", "new")];
    assert_eq!(stage.webhooks().last_known(&new).await.unwrap(), Some(1));
    stage.webhooks().rescind("3-0/1~x", 1).await.unwrap();
    stage.go_back_to(3);
    stage.deliver(["a", "b", "c"]).await;
    stage.webhooks().settle().await.unwrap();
    let order = stage.receiver.order();
    let taken_back = |id: &str| format!("{id}/rescinded/{}", stage.clock.now());
    assert_eq!(order["a"], ["car/1/1/x", "car/3/1/x", "car/5/1/x", &taken_back("car/5/1/x"), "car/4/1/new"]);
    assert_eq!(order["b"], ["car/2/1/x", "car/4/1/x", &taken_back("car/4/1/x"), "car/5/1/new"]);
    assert_eq!(order["c"], ["car/6/1/new"]);
    let arrivals = stage.receiver.arrivals();
    let rescinded = arrivals.iter().find(|arrival| arrival.id == taken_back("car/4/1/x")).unwrap();
    assert_eq!(
        (&rescinded.body["type"], &rescinded.body["rescinds"]),
        (&json!("reservation.rescinded"), &json!("car/4/1/x"))
    );
    assert_eq!(rescinded.body["data"], change(4, "b", "x").line);
    assert_eq!((stage.status.delivered.load(SeqCst), stage.status.rescinded.load(SeqCst)), (8, 2));
}

#[tokio::test]
async fn what_is_in_flight_at_the_fork_is_answered_before_it_is_taken_back() {
    let mut stage = Stage::set().await;
    stage
        .receiver
        .react(|arrival| if arrival.id == "car/2/1/x" { Reaction::Hold } else { Reaction::Answer(200) });
    stage.deliver(["a", "a", "a"]).await;
    stage.until("the second one is in flight", |rest| rest.in_flight == 1 && rest.waiting == 2).await;
    stage.webhooks().rescind("1-0/1~x", 1).await.unwrap();
    stage.go_back_to(1);
    stage.deliver(["a", "b"]).await;
    stage.until("another reservation goes on", |rest| rest.waiting == 2).await;
    let now = stage.clock.now();
    let taken_back = |id: &str| format!("{id}/rescinded/{now}");
    assert_eq!(stage.receiver.times(&taken_back("car/2/1/x")), 0);
    stage.receiver.open_gate();
    stage.webhooks().settle().await.unwrap();
    assert_eq!(
        stage.receiver.order()["a"],
        ["car/1/1/x", "car/2/1/x", &taken_back("car/2/1/x"), "car/2/1/new"]
    );
    assert_eq!(stage.receiver.times("car/3/1/x"), 0, "what was never sent is not taken back");
}

#[tokio::test]
async fn a_fork_that_is_found_with_a_dead_letter_frees_its_reservation() {
    let mut stage = Stage::set().await;
    stage.receiver.react(|arrival| Reaction::Answer(if arrival.id == "car/1/1/x" { 500 } else { 200 }));
    stage.deliver(["a", "a"]).await;
    stage.pass(std::time::Duration::from_secs(5 * 24 * 3600)).await;
    assert_eq!(stage.status.dead.load(SeqCst), 1);
    let rescinded = format!("car/1/1/x/rescinded/{}", stage.clock.now());
    stage.webhooks().rescind("0-0", 1).await.unwrap();
    stage.go_back_to(0);
    stage.deliver(["a"]).await;
    stage.webhooks().settle().await.unwrap();
    assert_eq!(stage.receiver.order()["a"], ["car/1/1/x", &*rescinded, "car/1/1/new"]);
}
