//! Unit tests of `terminal.rs`.

use super::*;

#[test]
fn a_time_has_the_local_one_beside_it_where_that_differs() {
    const OPENING: i64 = 1_794_225_600_000;
    let utc = "2026-11-09T12:00:00.000Z";
    assert_eq!(time_in(OPENING, TimeZone::UTC), utc);
    let zone = |hours| TimeZone::fixed(jiff::tz::offset(hours));
    assert_eq!(time_in(OPENING, zone(8)), format!("{utc} (2026-11-09 20:00:00 +08:00)"));
    assert_eq!(time_in(OPENING, zone(-5)), format!("{utc} (2026-11-09 07:00:00 -05:00)"));
}

#[test]
fn only_standard_output_may_lose_its_reader() {
    let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
    assert!(matches!(unwritten(gone()), CommandError::ReaderGone));
    // Of a dialogue: nothing was asked, so nothing is done, and that is a failure.
    assert!(matches!(CommandError::from(gone()), CommandError::Outside(_)));
    assert!(matches!(unwritten(io::Error::other("full")), CommandError::Outside(_)));
}
