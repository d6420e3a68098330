//! Checks that an accepted snapshot has every number of the state, a counter of every item, and a
//! total of every limited item; damaged values are never replaced.

use std::collections::HashMap;

use gateway::domain::sale::Phase;
use gateway::fuzzing::{accept, snapshot};
use gateway::store::scripts::texts;

use super::reserve_reply::SALE;
use crate::reply;

pub(super) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).replace("{sale}", &SALE.replace('\n', " "));
    let Ok(reply) = accept(reply::list(text.as_bytes())) else {
        return;
    };
    let map = |at: usize| -> HashMap<String, String> {
        let flat = reply.get(at).and_then(texts).unwrap_or_default();
        flat.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    };
    let (state, stock, totals) = (map(3), map(4), map(5));
    let Ok(read_model) = snapshot("small", &reply) else {
        return;
    };
    let number = |map: &HashMap<String, String>, name: &str| -> i64 {
        let text = map.get(name).unwrap_or_else(|| panic!("{name} is not in the reply"));
        text.parse().unwrap_or_else(|_| panic!("{name} is not in the reply, which has {text:?}"))
    };
    let controls = read_model.controls;
    assert_eq!(controls.opens, number(&state, "opens"));
    assert_eq!(controls.closes, number(&state, "closes"));
    for (action, name) in
        [(controls.paused, "paused"), (controls.frozen, "frozen"), (controls.closed, "closed")]
    {
        assert_eq!(i64::from(action), number(&state, name));
    }
    assert_eq!(read_model.grace_ms, number(&state, "grace"));
    let counts = ["held", "confirmed", "cancelled", "expired"].map(|name| number(&state, name));
    assert_eq!(read_model.counts, counts.map(i64::unsigned_abs));
    assert_eq!(read_model.catalogue.revision, number(&state, "revision").unsigned_abs());
    for (place, item) in read_model.catalogue.items().iter().enumerate() {
        assert_eq!(read_model.free[place], number(&stock, &item.name));
        let total = item.limited.then(|| number(&totals, &item.name));
        assert_eq!(read_model.totals[place], total, "{}", item.name);
        let _ = read_model.availability(place);
    }
    if controls.closed {
        assert_eq!(read_model.phase(controls.opens), Phase::Closed);
    }
}
