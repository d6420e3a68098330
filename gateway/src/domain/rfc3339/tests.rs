//! Unit tests of `rfc3339.rs`.

use super::*;

#[test]
fn times_have_milliseconds() {
    assert_eq!(rfc3339(1_700_000_000_120), "2023-11-14T22:13:20.120Z");
    let days = [0, 951_782_400_000, 1_735_603_200_000, -86_400_000, 4_102_444_800_000];
    let times = [0, 1, 999, 1_000, 59_999, 3_599_999, 43_200_000, 86_399_999];
    for ms in days.iter().flat_map(|day| times.map(|time| day + time)) {
        let time = Timestamp::from_millisecond(ms).unwrap();
        assert_eq!(rfc3339(ms), format!("{time:.3}"));
    }
    assert_eq!(rfc3339(i64::MIN), "0000-01-01T00:00:00.000Z");
    assert_eq!(rfc3339(i64::MAX), "9999-12-30T22:00:00.000Z");
}
