//! Unit tests of `signed_up.rs`.

use super::*;

#[test]
fn only_redis_knows_of_a_buyer_who_has_withdrawn() {
    let buyers = SignedUpBuyers::default();
    assert_eq!(buyers.status(1), SignUpStatus::NotSignedUp);
    buyers.add([(1, true), (2, true), (2, false), (3, false)]);
    let statuses = || [1, 2, 3, 4].map(|mark| buyers.status(mark));
    use SignUpStatus::{NotSignedUp, SignedUp, Unknown};
    assert_eq!(statuses(), [SignedUp, Unknown, NotSignedUp, NotSignedUp]);
    // Signed up again, or another buyer of this mark.
    buyers.add([(2, true), (3, true)]);
    assert_eq!(statuses(), [SignedUp, Unknown, Unknown, NotSignedUp]);
}
