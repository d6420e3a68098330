//! A buyer's record that is read has as many reservations as rows, all of them his; anything else is a failure.

use super::change_reply::header_is;
use crate::reply;
use gateway::fuzzing::{accept, record};
use gateway::store::scripts::text;

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
