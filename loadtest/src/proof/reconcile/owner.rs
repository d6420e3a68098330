//! The rules about a buyer with all keys. Which key made a reservation is not known when it was never shown, so
//! these rules count.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::base::outcome::Outcome;
use crate::load::history::{Amend, Step, TapHistory};
use crate::proof::ledger::Entry;
use crate::proof::reconcile::refusals::was_surely_known;
use crate::proof::reconcile::{Facts, ReconcileInput, keys};
use crate::proof::rules::{Rule, Violation, of};

/// Each buyer's histories, by key.
pub(crate) type Owners<'a> = BTreeMap<&'a str, Vec<&'a TapHistory>>;

pub(crate) fn by_buyer(history: &[TapHistory]) -> Owners<'_> {
    let mut owners = Owners::new();
    for history in history {
        owners.entry(&history.buyer).or_default().push(history);
    }
    owners
}

pub(crate) fn check(facts: &Facts<'_>, buyer: &str, history: &[&TapHistory], found: &mut Vec<Violation>) {
    let mut console = |rule, reservation: Option<&str>, what| found.push(of(buyer, rule, reservation, what));
    let Facts { input, book, .. } = facts;
    let Some(owner) = book.owners.get(buyer) else { return };
    let own: Vec<(&str, &Entry<'_>)> = owner
        .reservations
        .iter()
        .filter_map(|id| book.entries.get(id).map(|entry| (*id, entry)))
        .filter(|(_, entry)| entry.reserve().sequence() > input.started_after)
        .collect();

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
        for (id, _) in own.iter().filter(|(id, _)| !seen.iter().any(|seen| seen == id)) {
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

/// A reservation belongs to one key.
pub(crate) fn check_shown_to_one_key(owners: &Owners<'_>, found: &mut Vec<Violation>) {
    let mut first: HashMap<&str, &TapHistory> = HashMap::new();
    for history in owners.values().flatten() {
        let shown: BTreeSet<&str> = history.holds.iter().map(|hold| hold.id.as_str()).collect();
        for id in shown {
            let other = *first.entry(id).or_insert(history);
            if (&other.key, &other.buyer) != (&history.key, &history.buyer) {
                let what = format!(
                    "shown to the key {} of {} and to the key {} of {}",
                    other.key, other.buyer, history.key, history.buyer
                );
                found.push(of(&history.buyer, Rule::BoughtOnce, Some(id), what));
            }
        }
    }
}

/// The ledger has the acknowledged amendments as shown, and no others but those with a lost answer.
pub(crate) fn check_amends(facts: &Facts<'_>, found: &mut Vec<Violation>) {
    let Facts { input, book, owners, .. } = facts;
    let mut of_reservation: HashMap<&str, Vec<(&TapHistory, &Amend)>> = HashMap::new();
    for history in owners.values().flatten() {
        for amend in &history.amends {
            of_reservation.entry(&amend.reservation).or_default().push((history, amend));
            if let (Step::Done, Some(shown)) = (&amend.step, &amend.shown) {
                let other = (shown.id != amend.reservation)
                    .then(|| format!("{} was to be amended, {} was shown", amend.reservation, shown.id));
                let what = other
                    .or_else(|| keys::differs(shown, facts, &history.buyer))
                    .or_else(|| keys::lacks(shown, &amend.wanted));
                if let Some(what) = what {
                    found.push(of(&history.buyer, Rule::AmendAsAcknowledged, Some(&amend.reservation), what));
                }
            }
        }
    }
    for (buyer, history) in owners {
        let ids = book.owners.get(buyer).map(|owner| owner.reservations.as_slice()).unwrap_or_default();
        for id in ids {
            let asked = of_reservation.get(id).map(Vec::as_slice).unwrap_or_default();
            let shown: HashSet<u64> =
                asked.iter().filter_map(|(_, amend)| Some(amend.shown.as_ref()?.version)).collect();
            let made = book.entries.get(id).map(|entry| entry.versions.get(1..).unwrap_or_default());
            let unacknowledged: Vec<u64> = made
                .unwrap_or_default()
                .iter()
                .filter(|change| change.sequence() > input.started_after && !shown.contains(&change.version))
                .map(|change| change.version)
                .collect();
            let count = |which: fn(&Amend) -> bool| asked.iter().filter(|(_, amend)| which(amend)).count();
            let unknown = count(|amend| amend.step == Step::Unknown);
            // Done, but the answer could not be read: that is another rule's matter.
            let unread = count(|amend| amend.step == Step::Done && amend.shown.is_none());
            // An unacknowledged amendment must come from a request with a lost answer.
            let lost: usize = history.iter().map(|history| history.log.lost).sum();
            if unacknowledged.len() > lost.max(unknown) + unread {
                let what = format!(
                    "amended to version {unacknowledged:?}, which no answer showed; {} amendments were asked for, of {unknown} \
                     the outcome is unknown",
                    asked.len()
                );
                found.push(of(buyer, Rule::AmendAsAcknowledged, Some(id), what));
            }
        }
    }
}
