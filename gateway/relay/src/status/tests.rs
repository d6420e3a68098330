use std::sync::atomic::Ordering::Relaxed;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Cause, Status};

fn status() -> Status {
    Status::new("small", "orders", "postgres")
}

fn ago(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp::now() - SignedDuration::from_secs(seconds))
}

#[test]
fn the_lag_is_the_age_of_the_oldest_change_and_nothing_when_caught_up() {
    let status = status();
    assert_eq!((status.lag_ms(), status.lag_changes()), (0, 0));
    status.set_unread(7, ago(60));
    assert!(status.lag_ms() >= 60_000 && status.lag_changes() == 7, "{status:?}");
    status.set_undelivered(3, ago(3600));
    assert!(status.lag_ms() >= 3_600_000 && status.lag_changes() == 10, "{status:?}");
    status.set_undelivered(0, None);
    status.set_unread(0, None);
    assert_eq!((status.lag_ms(), status.lag_changes()), (0, 0));
}

#[test]
fn a_feed_that_cannot_be_read_is_a_lag_from_then_on() {
    let status = status();
    status.set_unread(0, ago(60));
    status.set_cut_off();
    assert!(status.lag_ms() >= 60_000, "what was older stays");
    status.set_unread(0, None);
    status.set_cut_off();
    assert!(status.lag_ms() < 60_000);
}

#[test]
fn what_is_there_and_not_handed_out_yet_is_a_lag_until_it_is() {
    let status = status();
    status.set_unreadable(4);
    assert_eq!(status.lag_changes(), 4);
    status.set_unread(3, ago(60));
    status.set_unreadable(2);
    assert!(status.lag_ms() >= 60_000, "what was known of its age stays");
    status.set_unreadable(0);
    assert_eq!((status.lag_ms(), status.lag_changes()), (0, 0));
}

#[test]
fn the_lease_shows_what_doctor_reads() {
    let status = status();
    status.delivered.store(9, Relaxed);
    status.parked.store(2, Relaxed);
    let expected = json!({"sink": "postgres", "lag_ms": 0, "delivered": 9, "parked": 2, "dead": 0});
    assert_eq!(status.of_lease(), expected);
}

#[test]
fn every_cause_is_there_before_it_happens() {
    let status = status();
    assert_eq!(status.failures().len(), Cause::ALL.len());
    status.count_failure(Cause::Sink);
    status.count_failure(Cause::Sink);
    assert_eq!(status.failures()[&Cause::Sink], 2);
}
