//! Parses a buyer's record.

use redis::Value;

use crate::domain::decision::Header;
use crate::domain::reservation::{Reservation, parse_record};
use crate::store::keys::Keys;
use crate::store::reply::text;
use crate::store::scripts::{Failure, Refusal};

/// Parses a reply of the reservations script: the reservations in the ledger, and the grace of the
/// sale, in ms.
pub(crate) fn read_record(
    keys: &Keys,
    buyer_part: &str,
    reply: &[Value],
) -> Result<(Vec<Reservation>, Header, i64), Failure> {
    let header = Header::of(reply)?;
    let damaged =
        || Refusal::Damaged(format!("{} has no reservations in field {buyer_part}", keys.records()));
    let grace = reply.get(2).and_then(text).and_then(|grace| grace.parse().ok()).ok_or_else(damaged)?;
    let record = reply.get(3).and_then(text).ok_or_else(damaged)?;
    if record.is_empty() {
        return Ok((Vec::new(), header, grace));
    }
    Ok((parse_record(buyer_part, &record).ok_or_else(damaged)?, header, grace))
}
