//! Calls on one reservation: read, amend, confirm, cancel.

use std::sync::Arc;

use redis::Value;

use super::dial::Dial;
use super::heal::Told;
use super::keys::Keys;
use super::lane::{Lane, MOVED};
use super::memory::Sale;
use super::scripts::{Failure, Header, Refusal, Script, text, texts};
use crate::domain::identity::BUYER_CHARS;
use crate::domain::reservation::{Reservation, State, parse_record};
use crate::ops::metrics::labels::Shed;

/// What became of a call on a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Done, or it already was so.
    Done(Box<Reservation>, Header),
    /// There is no such reservation, or it is somebody else's.
    NotFound,
    /// Its state, or its deadline, does not allow it.
    NotHeld(Box<Reservation>),
    /// The caller's version is outdated.
    Changed(Box<Reservation>),
    /// It was confirmed by another payment.
    PaymentConflict(Box<Reservation>),
    /// These items do not exist or do not fit.
    UnknownItem(Vec<String>),
    /// These items are gone; final when no hold is outstanding.
    SoldOut {
        /// Which.
        items: Vec<String>,
        /// Nothing can come back by itself.
        is_final: bool,
    },
    /// Certainly not done.
    NotTaken(Shed),
    /// Sent to Redis, and no answer came.
    Unknown,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By<'a> {
    /// The buyer with this part of the id.
    Buyer(&'a str),
    /// The payment or the order service.
    Service,
}

impl By<'_> {
    fn word(self) -> &'static str {
        match self {
            Self::Buyer(_) => "buyer",
            Self::Service => "service",
        }
    }

    fn may_see(self, id: &str) -> bool {
        match self {
            Self::Buyer(part) => id.starts_with(part),
            Self::Service => true,
        }
    }
}

/// What a PATCH asks for; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Amendment {
    /// Another model.
    pub model: Option<String>,
    /// Other packages, none twice.
    pub packages: Option<Vec<String>>,
    /// Another store.
    pub store: Option<String>,
}

/// How often a PATCH is tried against a reservation that changes under it.
const AMEND_TRIES: usize = 5;

/// All reservations of a buyer, in the order in which they were taken, in their present states.
pub async fn read<D: Dial>(
    lane: &Lane<D>,
    sale: &Sale,
    buyer_part: &str,
) -> Result<(Vec<Reservation>, Header), Failure> {
    let live = lane.live().ok_or_else(|| Failure::NotDone("not connected".into()))?;
    let args = [buyer_part, &sale.identity(&live.run_id), &sale.known().to_string()];
    let reply = lane.call(&live, Script::Reservations, &sale.keys, &args).await;
    let reply = reply.inspect_err(|failure| sale.note_refusal(failure))?;
    let (mut reservations, header, grace) = read_record(&sale.keys, buyer_part, &reply)?;
    let mut kept = sale.kept();
    if !reservations.iter().all(|reservation| kept.show(&live.run_id, reservation, &header)) {
        return Err(Failure::NotDone(MOVED.to_owned()));
    }
    drop(kept);
    for reservation in &mut reservations {
        reservation.state = reservation.state_at(header.sale_clock, grace);
    }
    Ok((reservations, header))
}

/// Reads the reply of the reservations script: the reservations as the ledger has them, and the grace of the sale, in ms.
pub(crate) fn read_record(
    keys: &Keys,
    buyer_part: &str,
    reply: &[Value],
) -> Result<(Vec<Reservation>, Header, i64), Failure> {
    let header = Header::of(reply)?;
    let damaged = || {
        Failure::Refused(Refusal::Damaged(format!(
            "{} has no reservations in field {buyer_part}",
            keys.records()
        )))
    };
    let grace = reply.get(2).and_then(|v| text(v).parse().ok()).ok_or_else(damaged)?;
    let record = reply.get(3).map(text).unwrap_or_default();
    if record.is_empty() {
        return Ok((Vec::new(), header, grace));
    }
    Ok((parse_record(buyer_part, &record).ok_or_else(damaged)?, header, grace))
}

