//! Unit tests of `verified.rs`.

use super::*;

#[test]
fn a_token_is_found_until_another_one_evicts_it() {
    let verified = VerifiedTokens::default();
    assert!(!verified.contains(7));
    verified.add(7);
    assert!(verified.contains(7));
    verified.add(7 + TOKENS as u64);
    assert!(verified.contains(7 + TOKENS as u64) && !verified.contains(7));
}
