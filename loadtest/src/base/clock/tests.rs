//! Unit tests of `clock.rs`.

use super::*;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_shortest_round_trip_decides() {
    let start = Instant::now();
    let ms = Duration::from_millis;
    let slow = RoundTrip { sent: start, received: start + ms(80), server_time: time("2026-11-09T12:00:09Z") };
    let quick = RoundTrip {
        sent: start + ms(100),
        received: start + ms(104),
        server_time: time("2026-11-09T12:00:00Z"),
    };
    let clock = ServerClock::estimate(&[slow, quick]).unwrap();
    assert_eq!(clock.error, ms(3));
    assert_eq!(clock.at(start + ms(102)), time("2026-11-09T12:00:00Z"));
    assert_eq!(clock.at(start + ms(1102)), time("2026-11-09T12:00:01Z"));
    assert_eq!(clock.at(start + ms(2)), time("2026-11-09T11:59:59.9Z"));
}

#[test]
fn instants_and_times_convert_both_ways() {
    let start = Instant::now() + Duration::from_secs(100);
    let trip = RoundTrip { sent: start, received: start, server_time: time("2026-11-09T12:00:00Z") };
    let clock = ServerClock::estimate(&[trip]).unwrap();
    for opening in ["2026-11-09T12:00:30.5Z", "2026-11-09T11:59:59Z"] {
        assert_eq!(clock.at(clock.instant_of(time(opening))), time(opening));
    }
    // A sale that opened long before this machine was switched on.
    let _ = clock.instant_of(time("1970-01-01T00:00:00Z"));
}

#[test]
fn a_clock_needs_a_round_trip() {
    assert!(ServerClock::estimate(&[]).is_none());
}

#[test]
fn instants_on_both_sides_of_another_are_distinguished() {
    let opening = Instant::now() + Duration::from_secs(100);
    let away = Duration::from_secs(3);
    for (instant, seconds) in [(opening + away, 3), (opening - away, -3)] {
        assert_eq!(between(opening, instant), SignedDuration::from_secs(seconds));
        assert_eq!(after(opening, SignedDuration::from_secs(seconds)), instant);
    }
}