/// One reservation in its present state.
pub async fn get<D: Dial>(lane: &Lane<D>, sale: &Sale, id: &str, by: By<'_>) -> Change {
    if !by.may_see(id) {
        return Change::NotFound;
    }
    match read(lane, sale, &id[..BUYER_CHARS]).await {
        Ok((list, header)) => match list.into_iter().find(|r| r.id == id) {
            Some(reservation) => Change::Done(Box::new(reservation), header),
            None => Change::NotFound,
        },
        // Reading changes nothing: whatever failed, it was not done.
        Err(failure) => {
            tracing::debug!(sale = sale.id, %failure, "a reservation could not be read");
            Change::NotTaken(failure.shed())
        }
    }
}

/// Confirms a hold that was paid with `payment` at `version`.
pub async fn confirm<D: Dial>(lane: &Lane<D>, sale: &Sale, id: &str, payment: &str, version: u64) -> Change {
    let args = |identity: &str| {
        vec![
            identity.to_owned(),
            sale.known().to_string(),
            id.to_owned(),
            payment.to_owned(),
            version.to_string(),
        ]
    };
    change(lane, sale, id, Script::Confirm, args).await.unwrap_or_else(|failure| failed(sale, &failure))
}

/// Cancels a reservation.
pub async fn cancel<D: Dial>(lane: &Lane<D>, sale: &Sale, id: &str, by: By<'_>) -> Change {
    if !by.may_see(id) {
        return Change::NotFound;
    }
    let args = |identity: &str| {
        vec![identity.to_owned(), sale.known().to_string(), id.to_owned(), by.word().to_owned()]
    };
    change(lane, sale, id, Script::Cancel, args).await.unwrap_or_else(|failure| failed(sale, &failure))
}

/// Changes what is reserved, all of it or nothing.
pub async fn amend<D: Dial>(
    lane: &Lane<D>,
    sale: &Arc<Sale>,
    id: &str,
    by: By<'_>,
    wanted: &Amendment,
) -> Change {
    let mut last = Change::NotTaken(Shed::Ledger);
    for _ in 0..AMEND_TRIES {
        // The scripts know no definition, so what the reservation shall be is put together here and
        // its version makes sure that it still was as read.
        let current = match get(lane, sale, id, by).await {
            Change::Done(reservation, _) => *reservation,
            other => return other,
        };
        if !matches!(current.state, State::Held | State::Confirmed) {
            return Change::NotHeld(Box::new(current));
        }
        let catalogue = sale.memory().catalogue.clone();
        let next = amended(&current, wanted);
        let unknown = catalogue.unknown(&next.model, &next.packages, next.store.as_deref());
        let limited =
            |name: &String| catalogue.place(name).is_some_and(|place| catalogue.items()[place].limited);
        let without_limit: Vec<String> =
            next.items().into_iter().chain(current.items()).filter(|name| !limited(name)).collect();
        // The ledger says so, if this is the definition that it has.
        let model = if unknown.is_empty() { &next.model } else { "?" };
        let args = |identity: &str| {
            let dash = |text: String| {
                if text.is_empty() { "-".to_owned() } else { text }
            };
            let mut args = vec![
                identity.to_owned(),
                catalogue.revision.to_string(),
                sale.known().to_string(),
                id.to_owned(),
                current.version.to_string(),
                by.word().to_owned(),
                model.to_owned(),
                dash(next.packages.join(",")),
                dash(next.store.clone().unwrap_or_default()),
                dash(next.unavailable.join(",")),
            ];
            args.extend(without_limit.clone());
            args
        };
        last = match change(lane, sale, id, Script::Amend, args).await {
            Ok(changed @ Change::Changed(_)) => changed,
            Ok(Change::UnknownItem(_)) => return Change::UnknownItem(unknown),
            Ok(done) => return done,
            Err(Failure::Refused(Refusal::Revision(revision))) => {
                // The new definition is on its way to us through the journal.
                let wait = super::memory::MEMORY_AGE_MAX;
                let _ = tokio::time::timeout(wait, sale.revision_reached(revision)).await;
                Change::NotTaken(Shed::Ledger)
            }
            Err(failure) => return failed(sale, &failure),
        };
    }
    last
}

