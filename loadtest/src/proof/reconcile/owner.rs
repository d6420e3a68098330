//! The rules about a buyer with all his keys. Which key made a reservation is not known when it was never shown, so
//! these rules count.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::base::outcome::Outcome;
use crate::load::told::Told;
use crate::proof::ledger::{Book, Entry};
use crate::proof::reconcile::refusals::was_surely_known;
use crate::proof::reconcile::{Evidence, Rule, Violation, of};

/// What each buyer was told, key by key.
pub(crate) type Owners<'a> = BTreeMap<&'a str, Vec<&'a Told>>;

pub(crate) fn by_buyer(told: &[Told]) -> Owners<'_> {
    let mut owners = Owners::new();
    for told in told {
        owners.entry(&told.buyer).or_default().push(told);
    }
    owners
}

pub(crate) fn check(
    evidence: &Evidence<'_>,
    book: &Book<'_>,
    buyer: &str,
    told: &[&Told],
    found: &mut Vec<Violation>,
) {
    let mut say = |rule, reservation: Option<&str>, what| found.push(of(buyer, rule, reservation, what));
    let Some(owner) = book.owners.get(buyer) else {
        return;
    };
    let own: Vec<(&str, &Entry<'_>)> = owner
        .reservations
        .iter()
        .filter_map(|id| book.entries.get(id).map(|entry| (*id, entry)))
        .filter(|(_, entry)| entry.reserve().sequence() > evidence.started_after)
        .collect();

    if own.len() > told.len() {
        let ids: Vec<&str> = own.iter().map(|(id, _)| *id).collect();
        let what = format!("{} bought {}", keys_in_words(told), ids.join(" and "));
        say(Rule::BoughtOnce, ids.last().copied(), what);
    }

    let shown: BTreeSet<&str> =
        told.iter().flat_map(|told| &told.holds).map(|hold| hold.id.as_str()).collect();
    let hidden: Vec<_> = own.iter().filter(|(id, _)| !shown.contains(id)).collect();
    let mut may_hold = told.iter().filter(|told| told.holds.is_empty() && may_hold_something(told)).count();
    for (id, entry) in hidden {
        let somebody = may_hold > 0 && told.iter().any(|told| may_hold_this(evidence, told, entry));
        // Each key that may have won makes up for one reservation.
        may_hold -= usize::from(somebody);
        if !somebody {
            let what = format!(
                "told {}, but the ledger has a reservation, taken at {}, that was never shown",
                keys_in_words(told),
                entry.reserve().at
            );
            say(Rule::RefusedHoldsNothing, Some(id), what);
        }
    }

    if let Some(seen) = evidence.desk.get(buyer) {
        for (id, _) in own.iter().filter(|(id, _)| !seen.iter().any(|seen| seen == id)) {
            let what = "in the journal, but the support desk does not see it".to_owned();
            say(Rule::DeskSeesTheSame, Some(id), what);
        }
    }
}

/// Whether a key that was shown nothing may have won all the same: an answer was lost.
fn may_hold_something(told: &Told) -> bool {
    told.outcome == Some(Outcome::Unknown) || told.history.lost > 0
}

/// Whether it may have won this one. After a lost answer, a refusal that was asked for before the reservation was made is
/// right; later it refuses a winner.
fn may_hold_this(evidence: &Evidence<'_>, told: &Told, entry: &Entry<'_>) -> bool {
    told.holds.is_empty()
        && may_hold_something(told)
        && !told.sold_out.iter().any(|sold_out| was_surely_known(evidence, sold_out, entry))
}

fn keys_in_words(told: &[&Told]) -> String {
    let keys: Vec<String> = told
        .iter()
        .map(|told| {
            let outcome = told.outcome.map_or("never tapped", Outcome::name);
            format!("{} ({outcome})", told.key)
        })
        .collect();
    keys.join(", ")
}

/// A reservation belongs to one key.
pub(crate) fn check_shown_to_one_key(owners: &Owners<'_>, found: &mut Vec<Violation>) {
    let mut first: HashMap<&str, &Told> = HashMap::new();
    for told in owners.values().flatten() {
        let shown: BTreeSet<&str> = told.holds.iter().map(|hold| hold.id.as_str()).collect();
        for id in shown {
            let other = *first.entry(id).or_insert(told);
            if (&other.key, &other.buyer) != (&told.key, &told.buyer) {
                let what = format!(
                    "shown to the key {} of {} and to the key {} of {}",
                    other.key, other.buyer, told.key, told.buyer
                );
                found.push(of(&told.buyer, Rule::BoughtOnce, Some(id), what));
            }
        }
    }
}
