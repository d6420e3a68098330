//! Checks amendments: the ledger has the acknowledged ones as shown, and no others but those with a lost answer.

use std::collections::{BTreeSet, HashMap};

use crate::load::history::{Amend, Step};
use crate::proof::reconcile::owner::Owners;
use crate::proof::reconcile::{Facts, keys};
use crate::proof::rules::{Rule, Violation, of};

/// What only all partitions together show: other buyers may have amended a reservation, too.
#[derive(Default)]
pub(crate) struct Amends {
    /// By other buyers than the one that the ledger names, by reservation.
    by_others: HashMap<String, Asked>,
    unacknowledged: Vec<Unacknowledged>,
}

/// The amendments that were asked for, of a reservation.
#[derive(Clone, Default)]
struct Asked {
    all: usize,
    unknown: usize,
    /// Done, but the answer could not be read: that is another rule's matter.
    unread: usize,
    shown: BTreeSet<u64>,
}

/// Versions in the ledger that no answer to its buyer showed, more than lost answers explain.
struct Unacknowledged {
    buyer: String,
    reservation: String,
    versions: Vec<u64>,
    asked: Asked,
    lost: usize,
}

impl Amends {
    /// Checks what was shown to these buyers, and notes what must wait for the other partitions.
    pub(crate) fn check(&mut self, facts: &Facts<'_>, owners: &Owners<'_>, found: &mut Vec<Violation>) {
        let Facts { input, book, .. } = facts;
        let mut by_owner: HashMap<&str, Asked> = HashMap::new();
        for (buyer, history) in owners.iter().flat_map(|(buyer, all)| all.iter().map(move |of| (*buyer, of)))
        {
            for amend in &history.amends {
                let id = amend.reservation.as_str();
                match book.entries.get(id).map(|entry| entry.reserve().buyer() == buyer) {
                    Some(true) => by_owner.entry(id).or_default().add(amend),
                    Some(false) => self.by_others.entry(id.to_owned()).or_default().add(amend),
                    // The rule below is about what the ledger has.
                    None => {}
                }
                if let (Step::Done, Some(shown)) = (&amend.step, &amend.shown) {
                    let other =
                        (shown.id != id).then(|| format!("{id} was to be amended, {} was shown", shown.id));
                    let what = other
                        .or_else(|| keys::differs(shown, facts, buyer))
                        .or_else(|| keys::lacks(shown, &amend.wanted));
                    if let Some(what) = what {
                        found.push(of(buyer, Rule::AmendAsAcknowledged, Some(id), what));
                    }
                }
            }
        }
        for (buyer, history) in owners {
            for entry in book.reservations_of(buyer).filter(|entry| entry.versions.len() > 1) {
                let made = entry.versions.get(1..).unwrap_or_default();
                let made = made.iter().filter(|change| change.sequence > input.started_after);
                let reservation = entry.reserve().reservation();
                let mut unacknowledged = Unacknowledged {
                    buyer: (*buyer).to_owned(),
                    reservation: reservation.to_owned(),
                    versions: made.map(|change| change.version()).collect(),
                    asked: by_owner.remove(reservation).unwrap_or_default(),
                    lost: history.iter().map(|history| history.log.lost).sum(),
                };
                unacknowledged.leave_out_shown();
                self.unacknowledged.extend(unacknowledged.is_unexplained().then_some(unacknowledged));
            }
        }
    }

    /// An unacknowledged amendment must come from a request with a lost answer.
    pub(crate) fn check_unacknowledged(self, found: &mut Vec<Violation>) {
        for mut unacknowledged in self.unacknowledged {
            if let Some(others) = self.by_others.get(&unacknowledged.reservation) {
                unacknowledged.asked.join(others);
                unacknowledged.leave_out_shown();
            }
            if unacknowledged.is_unexplained() {
                let Unacknowledged { buyer, reservation, versions, asked, .. } = &unacknowledged;
                let what = format!(
                    "amended to version {versions:?}, which no answer showed; {} amendments were asked for, of {} \
                     the outcome is unknown",
                    asked.all, asked.unknown
                );
                found.push(of(buyer, Rule::AmendAsAcknowledged, Some(reservation), what));
            }
        }
    }
}

impl Asked {
    fn add(&mut self, amend: &Amend) {
        self.all += 1;
        self.unknown += usize::from(amend.step == Step::Unknown);
        self.unread += usize::from(amend.step == Step::Done && amend.shown.is_none());
        self.shown.extend(amend.shown.as_ref().map(|shown| shown.version));
    }

    fn join(&mut self, other: &Asked) {
        self.all += other.all;
        self.unknown += other.unknown;
        self.unread += other.unread;
        self.shown.extend(&other.shown);
    }
}

impl Unacknowledged {
    fn leave_out_shown(&mut self) {
        self.versions.retain(|version| !self.asked.shown.contains(version));
    }

    fn is_unexplained(&self) -> bool {
        self.versions.len() > self.lost.max(self.asked.unknown) + self.asked.unread
    }
}
