//! A PATCH: its content, and its effect on a reservation.

use crate::domain::catalogue::Catalogue;
use crate::domain::reservation::Reservation;

/// The content of a PATCH; `None` leaves a field unchanged.
#[derive(Debug, Clone, Default)]
pub struct Amendment {
    /// New model.
    pub model: Option<String>,
    /// New packages, without duplicates.
    pub packages: Option<Vec<String>>,
    /// New store.
    pub store: Option<String>,
    /// The version that it is for; `None`: whichever the reservation has.
    pub version: Option<u64>,
}

impl Amendment {
    /// The reservation after the change.
    pub(crate) fn over(&self, current: &Reservation) -> Reservation {
        let mut next = current.clone();
        if let Some(model) = &self.model {
            next.model.clone_from(model);
        }
        if let Some(packages) = &self.packages {
            // The order does not matter.
            if !same_set(packages, &current.packages) {
                next.packages.clone_from(packages);
            }
            next.unavailable.retain(|item| !item.starts_with("package:"));
        }
        if let Some(store) = &self.store {
            next.store = Some(store.clone());
            next.unavailable.retain(|item| !item.starts_with("store:"));
        }
        next
    }
}

/// The changed items that do not exist or do not fit. Unchanged items were sold once and stay
/// valid, even if the package's models were narrowed since.
pub(crate) fn unknown_changes(
    catalogue: &Catalogue,
    current: &Reservation,
    next: &Reservation,
) -> Vec<String> {
    let has_same_model = next.model == current.model;
    let mut unknown = catalogue.unknown(&next.model, &next.packages, next.store.as_deref());
    unknown.retain(|item| match item.split_once(':') {
        Some(("package", id)) => !has_same_model || !current.packages.iter().any(|known| known == id),
        Some(("store", id)) => current.store.as_deref() != Some(id),
        _ => !has_same_model,
    });
    unknown
}

/// For lists without duplicates.
fn same_set(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().all(|item| b.contains(item))
}
