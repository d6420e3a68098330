//! Tests that packed histories come back to the letter, in their order, and apart by buyer.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::load::history::{Exchange, ExchangesKept};
use crate::plan::selection::Selection;

fn history(buyer: usize, key: usize) -> TapHistory {
    let (buyer, key) = (format!("buyer-{buyer}"), format!("key-{key}"));
    TapHistory::new(buyer, key, Scenario::SOAK, Selection::default())
}

/// With every member that a history can have.
fn full() -> TapHistory {
    let (early, late) = ("2026-11-09T12:00:00.123456789Z", "2026-11-09T12:00:01Z");
    let hold = json!({
        "id": "r1", "number": 7, "version": 2, "state": "held", "model": "车 \"x\"\n", "packages": ["p", "q"],
        "store": "s", "unavailable": ["package:z"], "held_at": early, "expires_at": late, "server_time": early,
        "price": {"currency": "CNY", "total": 3, "deposit": 1, "balance": 2, "lines": [{"item": "model:a", "amount": 3}]},
        "exchanged": [early, late], "is_new": true
    });
    let bare =
        json!({"id": "r1", "number": 7, "version": 1, "state": "expired", "model": "a", "packages": []});
    let sold_out = json!({"items": ["model:a"], "last": true, "asked": early, "answered": late});
    let amends = json!([
        {"reservation": "r1", "wanted": {"model": "b", "packages": [], "store": "t"}, "step": "Done", "shown": hold},
        {"reservation": "r1", "wanted": {}, "step": {"Refused": "sold-out"}, "shown": null},
        {"reservation": "r1", "wanted": {}, "step": "Unknown", "shown": null}
    ]);
    let refused = json!({
        "request": "amend", "reservation": "r1", "why": "sold-out", "version": 1, "wanted": ["store:t"],
        "answer": sold_out, "after_lost": true, "after_settling": true, "as_service": true, "began": early
    });
    let exchange = json!({"at": early, "took_ms": 0.1, "request": "POST", "answer": "201 {\"a\": 1}"});
    let mut traced = exchange.clone();
    traced["trace"] = json!("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01");
    traced["request_id"] = json!("id");
    serde_json::from_value(json!({
        "buyer": "b", "key": "k", "scenario": "bots", "outcome": "resolved", "holds": [hold, bare],
        "selection": {"model": "a", "packages": ["p"], "store": "s", "accept_partial": true},
        "sold_out": [sold_out], "by_phase": [{"phase": "paused", "asked": early, "answered": late}],
        "amends": amends, "confirm": "Done", "cancel": {"Refused": "shed"}, "refused": [refused], "settled": [hold],
        "payment": "pay", "findings": ["a finding"],
        "log": {"exchanges": [exchange, traced], "left_out": 3, "lost": 1}
    }))
    .unwrap()
}

impl<'a> FromIterator<&'a TapHistory> for PackedHistories {
    fn from_iter<I: IntoIterator<Item = &'a TapHistory>>(list: I) -> PackedHistories {
        let mut histories = PackedHistories::default();
        list.into_iter().for_each(|history| histories.push(Packed::new(history)));
        histories
    }
}

fn pack(list: &[TapHistory], partitions: usize) -> PackedHistories {
    let mut packed = PackedHistories::in_partitions(partitions);
    list.iter().for_each(|history| packed.push(Packed::new(history)));
    packed
}

fn unpack(packed: &PackedHistories) -> Result<Vec<TapHistory>, Failure> {
    let mut all = Vec::new();
    packed.each(|history| all.push(history))?;
    Ok(all)
}

fn text(list: &[TapHistory]) -> Vec<String> {
    list.iter().map(|history| format!("{history:?}")).collect()
}

/// Enough for several blocks in each of three partitions.
fn many() -> Vec<TapHistory> {
    (0..3_000).map(|n| TapHistory { outcome: Some(Outcome::Won), ..history(n % 700, n) }).collect()
}

#[test]
fn a_history_comes_back_to_the_letter() {
    let list = [full(), history(1, 1), full()];
    assert_eq!(text(&unpack(&pack(&list, 2)).unwrap()), text(&list));
}

#[test]
fn histories_come_back_in_order() {
    let list = many();
    for partitions in [1, 3] {
        let packed = pack(&list, partitions);
        assert!(packed.partitions.iter().all(|partition| partition.full.len() > 1), "several blocks");
        assert!(packed.partitions.iter().any(|partition| !partition.open.is_empty()), "and an open one");
        assert_eq!(text(&unpack(&packed).unwrap()), text(&list));
    }
}

#[test]
fn a_buyers_histories_are_in_one_partition_in_order() {
    let list = many();
    let packed = pack(&list, 3);
    let mut partition_of = BTreeMap::new();
    let mut places = Vec::new();
    for partition in 0..packed.partitions() {
        let own = packed.partition(partition).unwrap();
        assert!(own.is_sorted_by_key(|(place, _)| *place) && !own.is_empty());
        for (place, history) in own {
            assert_eq!(history.key, list[place as usize].key);
            assert_eq!(*partition_of.entry(history.buyer).or_insert(partition), partition);
            places.push(place);
        }
    }
    places.sort_unstable();
    assert!(places.into_iter().eq(0..list.len() as u64));
}

#[test]
fn parts_follow_each_other() {
    let list = many();
    let mut whole = PackedHistories::default();
    for part in list.chunks(1_100) {
        whole.append(part.iter().collect());
    }
    whole.push(Packed::new(&full()));
    assert_eq!(text(&unpack(&whole).unwrap()), text(&[list, vec![full()]].concat()));
    let all = (0..whole.partitions()).flat_map(|partition| whole.partition(partition).unwrap());
    let places: std::collections::BTreeSet<u64> = all.map(|(place, _)| place).collect();
    assert!(places.into_iter().eq(0..=3_000));
}

#[test]
fn it_is_a_list_in_json() {
    let list = [full(), history(1, 1), history(2, 2)];
    let json = serde_json::to_string(&pack(&list, 2)).unwrap();
    assert_eq!(json, serde_json::to_string(&list).unwrap());
    let again: PackedHistories = serde_json::from_str(&json).unwrap();
    assert_eq!(text(&unpack(&again).unwrap()), text(&list));
}

#[test]
fn what_cannot_be_kept_is_not_left_out() {
    let mut unreadable = history(1, 1);
    // JSON has no such number.
    let at = jiff::Timestamp::UNIX_EPOCH;
    unreadable.log.push(Exchange::new(at, f64::NAN, String::new(), String::new()));
    unreadable.shorten(ExchangesKept::All);
    let packed = pack(&[history(2, 2), unreadable], 1);
    assert!(matches!(unpack(&packed), Err(Failure::Outside(_))));
    assert!(packed.partition(0).is_err() && serde_json::to_string(&packed).is_err());
    let mut unpacked = PackedHistories::default();
    unpacked.push(Packed { buyer: 0, json: Err("of a test".to_owned()) });
    assert!(unpack(&unpacked).is_err() && unpacked.partition(1).is_err());
}
