//! A request for a reservation, and its one decision.

use std::sync::Arc;

use crate::domain::label::label;
use crate::domain::reservation::Reservation;

/// A request for a reservation.
#[derive(Debug, Clone)]
pub struct ReserveCommand {
    /// Derived from sale, buyer and key.
    pub id: String,
    /// The buyer.
    pub sub: Arc<str>,
    /// The fingerprint of the request.
    pub fingerprint: String,
    /// The model's id.
    pub model: String,
    /// The packages' ids, without duplicates.
    pub packages: Vec<String>,
    /// The store's id; `None`: it is chosen later.
    pub store: Option<String>,
    /// Packages and store may be omitted.
    pub accept_partial: bool,
}

/// The one decision of a tap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A new hold.
    Won(Box<Reservation>, Header),
    /// The same reservation again, in its current state.
    Replayed(Box<Reservation>, Header),
    /// The key was used with another request body.
    KeyReused,
    /// The sale has closed.
    Closed,
    /// The sale is not open yet; Redis's `TIME` in ms.
    NotOpen(i64),
    /// An operator action stopped new reservations.
    Paused,
    /// The sale requires a sign-up, and this buyer has none.
    NotSignedUp,
    /// These items do not exist or do not fit the model.
    UnknownItem(Vec<String>),
    /// These reservations of the buyer reach a limit of the sale.
    PurchaseLimit(PurchaseLimit, Vec<String>),
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

label! {
    /// The limit of a sale that a buyer has reached.
    PurchaseLimit:
    /// Of reservations held and confirmed.
    PerBuyer "per-buyer",
    /// Of reservations ever started.
    Attempts "attempts",
}

/// The common prefix of every reply about reservations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// The sequence of the latest change.
    pub sequence: u64,
    /// Redis's `TIME` in ms, kept from running backwards.
    pub time: i64,
    /// The sale clock, in ms.
    pub sale_clock: i64,
    /// Outstanding holds.
    pub held: u64,
}

label! {
    /// Why a request was not carried out (503 `temporary-reduced-capacity`).
    Shed:
    /// Too many connections.
    Connections "connections",
    /// Too many connections from one client address.
    Address "address",
    /// Too many requests are in flight to the ledger.
    InFlight "in-flight",
    /// The queue is full.
    Queue "queue",
    /// The predicted wait is too long.
    Delay "delay",
    /// The request reached its deadline in the queue.
    Deadline "deadline",
    /// Redis is unreachable or refuses writes.
    Redis "redis",
    /// The ledger of the sale refuses: damaged, behind, fenced, or at a definition that this
    /// gateway has not read.
    Ledger "ledger",
    /// This gateway has not read the sale yet.
    Unread "unread",
    /// Too many unsent responses on this connection: the client reads too slowly.
    Unsent "unsent",
}
