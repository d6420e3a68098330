//! Checks that a change reply is decoded by its first word, for this reservation only, with the
//! numbers of its header; every other reply is a failure.

use gateway::domain::decision::Header;
use gateway::fuzzing::{accept, change};
use gateway::reserve::changes::Change;
use gateway::store::scripts::text;
use redis::Value;

use crate::reply;

const ID: &str = "aliceAAAAAAAAAAAAAAAkey-AAAAAAAA";

pub(super) fn run(bytes: &[u8]) {
    let Ok(reply) = accept(reply::list(bytes)) else {
        return;
    };
    let word = reply.first().and_then(text).unwrap_or_default();
    let Ok(change) = change(ID, &reply) else {
        return;
    };
    let (expected, reservation) = match &change {
        Change::Done(reservation, header) => {
            header_is(&reply, header);
            let _ = header.wall_time_of(reservation.deadline);
            let _ = reservation.state_at(header.sale_clock, 60_000);
            ("ok", Some(reservation))
        }
        Change::NotFound => ("not-found", None),
        Change::NotHeld(reservation) => ("not-held", Some(reservation)),
        Change::Changed(reservation) => ("changed", Some(reservation)),
        Change::PaymentConflict(reservation) => ("payment-conflict", Some(reservation)),
        Change::AmendLimitReached(reservation) => ("spent", Some(reservation)),
        Change::UnknownItem(_) => ("unknown-item", None),
        Change::SoldOut { items, .. } => {
            assert!(!items.is_empty() && items.iter().all(|item| !item.is_empty()), "{items:?}");
            ("sold-out", None)
        }
        Change::NotTaken(_) | Change::Unknown => panic!("no script replies {change:?}"),
    };
    let is_expected = match &*word {
        "late" | "refused" => expected == "not-held",
        "late-changed" => expected == "changed",
        word => word == expected,
    };
    assert!(is_expected, "{word}: {expected}");
    if let Some(reservation) = reservation {
        assert_eq!(reservation.id, ID);
    }
}

/// Requires four whole numbers that are equal to those in the reply.
pub(super) fn header_is(reply: &[Value], header: &Header) {
    let line = reply.get(1).and_then(text).unwrap_or_default();
    let numbers: Vec<i128> = line.split(' ').map_while(|n| n.parse().ok()).collect();
    assert_eq!(line.split(' ').count(), numbers.len(), "{line:?} was accepted as a header");
    let Header { sequence, time, sale_clock, held } = *header;
    assert_eq!(numbers[..3], [sequence.into(), time.into(), sale_clock.into()]);
    // A drifted ledger counts below 0: holds are outstanding, and a refusal is not final.
    assert_eq!(numbers[3].unsigned_abs(), u128::from(held));
}
