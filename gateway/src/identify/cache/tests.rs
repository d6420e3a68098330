//! Unit tests of `cache.rs`.

use super::*;

const NOW: u64 = 1_000;

fn put(cache: &mut Cache, token: &str, exp_s: u64, generation: u64) {
    cache.get(token.as_bytes(), generation);
    cache.put(token.as_bytes(), Verified::for_test(token, exp_s), generation, NOW);
}

fn finds(cache: &mut Cache, token: &str, generation: u64) -> bool {
    match cache.get(token.as_bytes(), generation) {
        Some(found) => {
            assert_eq!(&**found.caller.sub(), token, "found another token");
            true
        }
        None => false,
    }
}

#[test]
fn it_never_holds_more_than_its_capacity() {
    let mut cache = Cache::new(64);
    for i in 0..10_000 {
        put(&mut cache, &format!("token-{i}"), NOW + 60, 1);
    }
    assert_eq!(cache.len(), 64);
    assert!(finds(&mut cache, "token-9999", 1));
    assert!(!finds(&mut cache, "token-0", 1));
}

#[test]
fn a_capacity_that_is_not_a_multiple_of_a_row_is_not_exceeded() {
    for (asked, most) in [(1, 8), (7, 8), (9, 8), (100, 96)] {
        let mut cache = Cache::new(asked);
        for i in 0..1_000 {
            put(&mut cache, &format!("token-{i}"), NOW + 60, 1);
        }
        assert!(cache.len() <= most, "{asked}: {}", cache.len());
    }
}

#[test]
fn a_cache_without_capacity_stores_nothing() {
    let mut cache = Cache::new(0);
    put(&mut cache, "token", NOW + 60, 1);
    assert!(!finds(&mut cache, "token", 1));
}

#[test]
fn tokens_with_the_same_end_are_distinguished() {
    let mut cache = Cache::new(8);
    let end = "s".repeat(HASHED_BYTES_MAX);
    let (a, b) = (format!("a{end}"), format!("b{end}"));
    put(&mut cache, &a, NOW + 60, 1);
    assert!(!finds(&mut cache, &b, 1));
    put(&mut cache, &b, NOW + 60, 1);
    assert!(finds(&mut cache, &a, 1));
    assert!(finds(&mut cache, &b, 1));
}

#[test]
fn another_generation_of_keys_finds_nothing_and_reuses_the_slots() {
    let mut cache = Cache::new(8);
    for i in 0..8 {
        put(&mut cache, &format!("token-{i}"), NOW + 60, 1);
    }
    assert!(!finds(&mut cache, "token-3", 2));
    for i in 0..8 {
        put(&mut cache, &format!("token-{i}"), NOW + 60, 2);
    }
    for i in 0..8 {
        assert!(finds(&mut cache, &format!("token-{i}"), 2), "{i} was pushed out by a stale one");
    }
    assert_eq!(cache.len(), 8);
}

#[test]
fn expired_tokens_go_first_then_the_one_used_longest_ago() {
    let mut cache = Cache::new(8);
    for i in 0..7 {
        put(&mut cache, &format!("token-{i}"), NOW + 60, 1);
    }
    put(&mut cache, "over", NOW - 60, 1);
    put(&mut cache, "new", NOW + 60, 1);
    assert!(!finds(&mut cache, "over", 1));
    assert!(finds(&mut cache, "token-0", 1));
    put(&mut cache, "newer", NOW + 60, 1);
    assert!(finds(&mut cache, "token-0", 1), "it had just been used");
    assert!(!finds(&mut cache, "token-1", 1));
}
