//! Unit tests of `traffic.rs`: what counts as a stall of the server, and what as a queue of this process.

use super::*;

const BOUND: Duration = Duration::from_millis(250);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Looks every 10 ms between these milliseconds.
fn look(traffic: &Traffic, start: Instant, from: u64, to: u64) {
    (from..to).step_by(10).for_each(|at| traffic.look(start + ms(at), Duration::ZERO, BOUND));
}

#[test]
fn a_server_that_answers_nothing_is_stalled() {
    let (traffic, start) = (Traffic::default(), Instant::now());
    let between = |from, to| traffic.stalled_between(start + ms(from), start + ms(to));
    look(&traffic, start, 0, 1_000);
    assert_eq!(between(0, 1_000), Duration::ZERO, "nothing was in flight");
    let flight = traffic.send();
    look(&traffic, start, 1_000, 1_240);
    assert_eq!(between(0, 2_000), Duration::ZERO, "not for long enough");
    look(&traffic, start, 1_240, 2_000);
    assert_eq!(between(0, 2_000), ms(1_000), "from the last look without a request in flight on");
    assert_eq!((between(1_500, 1_600), between(1_990, 3_000)), (ms(100), Duration::ZERO));
    flight.answered();
    look(&traffic, start, 2_000, 2_200);
    assert_eq!(between(0, 3_000), ms(1_000), "it is over");
    drop(flight);
    assert_eq!(traffic.in_flight(), 0);
}

#[test]
fn a_server_that_answers_slowly_is_not_stalled() {
    let (traffic, start) = (Traffic::default(), Instant::now());
    let flight = traffic.send();
    for round in 0..20 {
        look(&traffic, start, round * 200, round * 200 + 200);
        flight.answered();
    }
    assert_eq!(traffic.stalled_between(start, start + ms(10_000)), Duration::ZERO);
}

#[test]
fn a_process_that_was_asleep_knows_nothing_of_the_server() {
    let (traffic, start) = (Traffic::default(), Instant::now());
    let _flight = traffic.send();
    look(&traffic, start, 0, 100);
    traffic.look(start + ms(3_000), ms(2_900), BOUND);
    assert_eq!(traffic.stalled_between(start, start + ms(3_000)), Duration::ZERO);
}

#[test]
fn only_long_waits_for_a_connection_are_counted() {
    let traffic = Traffic::default();
    traffic.allow_waits(ms(20));
    traffic.connected(None);
    traffic.connected(Some(Instant::now()));
    let long_ago = Instant::now().checked_sub(ms(100)).unwrap();
    traffic.connected(Some(long_ago));
    let health = traffic.add_to(Health::default());
    assert_eq!((health.requests, health.requests_queued), (3, 1));
    assert!(health.queued_max_ms >= 100.0);
    // The same wait while the server answered nothing.
    let stalled = Traffic::default();
    stalled.allow_waits(ms(20));
    let _flight = stalled.send();
    for at in 0..40 {
        stalled.look(long_ago.checked_sub(ms(300)).unwrap() + ms(at * 10), Duration::ZERO, BOUND);
    }
    stalled.look(Instant::now(), Duration::ZERO, BOUND);
    stalled.connected(Some(long_ago));
    assert_eq!(stalled.add_to(Health::default()).requests_queued, 0);
}
