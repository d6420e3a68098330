//! Owns the ledger as the journal tells it: every change in order, and what they add up to.

use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// What a journal line does to a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Reserve,
    Amend,
    Confirm,
    Cancel,
    Expire,
}

/// A journal line about a reservation.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Change {
    /// `<sequence>-0`.
    pub(crate) id: String,
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) at: String,
    pub(crate) reservation: String,
    pub(crate) buyer: String,
    pub(crate) number: u64,
    #[serde(default)]
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) packages: Vec<String>,
    pub(crate) store: Option<String>,
    pub(crate) payment: Option<String>,
}

impl Change {
    pub(crate) fn sequence(&self) -> u64 {
        self.id.split('-').next().and_then(|sequence| sequence.parse().ok()).unwrap_or(0)
    }

    /// For a violation's history.
    pub(crate) fn describe(&self) -> String {
        format!(
            "{} {} {:?} {} number {} model {} packages {:?} store {:?} payment {:?}",
            self.at,
            self.id,
            self.kind,
            self.reservation,
            self.number,
            self.model,
            self.packages,
            self.store,
            self.payment
        )
    }
}

/// Reads a line of the journal: `None` for levers and definitions.
pub(crate) fn read_line(line: &str) -> Result<(String, Option<Change>), serde_json::Error> {
    #[derive(Deserialize)]
    struct Head {
        cursor: String,
        kind: String,
    }
    let head: Head = serde_json::from_str(line)?;
    let change = match head.kind.as_str() {
        "reserve" | "amend" | "confirm" | "cancel" | "expire" => Some(serde_json::from_str(line)?),
        _ => None,
    };
    Ok((head.cursor, change))
}

/// A reservation's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Held,
    Confirmed,
    Cancelled,
    Expired,
}

/// A reservation as the journal leaves it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) buyer: String,
    pub(crate) number: u64,
    /// As it was reserved; an amendment changes `items`, not these.
    pub(crate) model: String,
    pub(crate) packages: Vec<String>,
    pub(crate) store: Option<String>,
    pub(crate) state: State,
    pub(crate) payment: Option<String>,
    /// The sequences of its changes.
    pub(crate) reserved_at: u64,
    pub(crate) confirmed_at: Option<u64>,
    pub(crate) cancelled_at: Option<u64>,
    items: Vec<String>,
}

/// What is taken of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) held: u64,
    pub(crate) confirmed: u64,
    /// The most that was taken between two journal entries.
    pub(crate) peak: u64,
}

/// A step that the state machine or the numbering does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misstep {
    pub(crate) buyer: String,
    pub(crate) reservation: String,
    pub(crate) what: String,
    pub(crate) kind: MisstepKind,
}

/// Which rule a misstep breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MisstepKind {
    Number,
    State,
    TooManyPerBuyer,
}

/// What a journal adds up to.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) entries: HashMap<String, Entry>,
    pub(crate) taken: BTreeMap<String, Taken>,
    /// The reservations of each buyer, in the order in which they were taken.
    pub(crate) of_buyer: HashMap<String, Vec<String>>,
    pub(crate) missteps: Vec<Misstep>,
    last_number: u64,
}

impl Book {
    /// Replays the changes up to and with a sequence.
    pub(crate) fn replay(changes: &[Change], per_buyer: u64, up_to: u64) -> Book {
        let mut book = Book::default();
        let mut touched: Vec<String> = Vec::new();
        let mut sequence = 0;
        for change in changes {
            if change.sequence() > up_to {
                break;
            }
            // All changes of an entry happen at once: nobody ever saw what is between them.
            if change.sequence() != sequence {
                book.note_peaks(&mut touched);
                sequence = change.sequence();
            }
            book.apply(change, per_buyer, &mut touched);
        }
        book.note_peaks(&mut touched);
        book
    }