fn amended(current: &Reservation, wanted: &Amendment) -> Reservation {
    let mut next = current.clone();
    if let Some(model) = &wanted.model {
        next.model.clone_from(model);
    }
    if let Some(packages) = &wanted.packages {
        // In another order they are the same.
        if !same_set(packages, &current.packages) {
            next.packages.clone_from(packages);
        }
        next.unavailable.retain(|item| !item.starts_with("package:"));
    }
    if let Some(store) = &wanted.store {
        next.store = Some(store.clone());
        next.unavailable.retain(|item| !item.starts_with("store:"));
    }
    next
}

/// Of lists that name nothing twice.
fn same_set(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().all(|item| b.contains(item))
}

async fn change<D: Dial>(
    lane: &Lane<D>,
    sale: &Sale,
    id: &str,
    script: Script,
    args: impl Fn(&str) -> Vec<String>,
) -> Result<Change, Failure> {
    let live = lane.live().ok_or_else(|| Failure::NotDone("not connected".into()))?;
    let reply = lane.call(&live, script, &sale.keys, &args(&sale.identity(&live.run_id))).await;
    let reply = reply.inspect_err(|failure| sale.note_refusal(failure))?;
    let (change, header) = read_change(id, &reply)?;
    if let Some(header) = header {
        if !keep(sale, &live.run_id, script, id, &change, header, &reply) {
            return Err(Failure::Unknown(MOVED.to_owned()));
        }
        sale.saw(header.sequence);
    }
    Ok(change)
}

/// Keeps a change that is about to be told, made now or found made; `false`: it must not be told.
fn keep(
    sale: &Sale,
    run_id: &str,
    script: Script,
    id: &str,
    change: &Change,
    header: Header,
    reply: &[Value],
) -> bool {
    let kind = match script {
        Script::Amend => "amend",
        Script::Confirm => "confirm",
        _ => "cancel",
    };
    if let (Change::Done(reservation, _), Some(row)) = (change, reply.get(2))
        && let [.., _, sequence] = reservation.changes[..]
    {
        // The buyer's name is in the record already: the reservation was made by another change.
        let rows = format!("{} - {}", &id[..BUYER_CHARS], text(row));
        let (at, clock) = (header.time, header.sale_clock);
        return sale.kept().tell(run_id, Told { sequence, kind, at, clock, fields: Vec::new(), rows });
    }
    sale.kept().may_tell(run_id)
}

/// What a script that changes a reservation says became of it, and the header, if there is one.
pub(crate) fn read_change(id: &str, reply: &[Value]) -> Result<(Change, Option<Header>), Failure> {
    let word = reply.first().map(text).unwrap_or_default();
    if word == "not-found" {
        return Ok((Change::NotFound, None));
    }
    let header = Header::of(reply)?;
    if word == "unknown-item" {
        return Ok((Change::UnknownItem(Vec::new()), Some(header)));
    }
    if word == "sold-out" {
        let items = texts(&Value::Array(reply[2..].to_vec()));
        if items.is_empty() || items.iter().any(String::is_empty) {
            return Err(Failure::Unknown(format!("sold-out without items: {items:?}")));
        }
        return Ok((Change::SoldOut { items, is_final: header.held == 0 }, Some(header)));
    }
    let row = reply.get(2).map(text).unwrap_or_default();
    // The buyer's name is not in the row and not needed: a caller sees only what is his.
    let reservation = Reservation::from_row(&id[..BUYER_CHARS], "", &row)
        .filter(|reservation| reservation.id == id)
        .map(Box::new)
        .ok_or_else(|| Failure::Unknown(format!("a row that can't be read: {row:?}")))?;
    let change = match word.as_str() {
        "ok" => Change::Done(reservation, header),
        "not-held" => Change::NotHeld(reservation),
        "changed" => Change::Changed(reservation),
        "payment-conflict" => Change::PaymentConflict(reservation),
        other => {
            return Err(Failure::Unknown(format!("an answer that can't be read: {other:?}")));
        }
    };
    Ok((change, Some(header)))
}

fn failed(sale: &Sale, failure: &Failure) -> Change {
    tracing::debug!(sale = sale.id, %failure, "a change was not made");
    match failure {
        Failure::Unknown(_) | Failure::NotCopied { .. } => Change::Unknown,
        Failure::NotDone(_) | Failure::Refused(_) => Change::NotTaken(failure.shed()),
    }
}
