//! Replays the journal in order, and adds up its changes.

use std::collections::HashMap;

use crate::plan::selection::SaleTerms;
use crate::proof::ledger::{Change, Item, Kind};
use crate::proof::rules::{Rule, Violation, of};

/// A reservation's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Held,
    Confirmed,
    Cancelled,
    Expired,
}

impl State {
    fn is_alive(self) -> bool {
        matches!(self, State::Held | State::Confirmed)
    }
}

/// A reservation as the journal leaves it.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    /// What made each of its versions, from 1: the reserve, then the amendments.
    pub(crate) versions: Vec<&'a Change>,
    pub(crate) state: State,
    /// What ended its time as a hold, or it altogether.
    pub(crate) confirmed: Option<&'a Change>,
    pub(crate) cancelled: Option<&'a Change>,
    /// A late payment was refused: it ends for good.
    is_refused: bool,
}

impl<'a> Entry<'a> {
    fn new(reserve: &'a Change) -> Entry<'a> {
        Entry {
            // Exactly one: `vec!` makes no room for more, and few are amended.
            versions: vec![reserve],
            state: State::Held,
            confirmed: None,
            cancelled: None,
            is_refused: false,
        }
    }

    /// The change that made it.
    pub(crate) fn reserve(&self) -> &'a Change {
        self.versions[0]
    }

    /// A buyer got it who waited.
    pub(crate) fn is_granted(&self) -> bool {
        self.reserve().kind == Kind::Grant
    }

    /// What it asked for at this version.
    pub(crate) fn at_version(&self, version: u64) -> Option<&'a Change> {
        self.versions.iter().copied().find(|change| change.version() == version)
    }

    fn latest(&self) -> &'a Change {
        self.versions[self.versions.len() - 1]
    }

    /// Ms from being taken to this change.
    pub(crate) fn age_at(&self, change: &Change) -> i64 {
        change.at.as_millisecond() - self.reserve().at.as_millisecond()
    }
}

/// What is taken of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) held: u64,
    pub(crate) confirmed: u64,
    /// The most that was taken between two journal entries.
    pub(crate) peak: u64,
}

impl Taken {
    pub(crate) fn all(self) -> u64 {
        self.held + self.confirmed
    }
}

/// A buyer's reservations, in the order in which they were taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owner<'a> {
    pub(crate) reservations: Vec<&'a str>,
    /// The most that were alive together; a hold that was over but not swept yet counts here.
    pub(crate) alive_peak: u64,
}

/// What a journal adds up to.
#[derive(Debug, Default)]
pub(crate) struct Book<'a> {
    pub(crate) entries: HashMap<&'a str, Entry<'a>>,
    pub(crate) taken: HashMap<Item<'a>, Taken>,
    pub(crate) owners: HashMap<&'a str, Owner<'a>>,
    /// Steps that the state machine or the numbering does not allow.
    pub(crate) missteps: Vec<Violation>,
    /// Holds outstanding.
    pub(crate) held: u64,
    last_number: u64,
}

