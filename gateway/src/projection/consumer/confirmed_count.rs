//! The confirmed count of each model and package: bootstrapped from the records, then kept by the journal.
//!
//! The records are read later than the read model while reservations change. A record counts as read, and the
//! journal's changes that it already contains are skipped; until then the count is not shown.

use std::collections::HashMap;

use crate::domain::reservation::{Reservation, State, paid};
use crate::projection::read_model::ReadModel;
use crate::store::journal::Entry;

/// Reservations whose records were read later than the read model, with the last change in each.
#[derive(Debug, Default)]
pub(crate) struct ConfirmedBootstrap(HashMap<String, u64>);

impl ConfirmedBootstrap {
    /// Counts one buyer's record. A damaged one is skipped: the audit reports it.
    pub(crate) fn count_record(&mut self, read_model: &mut ReadModel, buyer_part: &str, record: &str) {
        for reservation in paid(buyer_part, record) {
            if reservation.state == State::Confirmed {
                add_confirmed(read_model, &reservation, 1);
            }
            let last = reservation.changes.last().copied().unwrap_or_default();
            if last > read_model.sequence {
                self.0.insert(reservation.id, last);
            }
        }
    }

    /// Applies an entry; `None` if its text is damaged.
    pub(crate) fn apply_entry(&mut self, read_model: &mut ReadModel, entry: &Entry) -> Option<()> {
        let was = entry.field("was");
        let change = match entry.kind.as_str() {
            "confirm" => 1,
            "cancel" => -1,
            "amend" if was.is_some() => 1,
            _ => 0,
        };
        if change != 0 {
            // A cancelled hold was never paid.
            for reservation in entry.reservations()?.iter().filter(|r| r.payment.is_some()) {
                if self.0.get(&reservation.id).is_none_or(|last| *last < entry.sequence) {
                    if let Some(was) = was {
                        let (model, packages) = was.split_once(' ')?;
                        add_items(read_model, model, packages.split(','), -1);
                    }
                    add_confirmed(read_model, reservation, change);
                }
            }
        }
        if !self.0.is_empty() {
            self.0.retain(|_, last| *last > entry.sequence);
        }
        Some(())
    }

    /// The sequence from which the counts are consistent.
    pub(crate) fn complete_from(&self) -> u64 {
        self.0.values().copied().max().unwrap_or_default()
    }
}

fn add_confirmed(read_model: &mut ReadModel, reservation: &Reservation, change: i64) {
    let packages = reservation.packages.iter().map(String::as_str);
    add_items(read_model, &reservation.model, packages, change);
}

fn add_items<'a>(
    read_model: &mut ReadModel,
    model: &str,
    packages: impl Iterator<Item = &'a str>,
    change: i64,
) {
    let model = read_model.catalogue.index_of_id("model", model);
    let packages = packages.map(|id| read_model.catalogue.index_of_id("package", id));
    let places: Vec<usize> = packages.chain([model]).flatten().collect();
    for place in places {
        read_model.confirmed[place] += change;
    }
}

/// Copies the counts to the indices of another definition.
pub(crate) fn copy_confirmed_counts(from: &ReadModel, into: &mut ReadModel) {
    for (item, confirmed) in from.catalogue.counted().iter().zip(&from.confirmed) {
        if let Some(place) = into.catalogue.index_of(&item.name) {
            into.confirmed[place] = *confirmed;
        }
    }
}
