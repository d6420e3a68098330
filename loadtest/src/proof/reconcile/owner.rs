//! The rules about a buyer with all keys. Which key made a reservation is not known when it was never shown, so
//! these rules count.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::base::failure::Failure;
use crate::base::outcome::Outcome;
use crate::load::history::TapHistory;
use crate::load::history::packed::PackedHistories;
use crate::proof::ledger::{Book, Entry, Kind};
use crate::proof::reconcile::refusals::was_surely_known;
use crate::proof::reconcile::{Facts, ReconcileInput};
use crate::proof::rules::{Rule, Violation, of};

/// Each buyer's histories, by key.
pub(crate) type Owners<'a> = BTreeMap<&'a str, Vec<&'a TapHistory>>;

pub(crate) fn by_buyer<'a>(history: impl Iterator<Item = &'a TapHistory>) -> Owners<'a> {
    let mut owners = Owners::new();
    for history in history {
        owners.entry(&history.buyer).or_default().push(history);
    }
    owners
}

pub(crate) fn check(facts: &Facts<'_>, buyer: &str, history: &[&TapHistory], found: &mut Vec<Violation>) {
    let mut console = |rule, reservation: Option<&str>, what| found.push(of(buyer, rule, reservation, what));
    let Facts { input, book, .. } = facts;
    let all: Vec<(&str, &Entry<'_>)> = book
        .reservations_of(buyer)
        .map(|entry| (entry.reserve().reservation(), entry))
        .filter(|(_, entry)| entry.reserve().sequence > input.started_after)
        .collect();

    // A draw or a grant gives what no key asked for, and it need not have been shown.
    let own: Vec<(&str, &Entry<'_>)> =
        all.iter().copied().filter(|(_, entry)| entry.reserve().kind == Kind::Reserve).collect();
    let history: Vec<&TapHistory> =
        history.iter().copied().filter(|history| history.waiting.is_none()).collect();
    let history = &history[..];
    if own.len() > history.len() {
        let ids: Vec<&str> = own.iter().map(|(id, _)| *id).collect();
        let what = format!("{} bought {}", keys_in_words(history), ids.join(" and "));
        console(Rule::BoughtOnce, ids.last().copied(), what);
    }

    let shown: BTreeSet<&str> =
        history.iter().flat_map(|history| &history.holds).map(|hold| hold.id.as_str()).collect();
    let hidden: Vec<_> = own.iter().filter(|(id, _)| !shown.contains(id)).collect();
    let mut may_hold =
        history.iter().filter(|history| history.holds.is_empty() && may_hold_something(history)).count();
    for (id, entry) in hidden {
        let has_candidate =
            may_hold > 0 && history.iter().any(|history| may_hold_this(input, history, entry));
        // Each key that may have won makes up for one reservation.
        may_hold -= usize::from(has_candidate);
        if !has_candidate {
            let what = format!(
                "answered {}, but the ledger has a reservation, taken at {}, that was never shown",
                keys_in_words(history),
                entry.reserve().at
            );
            console(Rule::RefusedHoldsNothing, Some(id), what);
        }
    }

    if let Some(seen) = input.support.get(buyer) {
        for (id, _) in all.iter().filter(|(id, _)| !seen.iter().any(|seen| seen == id)) {
            let what = "in the journal, but missing in the support lookup".to_owned();
            console(Rule::SupportLookupAgrees, Some(id), what);
        }
    }
}

/// Whether a key that was shown nothing may have won all the same: an answer was lost.
fn may_hold_something(history: &TapHistory) -> bool {
    history.outcome == Some(Outcome::Unknown) || history.log.lost > 0
}

/// Whether the key may have won this reservation. After a lost answer, a refusal of a request sent
/// before the reservation is right; a later one refuses a winner.
fn may_hold_this(input: &ReconcileInput<'_>, history: &TapHistory, entry: &Entry<'_>) -> bool {
    history.holds.is_empty()
        && may_hold_something(history)
        && !history.sold_out.iter().any(|sold_out| was_surely_known(input, sold_out, entry))
}

fn keys_in_words(history: &[&TapHistory]) -> String {
    let keys: Vec<String> = history
        .iter()
        .map(|history| {
            let outcome = history.outcome.map_or("never tapped", Outcome::name);
            format!("{} ({outcome})", history.key)
        })
        .collect();
    keys.join(", ")
}

/// Reservations that may have been shown to more than one key: a reservation belongs to one.
#[derive(Default)]
pub(crate) struct SharedReservations {
    suspects: HashSet<String>,
}

/// A key that was shown some of the suspects.
struct Showing {
    buyer: String,
    key: String,
    ids: BTreeSet<String>,
}

impl SharedReservations {
    /// Of two buyers that are shown one reservation, at most one is its owner in the ledger. Two keys of one buyer are in one
    /// partition.
    pub(crate) fn note<'a>(&mut self, book: &Book<'_>, owners: &Owners<'a>) {
        for (buyer, history) in owners {
            let is_own =
                |id: &str| book.entries.get(id).is_some_and(|entry| entry.reserve().buyer() == *buyer);
            let mut first: HashMap<&str, &str> = HashMap::new();
            let shown = |history: &&'a TapHistory| {
                let TapHistory { key, holds, .. } = *history;
                holds.iter().map(|hold| (key.as_str(), hold.id.as_str()))
            };
            for (key, id) in history.iter().flat_map(shown) {
                if *first.entry(id).or_insert(key) != key || !is_own(id) {
                    self.suspects.insert(id.to_owned());
                }
            }
        }
    }

    /// Reads all histories again only where there is a suspect.
    pub(crate) fn check(self, all: &PackedHistories, found: &mut Vec<Violation>) -> Result<(), Failure> {
        if self.suspects.is_empty() {
            return Ok(());
        }
        let mut showings = Vec::new();
        all.each(|TapHistory { buyer, key, holds, .. }| {
            let ids = holds.into_iter().map(|hold| hold.id).filter(|id| self.suspects.contains(id));
            let ids: BTreeSet<String> = ids.collect();
            showings.extend((!ids.is_empty()).then_some(Showing { buyer, key, ids }));
        })?;
        showings.sort_by(|one, other| one.buyer.cmp(&other.buyer));
        let mut first: HashMap<&str, &Showing> = HashMap::new();
        for showing in &showings {
            for id in &showing.ids {
                let other = *first.entry(id).or_insert(showing);
                if (&other.key, &other.buyer) != (&showing.key, &showing.buyer) {
                    let what = format!(
                        "shown to the key {} of {} and to the key {} of {}",
                        other.key, other.buyer, showing.key, showing.buyer
                    );
                    found.push(of(&showing.buyer, Rule::BoughtOnce, Some(id), what));
                }
            }
        }
        Ok(())
    }
}