    fn apply(&mut self, change: &Change, per_buyer: u64, touched: &mut Vec<String>) {
        if change.kind == Kind::Reserve {
            return self.reserve(change, per_buyer, touched);
        }
        let Some(entry) = self.entries.get_mut(&change.reservation) else {
            return self.misstep(change, MisstepKind::State, "changed before it was reserved".to_owned());
        };
        let before = entry.state;
        let after = match (change.kind, before) {
            (Kind::Amend, State::Held | State::Confirmed) => before,
            (Kind::Confirm, State::Held) => State::Confirmed,
            (Kind::Cancel, State::Held | State::Confirmed) => State::Cancelled,
            (Kind::Expire, State::Held) => State::Expired,
            (kind, state) => {
                return self.misstep(
                    change,
                    MisstepKind::State,
                    format!("{kind:?} of a reservation that is {state:?}"),
                );
            }
        };
        let old = entry.items.clone();
        entry.state = after;
        match change.kind {
            Kind::Amend => entry.items = items_of(change),
            Kind::Confirm => {
                entry.confirmed_at = Some(change.sequence());
                entry.payment.clone_from(&change.payment);
            }
            Kind::Cancel => entry.cancelled_at = Some(change.sequence()),
            Kind::Expire | Kind::Reserve => {}
        }
        let new = entry.items.clone();
        for item in &old {
            self.count(item, before, false);
        }
        for item in &new {
            self.count(item, after, true);
        }
        touched.extend(old);
        touched.extend(new);
    }

    fn reserve(&mut self, change: &Change, per_buyer: u64, touched: &mut Vec<String>) {
        if self.entries.contains_key(&change.reservation) {
            return self.misstep(change, MisstepKind::State, "reserved twice".to_owned());
        }
        if change.number != self.last_number + 1 {
            let what = format!("number {} follows number {}", change.number, self.last_number);
            self.misstep(change, MisstepKind::Number, what);
        }
        self.last_number = change.number;
        let items = items_of(change);
        for item in &items {
            self.count(item, State::Held, true);
        }
        touched.extend(items.iter().cloned());
        self.entries.insert(
            change.reservation.clone(),
            Entry {
                buyer: change.buyer.clone(),
                number: change.number,
                model: change.model.clone(),
                packages: change.packages.clone(),
                store: change.store.clone(),
                state: State::Held,
                payment: None,
                reserved_at: change.sequence(),
                confirmed_at: None,
                cancelled_at: None,
                items,
            },
        );
        let own = self.of_buyer.entry(change.buyer.clone()).or_default();
        own.push(change.reservation.clone());
        let alive = own
            .iter()
            .filter_map(|id| self.entries.get(id))
            .filter(|entry| matches!(entry.state, State::Held | State::Confirmed))
            .count();
        if alive as u64 > per_buyer {
            let what = format!("the buyer has {alive} reservations, the sale allows {per_buyer}");
            self.misstep(change, MisstepKind::TooManyPerBuyer, what);
        }
    }

    fn count(&mut self, item: &str, state: State, up: bool) {
        let taken = self.taken.entry(item.to_owned()).or_default();
        let counter = match state {
            State::Held => &mut taken.held,
            State::Confirmed => &mut taken.confirmed,
            State::Cancelled | State::Expired => return,
        };
        *counter = if up { *counter + 1 } else { counter.saturating_sub(1) };
    }

    fn note_peaks(&mut self, touched: &mut Vec<String>) {
        for item in touched.drain(..) {
            if let Some(taken) = self.taken.get_mut(&item) {
                taken.peak = taken.peak.max(taken.held + taken.confirmed);
            }
        }
    }

    fn misstep(&mut self, change: &Change, kind: MisstepKind, what: String) {
        self.missteps.push(Misstep {
            buyer: change.buyer.clone(),
            reservation: change.reservation.clone(),
            what: format!("{what} (journal {})", change.id),
            kind,
        });
    }
}

