//! Unit tests of `seconds.rs`: what a long run keeps.

use super::*;
use crate::figures::TimeLine;

const SECOND: i64 = 1_000_000;

/// So many seconds with requests of very different durations in each.
fn line(seconds: i64) -> TimeLine<Second> {
    let mut line = TimeLine::<Second>::default();
    for second in 0..seconds {
        for n in 0..50 {
            let took = Duration::from_micros(100 << (n % 16));
            line.slot(second * SECOND).answered(took, AnswerClass::Decided);
        }
    }
    line
}

#[test]
fn a_second_that_is_over_takes_little_and_keeps_its_quantiles() {
    let line = line(500);
    let over: Vec<&Second> = line.slots.values().take(498).collect();
    assert!(over.iter().all(|second| second.latency.bytes() <= 250), "{}", over[0].latency.bytes());
    let (first, last) = (over[0], line.slots.values().next_back().unwrap());
    for quantile in [0.5, 0.99, 1.0] {
        assert_eq!(first.latency_at(quantile), last.latency_at(quantile));
    }
    assert!(last.latency.bytes() > 1_000, "the present one is open");
}

#[test]
fn packed_seconds_are_written_read_and_added() {
    let mut line = line(5);
    let text = serde_json::to_string(&line).unwrap();
    let read: TimeLine<Second> = serde_json::from_str(&text).unwrap();
    line.add(&read);
    let (sum, one) = (&line.slots[&0], &read.slots[&0]);
    assert_eq!((sum.answered, one.answered), (100, 50));
    assert_eq!(sum.latency_at(0.99), one.latency_at(0.99));
    assert_eq!(sum.latency.whole().count(), 100);
}

#[test]
fn a_late_one_counts_in_a_second_that_is_packed() {
    let mut line = line(10);
    line.slot(0).lost(Duration::from_secs(60));
    let second = &line.slots[&0];
    assert_eq!((second.lost, second.latency.whole().count()), (1, 51));
    assert!(second.latency_at(1.0) > Some(Duration::from_secs(59)));
}
