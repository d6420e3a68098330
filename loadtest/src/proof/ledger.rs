//! Parses the journal's lines of the admin API: changes to reservations and operator actions.
//! `ledger/book.rs` adds them up; `ledger/waiting.rs` has those of buyers without a reservation.

mod book;
#[cfg(test)]
pub(crate) mod tests;
mod waiting;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::plan::selection::Choice;

pub(crate) use book::{Book, Entry, State};
pub(crate) use waiting::{WaitingLine, WaitingStep};

/// What a journal line does to a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A tap has won.
    Reserve,
    /// An entrant of a draw got it in the allocation. The journal's word is `reserve`, too.
    #[serde(skip_deserializing)]
    Draw,
    /// A buyer got it who waited in a queue.
    Grant,
    Amend,
    Confirm,
    Cancel,
    Expire,
    /// A payment that arrived after the hold had ended, and is refunded.
    Refuse,
}

/// A journal line about a reservation, which it shows as it is afterwards. Small: of a soak of a day there are 26 million.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) sequence: u64,
    /// Redis's `TIME`, made monotonic.
    pub(crate) at: Timestamp,
    subject: Arc<Subject>,
    pub(crate) selected: Arc<Selected>,
    pub(crate) payment: Option<Box<str>>,
    pub(crate) version: u32,
    pub(crate) kind: Kind,
}

/// What all lines about a reservation show of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Subject {
    reservation: Box<str>,
    buyer: Box<str>,
    number: u64,
    /// When it was taken.
    held_at: Timestamp,
}

/// What a reservation consists of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Selected {
    pub(crate) model: String,
    pub(crate) packages: Vec<String>,
    pub(crate) store: Option<String>,
}

impl Selected {
    /// Whether it is what was wanted, or that without some of the packages or the store.
    pub(crate) fn is_of(&self, wanted: &Choice) -> bool {
        self.model == wanted.model
            && self.packages.iter().all(|id| wanted.packages.contains(id))
            && (self.store.is_none() || self.store == wanted.store)
    }
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
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) changes: Vec<Change>,
    pub(crate) operator_actions: Vec<OperatorAction>,
    pub(crate) waiting: Vec<WaitingLine>,
}

/// Reads a journal line by line; what lines have in common is kept once.
#[derive(Debug, Default)]
pub(crate) struct JournalReader {
    journal: Journal,
    /// By the hash of the reservation's id: of two with one hash, the latest.
    subjects: HashMap<u64, Arc<Subject>>,
    selected: HashSet<Arc<Selected>>,
    hasher: RandomState,
    /// A draw was made whose allocation is not over: nobody can tap.
    is_allocating: bool,
}

impl Kind {
    /// Whether it makes a reservation.
    pub(crate) fn takes(self) -> bool {
        matches!(self, Kind::Reserve | Kind::Draw | Kind::Grant)
    }
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
    pub(crate) fn reservation(&self) -> &str {
        &self.subject.reservation
    }

    pub(crate) fn buyer(&self) -> &str {
        &self.subject.buyer
    }

    pub(crate) fn number(&self) -> u64 {
        self.subject.number
    }

    pub(crate) fn held_at(&self) -> Timestamp {
        self.subject.held_at
    }

    pub(crate) fn version(&self) -> u64 {
        u64::from(self.version)
    }

    /// What the reservation takes, as long as it is alive.
    pub(crate) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let Selected { model, packages, store } = &*self.selected;
        std::iter::once(Item { kind: "model", id: model })
            .chain(packages.iter().map(|id| Item { kind: "package", id }))
            .chain(store.iter().map(|id| Item { kind: "store", id }))
    }

    /// For a violation's history.
    pub(crate) fn describe(&self) -> String {
        let Selected { model, packages, store } = &*self.selected;
        format!(
            "{} {}-0 {:?} {} number {} version {} model {model} packages {packages:?} store {store:?} payment {:?}",
            self.at,
            self.sequence,
            self.kind,
            self.reservation(),
            self.number(),
            self.version,
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

impl JournalReader {
    /// Adds one line; returns the cursor behind it.
    pub(crate) fn read_line(&mut self, line: &str) -> Result<String, serde_json::Error> {
        #[derive(Deserialize)]
        struct Head {
            cursor: String,
            kind: String,
            reservation: Option<IgnoredAny>,
        }
        let head: Head = serde_json::from_str(line)?;
        match head.kind.as_str() {
            "reserve" | "amend" | "confirm" | "cancel" | "expire" | "refuse" | "grant"
                if head.reservation.is_some() =>
            {
                let mut change = self.change(serde_json::from_str(line)?);
                if self.is_allocating && change.kind == Kind::Reserve {
                    change.kind = Kind::Draw;
                }
                self.journal.changes.push(change);
            }
            "signup" | "withdraw" | "entrants" | "draw" | "allocate" | "join" | "leave" | "grant" => {
                let line = WaitingLine::read(line)?;
                match line.as_ref().map(|line| &line.step) {
                    Some(WaitingStep::Draw { .. }) => self.is_allocating = true,
                    Some(WaitingStep::Allocated) => self.is_allocating = false,
                    _ => {}
                }
                self.journal.waiting.extend(line);
            }
            kind => {
                let mut line: serde_json::Map<_, _> = serde_json::from_str(line)?;
                // Other lines may have members of these names that are not stock: the `was` of `adopt`
                // is an epoch.
                if kind != "restock" {
                    line.retain(|name, _| !matches!(name.as_str(), "item" | "total" | "was"));
                }
                self.journal.operator_actions.push(serde_json::from_value(line.into())?);
            }
        }
        Ok(head.cursor)
    }

    pub(crate) fn finish(self) -> Journal {
        self.journal
    }

    fn change(&mut self, line: Line) -> Change {
        let Line { id, kind, at, held_at, reservation, buyer, number, version, .. } = line;
        let Line { model, packages, store, payment, .. } = line;
        let hash = self.hasher.hash_one(&reservation);
        let subject = Subject { reservation, buyer, number, held_at };
        let known = self.subjects.get(&hash).filter(|known| ***known == subject).cloned();
        let subject = known.unwrap_or_else(|| {
            let new = Arc::new(subject);
            self.subjects.insert(hash, Arc::clone(&new));
            new
        });
        let selected = Selected { model, packages, store };
        let known = self.selected.get(&selected).cloned();
        let selected = known.unwrap_or_else(|| {
            let new = Arc::new(selected);
            self.selected.insert(Arc::clone(&new));
            new
        });
        Change { sequence: sequence(&id), at, subject, selected, payment, version, kind }
    }
}

/// A line about a reservation, as the journal has it.
#[derive(Deserialize)]
struct Line {
    /// `<sequence>-0`.
    id: String,
    kind: Kind,
    at: Timestamp,
    held_at: Timestamp,
    reservation: Box<str>,
    buyer: Box<str>,
    number: u64,
    version: u32,
    #[serde(default)]
    model: String,
    #[serde(default)]
    packages: Vec<String>,
    store: Option<String>,
    payment: Option<Box<str>>,
}
