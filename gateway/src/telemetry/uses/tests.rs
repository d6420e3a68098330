//! Unit tests of `uses.rs`.

use super::*;

#[test]
fn a_user_is_stalled_until_it_works_and_has_the_reason_of_its_last_failure() {
    let (long, of_user) = (Duration::from_secs(3_600), RedisUse::new());
    assert_eq!(of_user.stalled(long), Some(Stalled { since: None, reason: None }));
    of_user.connected();
    of_user.failed("READONLY");
    let stalled = of_user.stalled(long);
    assert_eq!(stalled, Some(Stalled { since: None, reason: Some("READONLY".to_owned()) }));
    of_user.worked();
    assert!(of_user.stalled(long).is_none() && of_user.is_up());
}
