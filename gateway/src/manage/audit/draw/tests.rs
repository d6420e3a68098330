//! Unit tests of `draw.rs`.

use std::collections::HashMap;

use redis::Value;

use super::*;
use crate::domain::decision::Header;
use crate::projection::actions::ActionsInForce;

/// An entry with these fields besides those that each has.
fn entry(sequence: u64, kind: &str, fields: &[(&str, &str)]) -> Entry {
    let always = [("kind", kind), ("at", "1"), ("stock", ""), ("counts", "0 0 0 0")];
    let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    let words = always.iter().chain(fields).flat_map(|(name, value)| [text(name), text(value)]);
    let id = text(&format!("{sequence}-0"));
    Entry::parse(&Value::Array(vec![id, Value::Array(words.collect())])).expect("an entry")
}

fn entrants(sequence: u64, count: &str) -> Entry {
    entry(sequence, "entrants", &[("root", "aa"), ("entrants", count)])
}

fn draw(sequence: u64) -> Entry {
    entry(sequence, "draw", &[("reveal", "bb"), ("beacon", "cc"), ("seed", "dd")])
}

fn allocated(sequence: u64, kind: &str, count: &str) -> Entry {
    entry(sequence, kind, &[("allocated", count)])
}

fn good() -> Vec<Entry> {
    let end = entry(7, "allocate", &[("allocated", "3"), ("over", "1")]);
    // A batch without a hold or a place has an entry, too.
    let rest = [allocated(5, "reserve", "1"), allocated(6, "allocate", "2"), end];
    [entrants(3, "3"), draw(4)].into_iter().chain(rest).collect()
}

/// The problems of these entries, and of a state, where three buyers are signed up.
fn problems(entries: &[Entry], has_lost: bool, state: Option<&[(&str, &str)]>) -> Vec<String> {
    let (mut draw, mut problems) = (ReplayedDraw::default(), Problems::default());
    let keys = Keys::of("small");
    entries.iter().for_each(|entry| draw.apply(entry, 3, has_lost, &keys, &mut problems));
    if let Some(state) = state {
        let state = state.iter().map(|(field, text)| ((*field).to_owned(), (*text).to_owned())).collect();
        let snapshot = Snapshot {
            header: Header::default(),
            damages: Vec::new(),
            state,
            actions: ActionsInForce::default(),
            stock: HashMap::new(),
            totals: HashMap::new(),
            definition: String::new(),
        };
        draw.compare(&snapshot, &mut problems);
    }
    problems.list
}

#[test]
fn each_step_comes_once_and_the_allocation_only_grows() {
    assert_eq!(problems(&good(), false, None), Vec::<String>::new());
    let key = "lg:{small}:journal";
    let after = |entry: Entry| problems(&[good(), vec![entry]].concat(), false, None);
    let other = format!("{key} fixes 4 entrants in 3-0, and 3 buyers are signed up");
    assert_eq!(problems(&[entrants(3, "4")], false, None), [other]);
    assert_eq!(problems(&[entrants(3, "4")], true, None), Vec::<String>::new(), "sign-ups were lost");
    let end = entry(8, "allocate", &[("over", "1")]);
    for (again, kind, before) in
        [(entrants(8, "3"), "entrants", 3), (draw(8), "draw", 4), (end, "allocate", 7)]
    {
        let second = format!("{key} has a second entry `{kind}` in 8-0, after {before}-0");
        assert_eq!(after(again), [second]);
    }
    for count in ["2", "4", "many"] {
        let other = format!("{key} has {count} allocated entrants in 8-0, expected 3 to 3");
        assert_eq!(after(allocated(8, "reserve", count)), [other]);
    }
    let early = format!("{key} has 1 allocated entrants in 3-0, expected 0 to 0");
    assert_eq!(problems(&[allocated(3, "reserve", "1")], false, None), [early]);
}

#[test]
fn the_state_has_what_the_journal_has() {
    let good_state = [
        ("entrants", "3"),
        ("allocated", "3"),
        ("fixed_in", "3"),
        ("drawn_in", "4"),
        ("allocated_in", "7"),
        ("draw_root", "aa"),
        ("draw_reveal", "bb"),
        ("draw_beacon", "cc"),
        ("draw_seed", "dd"),
    ];
    let of = |entries: &[Entry], state: &[(&str, &str)]| problems(entries, false, Some(state));
    assert_eq!(of(&good(), &good_state), Vec::<String>::new());
    assert_eq!(of(&[], &[]), Vec::<String>::new(), "no draw");
    for n in 0..good_state.len() {
        let mut state = good_state;
        state[n].1 = "9";
        let (field, expected) = good_state[n];
        assert_eq!(of(&good(), &state), [format!("the state has 9 in {field}, the journal {expected}")]);
    }
}
