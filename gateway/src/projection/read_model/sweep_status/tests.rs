//! Unit tests of `sweep_status.rs`.

use super::*;

#[test]
fn holds_are_overdue_once_the_sale_clock_reaches_them() {
    let sweep_status = SweepStatus::default();
    sweep_status.note_tick(1_000);
    assert_eq!(sweep_status.overdue(), (Duration::ZERO, 0));
    sweep_status.note_swept(Some((3_000, 7)));
    assert_eq!(sweep_status.overdue(), (Duration::ZERO, 0));
    sweep_status.note_tick(3_250);
    assert_eq!(sweep_status.overdue(), (Duration::from_millis(250), 7));
    sweep_status.note_swept(None);
    assert_eq!(sweep_status.overdue(), (Duration::ZERO, 0));
}

#[test]
fn the_lag_is_the_time_since_the_last_success() {
    let sweep_status = SweepStatus::default();
    let later = sweep_status.since + Duration::from_secs(5);
    assert_eq!(sweep_status.lag(later), Duration::from_secs(5));
    sweep_status.progress.lock().unwrap().last_success = Some(sweep_status.since + Duration::from_secs(3));
    assert_eq!(sweep_status.lag(later), Duration::from_secs(2));
}
