//! Unit tests of `self_checks.rs`.

use super::*;

#[test]
fn a_clock_that_is_off_is_a_warning_and_beyond_the_leeway_a_fault() {
    let now = Instant::now();
    for (seconds, error_s, level) in [
        (0.9, 0.0, None),
        (1.1, 0.2, None),
        (1.1, 0.0, Some(Level::Warning)),
        (-1.1, 0.0, Some(Level::Warning)),
        (5.2, 0.3, Some(Level::Warning)),
        (5.2, 0.1, Some(Level::Fault)),
        (-10.0, 0.1, Some(Level::Fault)),
    ] {
        let checks = SelfChecks { leeway_s: 5, ..SelfChecks::default() };
        checks.clock.note(Offset { seconds, error_s, at: now });
        let alarms = checks.alarms(now);
        assert_eq!(alarms.first().map(|alarm| alarm.level), level, "{seconds} s");
        if let Some(alarm) = alarms.first() {
            let side = if seconds > 0.0 { "s behind" } else { "s ahead of" };
            assert!(alarm.text.contains(side), "{}", alarm.text);
        }
        assert_eq!(checks.alarms(now + READING_AGE_MAX), [], "the reading is too old");
    }
}
