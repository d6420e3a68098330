//! Unit tests of `cursor.rs`.

use proptest::prelude::*;

use super::*;

/// A history: the digests of its entries, from sequence 1.
fn digest(history: u64, sequence: u64) -> u64 {
    use std::hash::Hasher;
    let mut hash = siphasher::sip::SipHasher13::new();
    hash.write(&[history.to_le_bytes(), sequence.to_le_bytes()].concat());
    hash.finish()
}

/// The cursor of a reader that has read up to here, in pages that end where it is told.
fn read_in_pages(digest_at: impl Fn(u64) -> u64, until: u64, mut pages: impl Iterator<Item = u64>) -> Cursor {
    let mut cursor = Cursor::START;
    while cursor.sequence < until {
        // The text is all that a reader keeps.
        let from = Cursor::parse(&cursor.to_string()).unwrap();
        let mut trail = Trail::of(&from);
        let end = (from.sequence + pages.next().unwrap_or(500)).min(until);
        for sequence in from.sequence + 1..=end {
            trail.note(sequence, digest_at(sequence));
        }
        cursor = Cursor { change: 1, ..trail.cursor_at(end, digest_at(end)) };
    }
    cursor
}

#[test]
fn a_cursor_has_a_short_text_and_a_total_order() {
    let long = read_in_pages(|s| digest(1, s), 70_000, std::iter::repeat(7_000));
    assert!(long.to_string().len() < 120, "{long}");
    assert!(positions(u64::MAX).len() == POSITIONS_MAX);
    let parse = |text: &str| Cursor::parse(text).unwrap();
    let (third, whole) = (parse("12-0/3"), parse("12-0"));
    assert!(whole.is_after(&third) && !third.is_after(&whole) && !third.is_after(&third));
    assert!(parse("13-0/1").is_after(&whole) && third.is_after(&Cursor::START));
    assert_eq!(Cursor::START.to_string(), "0-0");
    assert!(Cursor::START.has_history() && long.has_history() && !whole.has_history());
}

/// The contract: found within the newest 10,000 entries.
#[test]
fn a_common_entry_is_named_for_each_number_of_lost_ones_and_at_most_8_times_as_far_back() {
    for until in (12_289..12_289 + 2 * 4_096).step_by(61).chain([40_960, 1 << 32, (1 << 32) - 1]) {
        let named = positions(until);
        assert!(named.len() <= POSITIONS_MAX && named.is_sorted_by(|a, b| a > b), "{named:?}");
        let mut newest = named.iter().peekable();
        for lost in 1..=12_288 {
            while newest.next_if(|at| **at > until - lost).is_some() {}
            // The start is common to all.
            let found = newest.peek().map_or(0, |at| **at);
            assert!(found > 0 || until < 2 * 12_288, "{lost} of {until} lost, and nothing found");
            assert!(until - found <= 8 * lost, "{lost} of {until} lost, found {found}");
        }
    }
}

#[test]
fn a_damaged_cursor_is_refused() {
    let good = read_in_pages(|s| digest(1, s), 4_711, std::iter::repeat(100)).to_string();
    assert_eq!(Cursor::parse(&good).unwrap().to_string(), good);
    let (place, digests) = good.split_once('~').unwrap();
    for bad in [
        "",
        "x",
        "1",
        "-5",
        "1-2-3",
        "1-0/x",
        "1-0/",
        "01-0",
        "+1-0",
        "1-0/18446744073709551615",
        "0-0/1",
        "0-0~AAAAAAAA",
        "99999999999999999999-0",
        "1-0~",
        "1-0~AAAAAAA=",
        "1-0~AAAA",
        &format!("{place}~{}", &digests[..digests.len() - 1]),
        &format!("{place}~{digests}AAAA"),
        // The digests of another sequence.
        &format!("3-0/1~{digests}"),
        &format!("{good} "),
    ] {
        assert!(Cursor::parse(bad).is_err(), "{bad}");
    }
    assert!(Cursor::parse("1-0~AAAAAAAA").is_ok());
}

proptest! {
    /// Each position of a later locator is in the cursor that reading continues from, or was read since.
    #[test]
    fn a_locator_is_complete_whatever_the_pages(until in 1_u64..60_000, pages in prop::collection::vec(1_u64..9_000, 1..40)) {
        let cursor = read_in_pages(|s| digest(1, s), until, pages.into_iter());
        let named: Vec<u64> = cursor.locator().map(|(at, _)| at).collect();
        prop_assert_eq!(named, positions(until));
    }

    /// The last common position is common, and at most 8 times as far back as the last common entry.
    #[test]
    fn the_last_common_entry_is_found(until in 1_u64..60_000, back in 0_u64..20_000, pages in prop::collection::vec(1_u64..9_000, 1..40)) {
        let cursor = read_in_pages(|s| digest(1, s), until, pages.into_iter());
        // The ledger has lost the entries after this one, and has made others.
        let last_common = until.saturating_sub(back + 1);
        let there = |s: u64| digest(if s <= last_common { 1 } else { 2 }, s);
        prop_assert!(!cursor.is_at(there(until)));
        let found = cursor.locator().find(|(at, mark)| *mark == EntryMark::of(there(*at)));
        let found = found.map_or(0, |(at, _)| at);
        prop_assert!(found <= last_common);
        // Beyond the last level a reader may start again.
        if until - last_common <= 12_288 {
            prop_assert!(until - found <= 8 * (until - last_common), "{} of {} from {}", found, last_common, until);
        }
    }

    #[test]
    fn any_text_is_parsed_without_panic_and_stays_the_same(text in "[0-9]{1,4}-0(/[0-9]{1,3})?(~[A-Za-z0-9_-]{8,30})?") {
        if let Ok(cursor) = Cursor::parse(&text) {
            prop_assert_eq!(cursor.to_string(), text);
        }
    }
}
