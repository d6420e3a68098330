//! Checks that a journal entry yields one numbered line for each change, each with a cursor that
//! parses; an entry with damaged reservations yields none.

use gateway::store::journal::{Cursor, Entry};
use redis::Value;

use crate::reply;

pub(super) fn run(bytes: &[u8]) {
    let Some(entry) = Entry::parse(&Value::Array(reply::list(bytes))) else {
        return;
    };
    let items: Vec<_> = entry.stock().map(|(item, _)| item.to_owned()).collect();
    let _ = entry.totals();
    let reservations = entry.reservations();
    let lines = entry.lines("small");
    assert_eq!(lines.is_some(), reservations.is_some());
    let (Some(lines), Some(reservations)) = (lines, reservations) else {
        return;
    };
    assert_eq!(lines.len(), reservations.len().max(1));
    let mut last = Cursor::START;
    for (n, (cursor, line)) in lines.iter().enumerate() {
        assert!(n == 0 || cursor.is_after(&last));
        last = *cursor;
        let cursor_text = line["cursor"].as_str().unwrap_or_default();
        let read = Cursor::parse(cursor_text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((read.sequence, read.change), (entry.sequence, n + 1));
        assert_eq!(
            (line["change"].as_u64(), line["changes"].as_u64()),
            (Some(n as u64 + 1), Some(lines.len() as u64))
        );
        if let Some(reservation) = reservations.get(n) {
            assert_eq!(line["reservation"], reservation.id);
            assert_eq!(line["buyer"], *reservation.buyer);
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
