//! Unit tests of `buckets.rs`.

use super::*;

const SECOND: u64 = 1_000_000_000;

/// Takes from a bucket until it is full `for_ns` after `now`; returns when it was full before that.
fn take(buckets: &Buckets, key: u64, now: u64, for_ns: u64) -> Option<u64> {
    let done: Result<_, ()> = buckets
        .at(Nanos::new(now))
        .measure_and_replace(&key, |before| Ok((before.map(Nanos::as_u64), Nanos::new(now + for_ns))));
    done.unwrap_or_default()
}

/// Keys that all belong to the one set of a table of one set.
fn keys() -> impl Iterator<Item = u64> {
    (1..).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[test]
fn a_set_is_two_cache_lines() {
    assert_eq!(size_of::<Set>(), 128);
    let room = Buckets::with_room_for(1_000_000);
    assert_eq!(room.bytes(), 18_285_824, "17.4 MiB, as stated in docs/rate-limiting.md");
}

#[test]
fn old_keys_keep_their_bucket_and_new_keys_share_one() {
    let buckets = Buckets::with_room_for(OWN);
    let old: Vec<u64> = keys().take(OWN).collect();
    old.iter().for_each(|key| assert_eq!(take(&buckets, *key, SECOND, SECOND), None));
    let new: Vec<u64> = keys().skip(OWN).take(2).collect();
    assert_eq!(take(&buckets, new[0], SECOND + 1, SECOND), None);
    assert_eq!(take(&buckets, new[1], SECOND + 2, SECOND), Some(2 * SECOND + 1), "set by the other new key");
    for key in old {
        assert_eq!(take(&buckets, key, SECOND + 3, SECOND), Some(2 * SECOND));
    }
}

#[test]
fn a_full_bucket_is_reused() {
    let buckets = Buckets::with_room_for(OWN);
    let many: Vec<u64> = keys().take(10_000).collect();
    for (n, key) in many.iter().enumerate() {
        let now = SECOND * (n as u64 + 1);
        assert_eq!(take(&buckets, *key, now, SECOND), None, "no key has to share");
    }
}

#[test]
fn a_look_changes_no_bucket() {
    let buckets = Buckets::with_room_for(OWN);
    let look = |now| -> Result<_, ()> {
        let look = buckets.look_at(Nanos::new(now));
        look.measure_and_replace(&7, |before| Ok((before.is_some(), Nanos::new(now + SECOND))))
    };
    assert_eq!((look(1), look(2)), (Ok(false), Ok(false)));
    take(&buckets, 7, 3, SECOND);
    assert_eq!(look(4), Ok(true));
}
