//! A reservation as the ledger stores it, its states, and the text form in records and journal.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::identity::BUYER_CHARS;
use crate::domain::label::label;
use crate::domain::subject::{from_word, push_word};

label! {
    /// `held` → `confirmed` | `cancelled` | `expired`; `confirmed` → `cancelled`. A late payment can confirm what has
    /// ended without one.
    #[derive(Hash, Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "lowercase")]
    State:
    /// Not yet paid; it has a deadline.
    Held "held",
    /// Paid.
    Confirmed "confirmed",
    /// Ended by its buyer or a service.
    Cancelled "cancelled",
    /// Ended by its deadline.
    Expired "expired",
}

impl State {
    /// Whether it occupies stock.
    pub fn takes_stock(self) -> bool {
        matches!(self, Self::Held | Self::Confirmed)
    }
}

/// One buyer's claim on one model, any packages and one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// See [`super::identity::reservation_id`].
    pub id: String,
    /// The `sub` of the buyer's token.
    pub buyer: Arc<str>,
    /// The sale's reservations are numbered from 1.
    pub number: u64,
    /// Starts at 1 and increases with every change of what is reserved.
    pub version: u64,
    /// The state in the ledger: a hold past its deadline and grace may still be `held`.
    pub state: State,
    /// The model's id.
    pub model: String,
    /// The packages' ids, in the requested order.
    pub packages: Vec<String>,
    /// `None`: not chosen yet.
    pub store: Option<String>,
    /// Requested items that were sold out and left off.
    pub unavailable: Vec<String>,
    /// The fingerprint of the request that created it.
    pub fingerprint: String,
    /// Redis's `TIME` of the hold, in ms.
    pub held_at: i64,
    /// On the sale clock, in ms.
    pub deadline: i64,
    /// The payment reference; of what has ended: the payment that was refunded.
    pub payment: Option<String>,
    /// The sequence of its latest change, preceded by that of the change before, if any.
    pub changes: Vec<u64>,
}

/// The fingerprint of a reservation that a draw gave: no request has it.
pub const DRAWN: &str = "draw";

/// The fingerprint of a reservation that a standby queue was granted: no request has it.
const GRANTED: &str = "standby";

impl Reservation {
    /// Whether it was granted to a buyer who waited.
    pub fn is_granted(&self) -> bool {
        self.fingerprint == GRANTED
    }

    /// Parses a row of a buyer's record; `None` if it is damaged. `buyer_part` is the hash's field.
    pub fn from_row(buyer_part: &str, buyer: &str, row: &str) -> Option<Self> {
        // The scripts write nothing else, and responses copy the text unescaped.
        if !row.bytes().fold(true, |all, byte| all & (byte.is_ascii_graphic() | (byte == b' '))) {
            return None;
        }
        let mut fields = row.split(' ');
        let mut next = || fields.next();
        let key = next()?;
        let fingerprint = next()?.to_owned();
        let reservation = Self {
            id: format!("{buyer_part}{key}"),
            buyer: buyer.into(),
            fingerprint,
            model: next()?.to_owned(),
            packages: list(next()?),
            store: optional(next()?),
            unavailable: list(next()?),
            number: next()?.parse().ok()?,
            version: next()?.parse().ok()?,
            state: State::parse(next()?)?,
            held_at: next()?.parse().ok()?,
            deadline: next()?.parse().ok()?,
            payment: optional(next()?),
            changes: next()?.split(',').map(|n| n.parse().ok()).collect::<Option<_>>()?,
        };
        fields.next().is_none().then_some(reservation)
    }

    /// Parses a line of a journal entry, `buyer sub row`; `None` if it is damaged.
    pub fn from_journal(line: &str) -> Option<Self> {
        let (buyer_part, rest) = line.split_once(' ')?;
        let (word, row) = rest.split_once(' ')?;
        Self::from_row(buyer_part, &from_word(word)?, row)
    }

    /// Writes the form that [`Reservation::from_journal`] parses. It runs for every winner, so it
    /// allocates only the text.
    pub fn write_line(&self, out: &mut String) {
        let mut digits = itoa::Buffer::new();
        let (buyer, key) = self.id.split_at_checked(BUYER_CHARS).unwrap_or((&self.id, ""));
        out.push_str(buyer);
        out.push(' ');
        push_word(out, &self.buyer);
        out.push(' ');
        for word in [key, &self.fingerprint, &self.model] {
            out.push_str(word);
            out.push(' ');
        }
        push_list(out, &self.packages);
        out.push_str(self.store.as_deref().unwrap_or("-"));
        out.push(' ');
        push_list(out, &self.unavailable);
        for number in [self.number, self.version] {
            out.push_str(digits.format(number));
            out.push(' ');
        }
        out.push_str(self.state.name());
        for number in [self.held_at, self.deadline] {
            out.push(' ');
            out.push_str(digits.format(number));
        }
        out.push(' ');
        out.push_str(self.payment.as_deref().unwrap_or("-"));
        for (n, change) in self.changes.iter().enumerate() {
            out.push(if n == 0 { ' ' } else { ',' });
            out.push_str(digits.format(*change));
        }
    }

    /// The items that it occupies: `model:…`, `package:…`, `store:…`.
    pub fn items(&self) -> Vec<String> {
        let mut items = vec![format!("model:{}", self.model)];
        items.extend(self.packages.iter().map(|p| format!("package:{p}")));
        items.extend(self.store.iter().map(|s| format!("store:{s}")));
        items
    }

    /// The state that every call shows: past deadline and grace a hold is expired, swept or not.
    pub fn state_at(&self, sale_clock: i64, grace_ms: i64) -> State {
        if self.state == State::Held && sale_clock >= self.deadline.saturating_add(grace_ms) {
            State::Expired
        } else {
            self.state
        }
    }
}

/// Parses a buyer's whole record, `sub row` and a line for each further row; `None` if it is
/// damaged.
pub fn parse_record(buyer_part: &str, text: &str) -> Option<Vec<Reservation>> {
    let (word, rows) = text.split_once(' ')?;
    let buyer = from_word(word)?;
    rows.split('\n').map(|row| Reservation::from_row(buyer_part, &buyer, row)).collect()
}

/// The reservations of a buyer's record that have a payment. Most were not, so others are skipped
/// without a full parse; damaged rows are skipped too.
pub fn paid<'a>(buyer_part: &'a str, text: &'a str) -> impl Iterator<Item = Reservation> + 'a {
    /// The index of the payment field in a row.
    const PAYMENT: usize = 11;
    let (word, rows) = text.split_once(' ').unwrap_or_default();
    let buyer = from_word(word).unwrap_or_default();
    let is_paid = |row: &&str| row.split(' ').nth(PAYMENT).is_some_and(|payment| payment != "-");
    rows.split('\n').filter(is_paid).filter_map(move |row| Reservation::from_row(buyer_part, &buyer, row))
}

/// Joins with commas (`-` for an empty list) and appends a blank.
fn push_list(out: &mut String, list: &[String]) {
    for (n, word) in list.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(word);
    }
    out.push_str(if list.is_empty() { "- " } else { " " });
}

fn list(text: &str) -> Vec<String> {
    if text == "-" { Vec::new() } else { text.split(',').map(str::to_owned).collect() }
}

fn optional(text: &str) -> Option<String> {
    (text != "-").then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
