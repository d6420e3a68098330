//! Calls on one reservation: read, amend, confirm, cancel.

mod amendment;

use std::sync::Arc;

pub use amendment::Amendment;
use redis::{ToRedisArgs, Value};

use crate::domain::decision::{Header, Shed};
use crate::domain::identity::BUYER_CHARS;
use crate::domain::reservation::{Reservation, State};
use crate::projection::acknowledged::Acknowledged;
use crate::projection::read_model::Sale;
use crate::reserve::tick::note_clocks;
use crate::store::connection::{LiveConnection, PRIMARY_CHANGED, RedisConnection};
use crate::store::dial::Dial;
use crate::store::record::read_record;
use crate::store::reply::text;
use crate::store::scripts::{Failure, Refusal, Script};

/// The outcome of a call on a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Done, now or by an earlier call.
    Done(Box<Reservation>, Header),
    /// The reservation does not exist, or belongs to another buyer.
    NotFound,
    /// Its state or deadline does not allow the change.
    NotHeld(Box<Reservation>),
    /// The caller's version is outdated.
    Changed(Box<Reservation>),
    /// Its buyer has used up all changes.
    AmendLimitReached(Box<Reservation>),
    /// Another payment confirmed it.
    PaymentConflict(Box<Reservation>),
    /// These items do not exist or do not fit the model.
    UnknownItem(Vec<String>),
    /// These items are sold out; final when no hold is outstanding.
    SoldOut {
        /// The items that are sold out.
        items: Vec<String>,
        /// No outstanding hold can return stock.
        is_final: bool,
    },
    /// Not carried out.
    NotTaken(Shed),
    /// Sent to Redis without a reply: the outcome is unknown.
    Unknown,
}

/// The caller of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requester<'a> {
    /// The buyer with this part of the id.
    Buyer(&'a str),
    /// The payment or the order service.
    Service,
}

impl Requester<'_> {
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

/// A payment, as a service reports it.
#[derive(Debug, Clone, Copy)]
pub struct Payment<'a> {
    /// Its reference.
    pub reference: &'a str,
    /// The version of the reservation that was paid for.
    pub version: u64,
    /// Whether a hold that has ended is taken again.
    pub accepts_late: bool,
}

/// Replaces a buyer's name that is neither available nor needed.
const NAMELESS: &str = "-";

/// How many times a PATCH is tried while the reservation changes concurrently.
const AMEND_TRIES: usize = 5;

/// Reads all reservations of a buyer in the order of their holds, in their present states.
pub async fn read<D: Dial>(
    connection: &RedisConnection<D>,
    sale: &Sale,
    buyer_part: &str,
) -> Result<(Vec<Reservation>, Header), Failure> {
    let (mut reservations, mut header, grace, live) = read_stored(connection, sale, buyer_part).await?;
    let is_over = |r: &Reservation| r.state != r.state_at(header.sale_clock, grace);
    if reservations.iter().any(is_over) {
        // A read writes nothing. A hold that is shown as expired must stay so: the clocks are
        // written first, and those count.
        let Header { time, sale_clock, .. } = note_clocks(connection, &live, sale).await?;
        header = Header { time, sale_clock, ..header };
        sale.acknowledged().note_late_by(&header);
    }
    for reservation in &mut reservations {
        reservation.state = reservation.state_at(header.sale_clock, grace);
    }
    Ok((reservations, header))
}

pub(crate) fn require_connection<D: Dial>(
    connection: &RedisConnection<D>,
) -> Result<LiveConnection<D::Conn>, Failure> {
    connection.live().ok_or_else(|| Failure::NotDone("not connected".into()))
}

/// The reservations in the ledger, the grace of the sale in ms, and the connection that they came over.
async fn read_stored<D: Dial>(
    connection: &RedisConnection<D>,
    sale: &Sale,
    buyer_part: &str,
) -> Result<(Vec<Reservation>, Header, i64, LiveConnection<D::Conn>), Failure> {
    let live = require_connection(connection)?;
    let args = (buyer_part, sale.ledger_identity(&live.epoch), sale.known_sequence());
    let reply = connection.call(&live, Script::Reservations, &sale.keys, args).await;
    let reply = reply.inspect_err(|failure| sale.note_refusal(failure))?;
    let (reservations, header, grace) = read_record(&sale.keys, buyer_part, &reply)?;
    let mut acknowledged = sale.acknowledged();
    // An empty list is an acknowledgement too.
    let may_acknowledge = acknowledged.may_acknowledge(&live.epoch)
        && reservations.iter().all(|shown| acknowledged.acknowledge_shown(&live.epoch, shown, &header));
    drop(acknowledged);
    if !may_acknowledge {
        return Err(Failure::NotDone(PRIMARY_CHANGED.to_owned()));
    }
    Ok((reservations, header, grace, live))
}

