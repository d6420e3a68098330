//! Unit tests of `respond.rs`.

use super::*;

#[test]
fn waits_are_at_least_as_long_as_asked_and_at_most_an_hour() {
    const HOUR: u64 = RETRY_AFTER_MS_MAX;
    for (least, spread, from, to) in [
        (0, 200, 0, 200),
        (1_000, 500, 1_000, 1_500),
        (HOUR - 100, 5_000, HOUR - 100, HOUR),
        (HOUR, 250, HOUR, HOUR),
        (HOUR + 1, 250, HOUR / 4 * 3, HOUR),
        // 63 days: more than a timer of 32 bits holds.
        (63 * 24 * HOUR, 250, HOUR / 4 * 3, HOUR),
        (u64::MAX, u64::MAX, HOUR / 4 * 3, HOUR),
    ] {
        let waits: Vec<u64> = (0..200).map(|_| wait_ms(least, spread)).collect();
        assert!(waits.iter().all(|wait| (from..=to).contains(wait)), "{least}: {waits:?}");
        let differ = waits.iter().any(|wait| *wait != waits[0]);
        assert_eq!(differ, from < to, "{least}: with jitter");
    }
}