impl<'a> Book<'a> {
    /// Replays the changes up to and with a sequence.
    pub(crate) fn replay(changes: &'a [Change], terms: &SaleTerms, up_to: u64) -> Book<'a> {
        Book::follow(changes, terms, up_to, |_, _, _| {})
    }

    /// Replays them and shows what is there after each entry, with one of its changes and the items that it concerned.
    /// All changes of an entry happen at once: states between them were never visible.
    pub(crate) fn follow(
        changes: &'a [Change],
        terms: &SaleTerms,
        up_to: u64,
        mut after: impl FnMut(&Book<'a>, &'a Change, &[Item<'a>]),
    ) -> Book<'a> {
        let mut book = Book::default();
        let mut touched: Vec<Item<'a>> = Vec::new();
        for (i, change) in changes.iter().enumerate() {
            let sequence = change.sequence;
            if sequence > up_to {
                break;
            }
            book.apply(change, terms, &mut touched);
            if changes.get(i + 1).is_none_or(|next| next.sequence != sequence) {
                for item in &touched {
                    if let Some(taken) = book.taken.get_mut(item) {
                        taken.peak = taken.peak.max(taken.all());
                    }
                }
                after(&book, change, &touched);
                touched.clear();
            }
        }
        book
    }

    /// A buyer's reservations, in the order in which they were taken.
    pub(crate) fn reservations_of(&self, buyer: &str) -> impl Iterator<Item = &Entry<'a>> {
        let owner = self.owners.get(buyer);
        owner.into_iter().flat_map(|owner| &owner.reservations).filter_map(|id| self.entries.get(id))
    }

    pub(crate) fn taken(&self, item: &str) -> Taken {
        self.taken.get(&Item::named(item)).copied().unwrap_or_default()
    }

    fn apply(&mut self, change: &'a Change, terms: &SaleTerms, touched: &mut Vec<Item<'a>>) {
        if change.kind.takes() {
            return self.reserve(change, terms, touched);
        }
        let Some(entry) = self.entries.get_mut(change.reservation()) else {
            return self.misstep(change, Rule::StepsAllowed, "changed before it was reserved".to_owned());
        };
        let (before, was) = (entry.state, entry.latest());
        // A late payment may take it again.
        let is_unpaid = entry.confirmed.is_none() && !entry.is_refused;
        let after = match (change.kind, before) {
            (Kind::Amend, State::Held | State::Confirmed) => before,
            (Kind::Confirm, State::Held) => State::Confirmed,
            (Kind::Confirm, State::Cancelled | State::Expired) if is_unpaid => State::Confirmed,
            (Kind::Refuse, State::Held | State::Expired) if is_unpaid => State::Expired,
            (Kind::Refuse, State::Cancelled) if is_unpaid => State::Cancelled,
            (Kind::Cancel, State::Held | State::Confirmed) => State::Cancelled,
            (Kind::Expire, State::Held) => State::Expired,
            (kind, state) => {
                let what = format!("{kind:?} of a reservation that is {state:?}");
                return self.misstep(change, Rule::StepsAllowed, what);
            }
        };
        let mut misstep = None;
        entry.state = after;
        match change.kind {
            Kind::Amend => {
                if change.version() != was.version() + 1 {
                    let what = format!("version {} follows version {}", change.version, was.version);
                    misstep = Some((Rule::StepsAllowed, what));
                }
                entry.versions.push(change);
            }
            Kind::Confirm => entry.confirmed = Some(change),
            Kind::Cancel => entry.cancelled = Some(change),
            Kind::Expire | Kind::Refuse => {
                entry.is_refused = change.kind == Kind::Refuse;
                let (lasted, least) = (entry.age_at(change), terms.lapses_after_ms(entry.is_granted()));
                if before == State::Held && lasted < least {
                    let what = format!(
                        "expired {lasted} ms after it was taken, hold and grace are {} ms; right only if the clock of \
                         Redis was set back meanwhile",
                        least + 1
                    );
                    misstep = Some((Rule::NotExpiredEarly, what));
                }
            }
            Kind::Reserve | Kind::Draw | Kind::Grant => {}
        }
        let is = entry.latest();
        self.held -= u64::from(before == State::Held);
        self.held += u64::from(after == State::Held);
        for item in was.items() {
            self.count(item, before, false);
        }
        for item in is.items() {
            self.count(item, after, true);
        }
        touched.extend(was.items());
        if change.kind == Kind::Amend {
            touched.extend(is.items());
        }
        if let Some((rule, what)) = misstep {
            self.misstep(change, rule, what);
        }
        if change.kind == Kind::Confirm {
            self.count_alive(change, terms);
        }
    }

    fn reserve(&mut self, change: &'a Change, terms: &SaleTerms, touched: &mut Vec<Item<'a>>) {
        if self.entries.contains_key(change.reservation()) {
            return self.misstep(change, Rule::StepsAllowed, "reserved twice".to_owned());
        }
        if change.number() != self.last_number + 1 {
            let what = format!("number {} follows number {}", change.number(), self.last_number);
            self.misstep(change, Rule::NumbersInOrder, what);
        }
        self.last_number = change.number();
        self.held += 1;
        for item in change.items() {
            self.count(item, State::Held, true);
            touched.push(item);
        }
        self.entries.insert(change.reservation(), Entry::new(change));
        let own = &mut self.owners.entry(change.buyer()).or_default().reservations;
        // Most buyers take one; `push` makes room for four.
        if own.is_empty() {
            own.reserve_exact(1);
        }
        own.push(change.reservation());
        self.count_alive(change, terms);
    }

    /// What its buyer has after a change that may add to it.
    fn count_alive(&mut self, change: &'a Change, terms: &SaleTerms) {
        let owner = self.owners.entry(change.buyer()).or_default();
        let alive: Vec<&Entry<'a>> = owner
            .reservations
            .iter()
            .filter_map(|id| self.entries.get(id))
            .filter(|entry| entry.state.is_alive())
            .collect();
        owner.alive_peak = owner.alive_peak.max(alive.len() as u64);
        // An overdue hold does not count, even before its sweep.
        let is_sure = |entry: &&&Entry<'a>| {
            entry.state == State::Confirmed
                || entry.age_at(change) < terms.lapses_after_ms(entry.is_granted())
        };
        let surely = alive.iter().filter(is_sure).count();
        if surely as u64 > terms.per_buyer {
            let what = format!("the buyer has {surely} reservations, the sale allows {}", terms.per_buyer);
            self.misstep(change, Rule::PerBuyer, what);
        }
    }

    fn count(&mut self, item: Item<'a>, state: State, up: bool) {
        let taken = self.taken.entry(item).or_default();
        let counter = match state {
            State::Held => &mut taken.held,
            State::Confirmed => &mut taken.confirmed,
            State::Cancelled | State::Expired => return,
        };
        *counter = if up { *counter + 1 } else { counter.saturating_sub(1) };
    }

    fn misstep(&mut self, change: &Change, rule: Rule, what: String) {
        let what = format!("{what} (journal {}-0)", change.sequence);
        self.missteps.push(of(change.buyer(), rule, Some(change.reservation()), what));
    }
}
