//! Parses the journal's lines of the admin API: changes to reservations and operator actions.
//! `ledger/book.rs` adds them up.

mod book;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;

pub(crate) use book::{Book, Entry, State};

/// What a journal line does to a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Reserve,
    Amend,
    Confirm,
    Cancel,
    Expire,
    /// A payment that arrived after the hold had ended, and is refunded.
    Refuse,
}

/// A journal line about a reservation, which it shows as it is afterwards.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Change {
    /// `<sequence>-0`.
    pub(crate) id: String,
    pub(crate) kind: Kind,
    /// Redis's `TIME`, made monotonic.
    pub(crate) at: Timestamp,
    /// When the reservation was taken.
    pub(crate) held_at: Timestamp,
    pub(crate) reservation: String,
    pub(crate) buyer: String,
    pub(crate) number: u64,
    pub(crate) version: u64,
    #[serde(default)]
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) packages: Vec<String>,
    pub(crate) store: Option<String>,
    pub(crate) payment: Option<String>,
}

/// A journal line about the sale: a definition, a restock, an operator action.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OperatorAction {
    /// `<sequence>-0`.
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) at: Timestamp,
    /// Of a restock: which item, and its total afterwards and before.
    pub(crate) item: Option<String>,
    pub(crate) total: Option<u64>,
    pub(crate) was: Option<u64>,
}

/// A complete journal, its two kinds of lines apart, each in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    pub(crate) changes: Vec<Change>,
    pub(crate) operator_actions: Vec<OperatorAction>,
}

/// Something with a counted stock, without the text that its name would cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Item<'a> {
    kind: &'a str,
    id: &'a str,
}

impl<'a> Item<'a> {
    /// Of a name as the API writes it, such as `model:air-400-white`.
    pub(crate) fn named(name: &'a str) -> Item<'a> {
        let (kind, id) = name.split_once(':').unwrap_or((name, ""));
        Item { kind, id }
    }

    pub(crate) fn is_store(self) -> bool {
        self.kind == "store"
    }
}

impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

impl Change {
    pub(crate) fn sequence(&self) -> u64 {
        sequence(&self.id)
    }

    /// What the reservation takes, as long as it is alive.
    pub(crate) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        std::iter::once(Item { kind: "model", id: &self.model })
            .chain(self.packages.iter().map(|id| Item { kind: "package", id }))
            .chain(self.store.iter().map(|id| Item { kind: "store", id }))
    }

    /// For a violation's history.
    pub(crate) fn describe(&self) -> String {
        format!(
            "{} {} {:?} {} number {} version {} model {} packages {:?} store {:?} payment {:?}",
            self.at,
            self.id,
            self.kind,
            self.reservation,
            self.number,
            self.version,
            self.model,
            self.packages,
            self.store,
            self.payment
        )
    }
}

impl OperatorAction {
    pub(crate) fn sequence(&self) -> u64 {
        sequence(&self.id)
    }

    /// A definition: it may have changed totals, but its line does not list them.
    pub(crate) fn defines(&self) -> bool {
        self.kind == "define"
    }
}

fn sequence(id: &str) -> u64 {
    id.split('-').next().and_then(|sequence| sequence.parse().ok()).unwrap_or(0)
}

impl Journal {
    /// Adds one line; returns the cursor behind it.
    pub(crate) fn read_line(&mut self, line: &str) -> Result<String, serde_json::Error> {
        #[derive(Deserialize)]
        struct Head {
            cursor: String,
            kind: String,
        }
        let head: Head = serde_json::from_str(line)?;
        match head.kind.as_str() {
            "reserve" | "amend" | "confirm" | "cancel" | "expire" | "refuse" => {
                self.changes.push(serde_json::from_str(line)?)
            }
            kind => {
                let mut line: serde_json::Map<_, _> = serde_json::from_str(line)?;
                // Other lines may have members of these names that are not stock: the `was` of `adopt`
                // is an epoch.
                if kind != "restock" {
                    line.retain(|name, _| !matches!(name.as_str(), "item" | "total" | "was"));
                }
                self.operator_actions.push(serde_json::from_value(line.into())?);
            }
        }
        Ok(head.cursor)
    }
}
