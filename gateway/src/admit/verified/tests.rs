use super::*;

#[test]
fn a_token_is_found_until_another_one_evicts_it() {
    let known = KnownTokens::default();
    assert!(!known.contains(7));
    known.add(7);
    assert!(known.contains(7));
    known.add(7 + TOKENS as u64);
    assert!(known.contains(7 + TOKENS as u64) && !known.contains(7));
}
