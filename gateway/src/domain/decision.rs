//! What a tap asks the ledger for, and the one answer to it.

use std::sync::Arc;

use crate::domain::label::label;
use crate::domain::reservation::Reservation;

/// What a buyer asks for.
#[derive(Debug, Clone)]
pub struct ReserveCommand {
    /// Derived from sale, buyer and key.
    pub id: String,
    /// The buyer.
    pub sub: Arc<str>,
    /// Of the request.
    pub fingerprint: String,
    /// The model's id.
    pub model: String,
    /// The packages' ids, none twice.
    pub packages: Vec<String>,
    /// The store's id.
    pub store: String,
    /// Packages and store may be left off.
    pub accept_partial: bool,
}

/// The one answer to a tap. "No" is an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A new hold.
    Won(Box<Reservation>, Header),
    /// The same reservation again, as it stands.
    Replayed(Box<Reservation>, Header),
    /// The key was used with another body.
    KeyReused,
    /// The sale has closed.
    Closed,
    /// The sale is not open yet; Redis's `TIME` in ms.
    NotOpen(i64),
    /// An operator action stopped new reservations.
    Paused,
    /// These items do not exist or do not fit.
    UnknownItem(Vec<String>),
    /// The buyer has these already.
    PurchaseLimit(Vec<String>),
    /// These items are gone; final when no hold is outstanding.
    SoldOut {
        /// Which.
        items: Vec<String>,
        /// Nothing can come back by itself.
        is_final: bool,
    },
    /// Certainly not taken.
    NotTaken(Shed),
    /// Sent to Redis, and no answer came.
    Unknown,
}

/// What every answer about reservations begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// Of the latest change.
    pub sequence: u64,
    /// Redis's `TIME`, kept from running backwards, in ms.
    pub time: i64,
    /// The sale clock, in ms.
    pub sale_clock: i64,
    /// Reservations that are held.
    pub held: u64,
}

label! {
    /// Why a request was certainly not carried out (503 `temporary-reduced-capacity`).
    Shed:
    /// Too many connections.
    Connections "connections",
    /// Too many connections of one client address.
    Address "address",
    /// Too many requests ask the ledger.
    InFlight "in-flight",
    /// The line is full.
    Queue "queue",
    /// It would have had to wait for too long.
    Delay "delay",
    /// It has waited for too long.
    Deadline "deadline",
    /// Redis is out of reach, or takes nothing.
    Redis "redis",
    /// The ledger of the sale stands still: damaged, older than what is known, or at a definition that has not come yet.
    Ledger "ledger",
    /// The sale has not been read yet.
    Unread "unread",
    /// Its connection has many requests whose answers wait for a client that does not read.
    Unsent "unsent",
}
