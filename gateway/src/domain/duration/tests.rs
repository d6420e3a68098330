//! Unit tests of `duration.rs`. Those of definitions are in `definition/rules/tests.rs`.

use super::*;

#[test]
fn options_take_whole_seconds_above_zero() {
    for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3_600), ("2d", 172_800)] {
        assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
    }
    let most = format!("{}s", u64::MAX);
    assert_eq!(duration(&most), Ok(Duration::from_secs(u64::MAX)));
    for bad in ["", "15", "0s", "1500ms", "-1s", "1.5h", "9999999999999999d", "1 m"] {
        assert_eq!(duration(bad), Err(format!("{bad:?} is not a valid duration like 90s, 15m or 1h")));
    }
}
