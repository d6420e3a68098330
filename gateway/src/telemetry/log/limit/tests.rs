//! Unit tests of `limit.rs`.

use super::*;

#[test]
fn a_call_site_is_limited_per_window_and_counts_dropped_lines() {
    let start = Instant::now();
    let mut site = CallSite::new(start);
    let mut at = |ms, most| site.admit(start + Duration::from_millis(ms), most);
    for ms in [0, 1, 59_998] {
        assert_eq!(at(ms, 3), Some(0));
    }
    assert_eq!((at(59_999, 3), at(59_999, 3)), (None, None));
    assert_eq!(
        (at(60_000, 3), at(60_001, 3), at(60_002, 3), at(60_003, 3)),
        (Some(2), Some(0), Some(0), None)
    );
    assert_eq!((at(119_999, 3), at(120_000, 3)), (None, Some(2)));
}
