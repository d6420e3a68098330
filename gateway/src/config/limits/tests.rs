//! Unit tests of `limits.rs`.

use super::*;

#[test]
fn an_age_and_a_number_of_requests_are_read_or_off() {
    assert_eq!(unless_off(age)("off"), Ok(None));
    assert_eq!(unless_off(age)("15m"), Ok(Some(Duration::from_secs(900))));
    assert_eq!(unless_off(requests)("1000"), Ok(Some(1_000)));
    for bad in ["", "0s", "15", "25h", "2d", "Off", "-1s"] {
        assert!(unless_off(age)(bad).is_err(), "{bad:?}");
    }
    for bad in ["", "0", "-1", "1000000001", "1k"] {
        assert!(unless_off(requests)(bad).is_err(), "{bad:?}");
    }
}