/// Reads one reservation in its present state.
pub async fn get<D: Dial>(
    connection: &RedisConnection<D>,
    sale: &Sale,
    id: &str,
    by: Requester<'_>,
) -> Change {
    if !by.may_see(id) {
        return Change::NotFound;
    }
    match read(connection, sale, &id[..BUYER_CHARS]).await {
        Ok((list, header)) => {
            let found = list.into_iter().find(|r| r.id == id);
            found.map_or(Change::NotFound, |reservation| Change::Done(Box::new(reservation), header))
        }
        Err(failure) => shed_unread(sale, &failure),
    }
}

/// A read changes nothing, so every failure is "not carried out".
fn shed_unread(sale: &Sale, failure: &Failure) -> Change {
    tracing::debug!(sale = sale.id, %failure, "a reservation could not be read");
    Change::NotTaken(failure.shed())
}

/// Confirms a paid hold.
pub async fn confirm<D: Dial>(
    connection: &RedisConnection<D>,
    sale: &Sale,
    id: &str,
    payment: Payment<'_>,
) -> Change {
    let Payment { reference, version, accepts_late } = payment;
    let args = (reference, version, u8::from(accepts_late));
    let paid = change(connection, sale, id, Script::Confirm, args).await;
    paid.unwrap_or_else(|failure| failed(sale, &failure))
}

/// Cancels a reservation.
pub async fn cancel<D: Dial>(
    connection: &RedisConnection<D>,
    sale: &Sale,
    id: &str,
    by: Requester<'_>,
) -> Change {
    if !by.may_see(id) {
        return Change::NotFound;
    }
    let cancelled = change(connection, sale, id, Script::Cancel, by.word()).await;
    cancelled.unwrap_or_else(|failure| failed(sale, &failure))
}

/// Changes what is reserved, all of it or nothing.
pub async fn amend<D: Dial>(
    connection: &RedisConnection<D>,
    sale: &Arc<Sale>,
    id: &str,
    by: Requester<'_>,
    wanted: &Amendment,
) -> Change {
    if !by.may_see(id) {
        return Change::NotFound;
    }
    let mut last = Change::NotTaken(Shed::Ledger);
    for _ in 0..AMEND_TRIES {
        // The scripts have no definition, so the new content is composed here; the version detects
        // concurrent changes. The script alone decides whether it is too late.
        let current = match read_stored(connection, sale, &id[..BUYER_CHARS]).await {
            Ok((list, ..)) => list.into_iter().find(|r| r.id == id),
            Err(failure) => return shed_unread(sale, &failure),
        };
        let Some(current) = current else { return Change::NotFound };
        if !matches!(current.state, State::Held | State::Confirmed) {
            return Change::NotHeld(Box::new(current));
        }
        let catalogue = sale.read_model().catalogue.clone();
        let next = wanted.over(&current);
        let unknown = amendment::unknown_changes(&catalogue, &current, &next);
        let limited =
            |name: &String| catalogue.index_of(name).is_some_and(|index| catalogue.items()[index].limited);
        let items = next.items().into_iter().chain(current.items());
        let without_limit: Vec<String> = items.filter(|name| !limited(name)).collect();
        // The content is composed for the version that was read. For an outdated one the script only refuses; it
        // reports unknown items, if it has this definition, unless the version of the request is outdated by then.
        let (model, version) = match wanted.version {
            Some(version) if version != current.version => (&*next.model, 0),
            _ if unknown.is_empty() => (&*next.model, current.version),
            wanted_version => ("?", wanted_version.unwrap_or(0)),
        };
        let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let (packages, unavailable) = (dash(next.packages.join(",")), dash(next.unavailable.join(",")));
        let store = dash(next.store.clone().unwrap_or_default());
        let until = catalogue.definition.sale.configure_until;
        let until = until.map_or("-".to_owned(), |until| until.as_millisecond().to_string());
        let content = (model, packages, store, unavailable, until, without_limit);
        let args = (catalogue.revision, version, by.word(), content);
        last = match change(connection, sale, id, Script::Amend, args).await {
            // It got the wanted version only after it was read.
            Ok(Change::Changed(r)) if wanted.version.is_none_or(|version| version == r.version) => {
                Change::Changed(r)
            }
            Ok(Change::UnknownItem(_)) => return Change::UnknownItem(unknown),
            Ok(done) => return done,
            Err(Failure::Refused(Refusal::Revision(revision))) => {
                // The journal will bring the new definition.
                let wait = crate::projection::read_model::READ_MODEL_AGE_MAX;
                let _ = tokio::time::timeout(wait, sale.wait_for_revision(revision)).await;
                Change::NotTaken(Shed::Ledger)
            }
            Err(failure) => return failed(sale, &failure),
        };
    }
    last
}

/// Calls a script on one reservation; `args` follow those that all these scripts have.
async fn change<D: Dial>(
    connection: &RedisConnection<D>,
    sale: &Sale,
    id: &str,
    script: Script,
    args: impl ToRedisArgs,
) -> Result<Change, Failure> {
    let live = require_connection(connection)?;
    let args = (sale.ledger_identity(&live.epoch), sale.known_sequence(), id, args);
    let reply = connection.call(&live, script, &sale.keys, args).await;
    let reply = reply.inspect_err(|failure| sale.note_refusal(failure))?;
    let (change, header) = read_change(id, &reply)?;
    if !acknowledge_change(sale, &live.epoch, script, id, &change, header, &reply) {
        return Err(Failure::Unknown(PRIMARY_CHANGED.to_owned()));
    }
    header.inspect(|header| sale.advance_known_sequence(header.sequence));
    Ok(change)
}

