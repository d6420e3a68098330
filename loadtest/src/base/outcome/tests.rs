//! Unit tests of `outcome.rs`.

use super::*;

#[test]
fn names_are_those_that_are_written() {
    for outcome in Outcome::ALL {
        assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
        assert_eq!(Outcome::named(outcome.name()), Some(outcome));
    }
    assert_eq!(Outcome::named("lost"), None);
}
