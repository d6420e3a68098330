use serde_json::json;

use super::{Filter, Item, State};
use crate::change::Change;

fn reservation(state: &str) -> Change {
    let line = json!({
        "cursor": "1-0/1~x", "id": "1-0", "change": 1, "kind": "reserve", "at": "2026-11-30T00:00:00Z",
        "reservation": "r", "state": state, "model": "white", "packages": ["cover", "care"], "store": "gz-1",
    });
    Change::parse(&line.to_string()).unwrap()
}

fn restock() -> Change {
    let line = json!({
        "cursor": "2-0/1~x", "id": "2-0", "change": 1, "kind": "restock", "at": "2026-11-30T00:00:00Z",
        "item": "model:white", "total": 9,
    });
    Change::parse(&line.to_string()).unwrap()
}

#[test]
fn without_a_filter_everything_passes() {
    assert!(Filter::default().lets_pass(&reservation("held")) && Filter::default().lets_pass(&restock()));
}

#[test]
fn the_state_after_a_change_decides() {
    let filter = Filter { states: vec![State::Confirmed, State::Expired], ..Filter::default() };
    let passing =
        ["held", "confirmed", "cancelled", "expired"].map(|state| filter.lets_pass(&reservation(state)));
    assert_eq!(passing, [false, true, false, true]);
    assert!(!filter.lets_pass(&restock()));
}

#[test]
fn one_of_the_items_is_enough_and_a_state_must_be_right_too() {
    let passes = |items: &[&str]| {
        let items = items.iter().map(|item| Item::parse(item).unwrap()).collect();
        Filter { states: vec![State::Held], items }.lets_pass(&reservation("held"))
    };
    for has in [&["model:white"][..], &["package:care"], &["store:gz-1"], &["model:black", "package:cover"]] {
        assert!(passes(has), "{has:?}");
    }
    for has_not in [&["model:black"][..], &["package:white"], &["store:cover"], &["store:gz-2", "model:care"]]
    {
        assert!(!passes(has_not), "{has_not:?}");
    }
    let items = vec![Item::Model("white".to_owned())];
    assert!(!Filter { states: vec![State::Confirmed], items: items.clone() }.lets_pass(&reservation("held")));
    assert!(!Filter { states: Vec::new(), items }.lets_pass(&restock()));
}

#[test]
fn an_item_has_a_kind() {
    for wrong in ["white", "model:", "car:white", ":white", ""] {
        assert!(Item::parse(wrong).is_err(), "{wrong}");
    }
}
