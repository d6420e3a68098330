//! Checks that a journal entry yields one numbered line for each change, each with a cursor that
//! parses; an entry with damaged reservations yields none.

use gateway::domain::reservation::State;
use gateway::store::journal::{Cursor, Entry, Trail};
use redis::Value;

use super::reserve_reply::catalogue;
use crate::reply;

pub(super) fn run(bytes: &[u8]) {
    let Some(entry) = Entry::parse(&Value::Array(reply::list(bytes))) else {
        return;
    };
    let items: Vec<_> = entry.stock().map(|(item, _)| item.to_owned()).collect();
    let _ = entry.totals();
    let reservations = entry.reservations();
    let lines = entry.lines(catalogue(), &mut Trail::default());
    // A held reservation needs the entry's clock, too.
    assert!(lines.is_none() || reservations.is_some());
    let (Some(lines), Some(reservations)) = (lines, reservations) else {
        return;
    };
    assert_eq!(lines.len(), reservations.len().max(1));
    let mut last = Cursor::START;
    for (n, (cursor, line)) in lines.iter().enumerate() {
        assert!(n == 0 || cursor.is_after(&last));
        last = *cursor;
        let cursor_text = line["cursor"].as_str().unwrap_or_default();
        // Sequences start at 1.
        if entry.sequence > 0 {
            let read = Cursor::parse(cursor_text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((read.sequence, read.change), (entry.sequence, n + 1));
            assert!(read.has_history());
        }
        assert_eq!(
            (line["change"].as_u64(), line["changes"].as_u64()),
            (Some(n as u64 + 1), Some(lines.len() as u64))
        );
        if let Some(reservation) = reservations.get(n) {
            assert_eq!(line["reservation"], reservation.id);
            assert_eq!(line["buyer"], *reservation.buyer);
            assert_eq!(line["expires_at"].is_string(), reservation.state == State::Held);
            assert_eq!(line["price"]["currency"], "CNY");
        }
    }
    if entry.kind == "reserve" {
        for reservation in &reservations {
            assert!(!reservation.model.is_empty());
            for item in reservation.items().iter().chain(&reservation.unavailable) {
                assert!(items.contains(item), "{item} is not among the items of the entry");
            }
        }
    }
}
