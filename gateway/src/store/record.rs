//! Parses what the ledger has of one buyer.

use redis::Value;

use crate::domain::decision::Header;
use crate::domain::reservation::{Reservation, parse_record};
use crate::domain::signup::SignUp;
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

/// A sign-up in the ledger, with the sequence of its latest change; `None`: the buyer has never signed up.
pub(crate) type StoredSignUp = Option<(Option<SignUp>, u64)>;

/// Parses a reply of the script that reads a sign-up.
pub(crate) fn read_sign_up(reply: &[Value]) -> Result<(StoredSignUp, Header), Failure> {
    let header = Header::of(reply)?;
    let words: Vec<String> = reply[2..].iter().filter_map(text).collect();
    let unreadable = || Failure::unreadable(format!("a sign-up that can't be read: {words:?}"));
    let Some((row, rest)) = words.split_first() else { return Err(unreadable()) };
    if row.is_empty() {
        return Ok((None, header));
    }
    let (number, sequence) = row.split_once(' ').ok_or_else(unreadable)?;
    let sign_up = match (number, rest) {
        ("0", _) => None,
        (number, [choices, at, ..]) => Some(SignUp::from_words(number, at, choices).ok_or_else(unreadable)?),
        _ => return Err(unreadable()),
    };
    Ok((Some((sign_up, sequence.parse().map_err(|_| unreadable())?)), header))
}