fn items_of(change: &Change) -> Vec<String> {
    std::iter::once(format!("model:{}", change.model))
        .chain(change.packages.iter().map(|package| format!("package:{package}")))
        .chain(change.store.iter().map(|store| format!("store:{store}")))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A change to a reservation of model `a`, package `p` and store `s`.
    pub(crate) fn change(sequence: u64, kind: Kind, reservation: &str, buyer: &str, number: u64) -> Change {
        Change {
            id: format!("{sequence}-0"),
            kind,
            at: "2026-11-09T12:00:00Z".to_owned(),
            reservation: reservation.to_owned(),
            buyer: buyer.to_owned(),
            number,
            model: "a".to_owned(),
            packages: vec!["p".to_owned()],
            store: Some("s".to_owned()),
            payment: None,
        }
    }

    fn taken(book: &Book, item: &str) -> (u64, u64, u64) {
        let taken = book.taken[item];
        (taken.held, taken.confirmed, taken.peak)
    }

    #[test]
    fn a_life_of_reservations_adds_up() {
        let changes = [
            change(1, Kind::Reserve, "r1", "b1", 1),
            change(2, Kind::Reserve, "r2", "b2", 2),
            change(3, Kind::Reserve, "r3", "b3", 3),
            change(4, Kind::Confirm, "r1", "b1", 1),
            change(5, Kind::Cancel, "r2", "b2", 2),
            change(6, Kind::Expire, "r3", "b3", 3),
            change(7, Kind::Reserve, "r4", "b3", 4),
        ];
        let book = Book::replay(&changes, 1, u64::MAX);
        assert_eq!(book.missteps, []);
        for item in ["model:a", "package:p", "store:s"] {
            assert_eq!(taken(&book, item), (1, 1, 3));
        }
        assert_eq!(taken(&Book::replay(&changes, 1, 4), "model:a"), (2, 1, 3));
    }

    #[test]
    fn an_amendment_moves_what_is_taken() {
        let mut amend = change(2, Kind::Amend, "r1", "b1", 1);
        amend.model = "b".to_owned();
        amend.packages.clear();
        let book = Book::replay(&[change(1, Kind::Reserve, "r1", "b1", 1), amend], 1, u64::MAX);
        assert_eq!(taken(&book, "model:a"), (0, 0, 1));
        assert_eq!(taken(&book, "model:b"), (1, 0, 1));
        assert_eq!(taken(&book, "package:p"), (0, 0, 1));
    }

    #[test]
    fn changes_of_one_entry_happen_at_once() {
        let changes = [
            change(1, Kind::Reserve, "r1", "b1", 1),
            change(2, Kind::Reserve, "r2", "b2", 2),
            change(2, Kind::Cancel, "r1", "b1", 1),
        ];
        assert_eq!(taken(&Book::replay(&changes, 1, u64::MAX), "model:a"), (1, 0, 1));
    }

    #[test]
    fn missteps_are_found() {
        let kinds = |changes: &[Change]| {
            Book::replay(changes, 1, u64::MAX).missteps.iter().map(|misstep| misstep.kind).collect::<Vec<_>>()
        };
        let first = change(1, Kind::Reserve, "r1", "b1", 1);
        assert_eq!(kinds(&[first.clone(), change(2, Kind::Reserve, "r2", "b2", 3)]), [MisstepKind::Number]);
        assert_eq!(kinds(&[first.clone(), change(2, Kind::Reserve, "r2", "b2", 1)]), [MisstepKind::Number]);
        assert_eq!(
            kinds(&[first.clone(), change(2, Kind::Reserve, "r2", "b1", 2)]),
            [MisstepKind::TooManyPerBuyer]
        );
        assert_eq!(kinds(&[first.clone(), change(2, Kind::Reserve, "r1", "b1", 2)]), [MisstepKind::State]);
        assert_eq!(kinds(&[change(1, Kind::Expire, "r1", "b1", 1)]), [MisstepKind::State]);
        let twice = [first, change(2, Kind::Cancel, "r1", "b1", 1), change(3, Kind::Confirm, "r1", "b1", 1)];
        assert_eq!(kinds(&twice), [MisstepKind::State]);
    }

    #[test]
    fn journal_lines_are_read_and_levers_skipped() {
        let line = r#"{"cursor": "4711-0/3", "id": "4711-0", "change": 3, "changes": 64, "kind": "reserve",
            "at": "2026-11-09T12:00:00Z", "sale": "s", "reservation": "r", "buyer": "b", "number": 17, "version": 1,
            "state": "held", "model": "m", "packages": [], "store": null, "unavailable": ["store:x"], "payment": null}"#;
        let (cursor, change) = read_line(line).unwrap();
        let change = change.unwrap();
        assert_eq!((cursor.as_str(), change.sequence(), change.kind), ("4711-0/3", 4711, Kind::Reserve));
        let (cursor, lever) =
            read_line(r#"{"cursor":"9-0/1","id":"9-0","kind":"pause","who":"ann"}"#).unwrap();
        assert!(cursor == "9-0/1" && lever.is_none());
        assert!(read_line(r#"{"cursor":"9-0/1","kind":"reserve"}"#).is_err());
    }
}
