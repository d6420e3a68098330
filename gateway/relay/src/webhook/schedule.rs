//! Decides when a webhook that failed is sent again, and when it has failed for good.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::webhook::clock::millis;

/// So often a webhook is sent before it is a dead letter: for about a day, see the test.
pub(crate) const ATTEMPTS_MAX: u32 = 60;
/// The longest wait before the second attempt; it doubles with each failure.
const DELAY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait, whatever `Retry-After` asks for.
pub(crate) const DELAY_MAX: Duration = Duration::from_secs(3600);

/// The wait after so many failed attempts: exponential, with full jitter, so that what failed
/// together does not come back together. `random` is from 0 to 1.
pub(crate) fn delay(attempts: u32, random: f64) -> Duration {
    longest(DELAY_FIRST, DELAY_MAX, attempts).mul_f64(random.clamp(0.0, 1.0))
}

/// `first`, doubled with each failure after the first, at most `max`.
pub(super) fn longest(first: Duration, max: Duration, failures: u32) -> Duration {
    let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(max)
}

/// The wait that a `Retry-After` asks for, in seconds or as a date, bounded.
pub(crate) fn retry_after(value: &str, now: i64) -> Option<Duration> {
    let value = value.trim();
    let asked = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at: Timestamp = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
            Duration::from_millis(u64::try_from(at.as_millisecond() - now).unwrap_or(0))
        }
    };
    Some(asked.min(DELAY_MAX))
}

/// When to send again after so many failed attempts; `None`: never, it is a dead letter.
pub(crate) fn next_attempt(attempts: u32, asked: Option<Duration>, now: i64, random: f64) -> Option<i64> {
    let wait = delay(attempts, random).max(asked.unwrap_or_default());
    (attempts < ATTEMPTS_MAX).then(|| now + millis(wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_an_hour_and_is_jittered_in_full() {
        let longest: Vec<u64> = (1..=14).map(|attempts| delay(attempts, 1.0).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
        assert_eq!(delay(3, 0.5), Duration::from_secs(2));
        assert_eq!(delay(9, 0.0), Duration::ZERO);
        assert_eq!(delay(u32::MAX, 1.0), DELAY_MAX);
    }

    #[test]
    fn all_attempts_take_about_a_day() {
        let mean: Duration = (1..ATTEMPTS_MAX).map(|attempts| delay(attempts, 0.5)).sum();
        assert!((23..=26).contains(&(mean.as_secs() / 3600)), "{mean:?}");
        assert_eq!(next_attempt(ATTEMPTS_MAX, None, 0, 0.5), None);
        assert_eq!(next_attempt(ATTEMPTS_MAX - 1, None, 7, 0.5), Some(7 + 1_800_000));
    }

    #[test]
    fn retry_after_is_honoured_and_bounded() {
        let now = "2026-11-30T00:00:00Z".parse::<Timestamp>().unwrap().as_millisecond();
        let cases = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("86400", Some(3600)),
            ("Mon, 30 Nov 2026 00:02:00 GMT", Some(120)),
            ("Sun, 29 Nov 2026 00:02:00 GMT", Some(0)),
            ("Tue, 01 Dec 2026 00:02:00 GMT", Some(3600)),
            ("99999999999999999999", None),
            ("-1", None),
            ("soon", None),
            ("", None),
        ];
        for (value, expected) in cases {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(next_attempt(1, Some(Duration::from_secs(30)), 1000, 1.0), Some(31_000));
        assert_eq!(next_attempt(13, Some(Duration::from_secs(30)), 1000, 1.0), Some(3_601_000));
    }
}