/// Buffers a change, made now or before, and the clocks of a refusal; `false`: it must not be
/// acknowledged.
fn acknowledge_change(
    sale: &Sale,
    epoch: &str,
    script: Script,
    id: &str,
    change: &Change,
    header: Option<Header>,
    reply: &[Value],
) -> bool {
    let mut acknowledged = sale.acknowledged();
    let Some(header) = header.filter(|_| acknowledged.may_acknowledge(epoch)) else {
        return acknowledged.may_acknowledge(epoch);
    };
    let made = match (change, script) {
        (Change::Done(reservation, _), Script::Amend) => Some(("amend", reservation)),
        (Change::Done(reservation, _), Script::Confirm) => Some(("confirm", reservation)),
        (Change::Done(reservation, _), _) => Some(("cancel", reservation)),
        (Change::NotHeld(reservation), _) if word_of(reply) == "refused" => Some(("refuse", reservation)),
        _ => None,
    };
    if let (Some((kind, reservation)), Some(row)) = (made, reply.get(2))
        && let [.., _, sequence] = reservation.changes[..]
    {
        // The buyer's name is in the record already: an earlier change made the reservation.
        let rows = format!("{} {NAMELESS} {}", &id[..BUYER_CHARS], text(row).unwrap_or_default());
        return acknowledged.acknowledge(epoch, Acknowledged::of(kind, sequence, &header, rows));
    }
    if is_late(reply) {
        acknowledged.note_late_by(&header);
        return true;
    }
    if let (Change::NotHeld(r), Script::Amend) = (change, script)
        && r.state.takes_stock()
    {
        acknowledged.note_late_by(&header);
    }
    match change {
        // The change behind this state must not be lost: its own caller may have got no response. A
        // change that made the reservation is omitted, since it needs the buyer's name.
        Change::NotHeld(r)
        | Change::Changed(r)
        | Change::AmendLimitReached(r)
        | Change::PaymentConflict(r)
            if r.changes.len() > 1 =>
        {
            acknowledged.acknowledge_shown(
                epoch,
                &Reservation { buyer: NAMELESS.into(), ..(**r).clone() },
                &header,
            )
        }
        _ => true,
    }
}

/// Whether the script refused because deadline and grace are over: until the sweep the record still has it as held.
fn is_late(reply: &[Value]) -> bool {
    matches!(&*word_of(reply), "late" | "late-changed")
}

/// The first word of a reply.
fn word_of(reply: &[Value]) -> String {
    reply.first().and_then(text).unwrap_or_default()
}

/// Decodes a script's reply about a reservation, with the header, if there is one.
pub(crate) fn read_change(id: &str, reply: &[Value]) -> Result<(Change, Option<Header>), Failure> {
    let word = word_of(reply);
    if word == "not-found" {
        return Ok((Change::NotFound, None));
    }
    let header = Header::of(reply)?;
    if word == "unknown-item" {
        return Ok((Change::UnknownItem(Vec::new()), Some(header)));
    }
    if word == "sold-out" {
        let items: Option<Vec<String>> = reply[2..].iter().map(text).collect();
        let items = items.filter(|items| !items.is_empty() && !items.iter().any(String::is_empty));
        let items = items.ok_or_else(|| Failure::unreadable("sold-out without items"))?;
        return Ok((Change::SoldOut { items, is_final: header.held == 0 }, Some(header)));
    }
    let row = reply.get(2).and_then(text).unwrap_or_default();
    // The buyer's name is not in the row and not needed: callers see only their own.
    let reservation = Reservation::from_row(&id[..BUYER_CHARS], "", &row)
        .filter(|reservation| reservation.id == id)
        .map(|reservation| match is_late(reply) {
            true => Box::new(Reservation { state: State::Expired, ..reservation }),
            false => Box::new(reservation),
        })
        .ok_or_else(|| Failure::unreadable(format!("a row that can't be read: {row:?}")))?;
    let change = match word.as_str() {
        "ok" => Change::Done(reservation, header),
        "not-held" | "late" | "refused" => Change::NotHeld(reservation),
        "changed" | "late-changed" => Change::Changed(reservation),
        "spent" => Change::AmendLimitReached(reservation),
        "payment-conflict" => Change::PaymentConflict(reservation),
        other => {
            return Err(Failure::unreadable(format!("an answer that can't be read: {other:?}")));
        }
    };
    Ok((change, Some(header)))
}

fn failed(sale: &Sale, failure: &Failure) -> Change {
    tracing::debug!(sale = sale.id, %failure, "a change was not made");
    match failure {
        Failure::Unknown(_) | Failure::NotReplicated { .. } => Change::Unknown,
        Failure::NotDone(_) | Failure::WrongServer(_) | Failure::Refused(_) => {
            Change::NotTaken(failure.shed())
        }
    }
}
