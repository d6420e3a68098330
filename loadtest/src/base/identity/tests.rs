//! Unit tests of `identity.rs`.

use super::*;

#[test]
fn ids_are_short_and_differ() {
    let ids: Vec<String> = (0..1000).map(|_| new_run_id()).collect();
    assert!(ids.iter().all(|id| id.len() == LENGTH && id.bytes().all(|letter| LETTERS.contains(&letter))));
    let different: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(different.len(), ids.len());
}
