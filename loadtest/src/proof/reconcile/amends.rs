//! Checks amendments: the ledger has the acknowledged ones as shown, and no others but those with a
//! lost answer.

use std::collections::{HashMap, HashSet};

use crate::load::history::{Amend, Step, TapHistory};
use crate::proof::ledger::Book;
use crate::proof::reconcile::owner::Owners;
use crate::proof::reconcile::{ReconcileInput, Rule, Violation, keys, of};

pub(crate) fn check(
    input: &ReconcileInput<'_>,
    book: &Book<'_>,
    owners: &Owners<'_>,
    found: &mut Vec<Violation>,
) {
    let mut of_reservation: HashMap<&str, Vec<(&TapHistory, &Amend)>> = HashMap::new();
    for history in owners.values().flatten() {
        for amend in &history.amends {
            of_reservation.entry(&amend.reservation).or_default().push((history, amend));
            if let (Step::Done, Some(shown)) = (&amend.step, &amend.shown) {
                let other = (shown.id != amend.reservation)
                    .then(|| format!("{} was to be amended, {} was shown", amend.reservation, shown.id));
                if let Some(what) = other.or_else(|| keys::differs(shown, book, &history.buyer)) {
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
