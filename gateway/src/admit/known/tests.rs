use super::*;

#[test]
fn it_knows_whom_it_has_seen_until_another_takes_the_place() {
    let known = KnownTokens::default();
    assert!(!known.contains(7));
    known.add(7);
    assert!(known.contains(7));
    known.add(7 + TOKENS as u64);
    assert!(known.contains(7 + TOKENS as u64) && !known.contains(7));
}
