//! Unit tests of `incarnation.rs`.

use super::*;

#[test]
fn incarnations_differ_and_a_later_one_is_larger() {
    let (first, second) = (incarnation_at(1_700_000_000_000_000), incarnation_at(1_700_000_000_000_000));
    assert_ne!(first, second);
    assert!(first.len() == 32 && first.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
    assert!(incarnation_at(1_700_000_000_000_001) > first.max(second));
    assert_eq!(ledger_identity("run", "incarnation"), "run incarnation");
}
