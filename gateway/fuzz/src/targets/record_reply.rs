//! Checks that a buyer's record has one reservation for each row, all of this buyer; anything else
//! is a failure.

use gateway::fuzzing::{accept, record};
use gateway::store::scripts::text;

use super::change_reply::header_is;
use crate::reply;

const BUYER: &str = "aliceAAAAAAAAAAAAAAA";

pub(super) fn run(bytes: &[u8]) {
    let Ok(reply) = accept(reply::list(bytes)) else {
        return;
    };
    let Ok((list, header)) = record("small", BUYER, &reply) else {
        return;
    };
    header_is(&reply, &header);
    let rows = reply.get(3).and_then(text).unwrap_or_default();
    assert_eq!(list.len(), if rows.is_empty() { 0 } else { rows.matches('\n').count() + 1 });
    for (reservation, row) in list.iter().zip(rows.split('\n')) {
        assert!(reservation.id.starts_with(BUYER));
        assert!(row.contains(&reservation.model) && row.contains(&reservation.version.to_string()));
        assert!(!reservation.changes.is_empty());
    }
}
