//! What a PATCH asks for, and what it makes of a reservation.

use crate::domain::catalogue::Catalogue;
use crate::domain::reservation::Reservation;

/// What a PATCH asks for; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Amendment {
    /// Another model.
    pub model: Option<String>,
    /// Other packages, none twice.
    pub packages: Option<Vec<String>>,
    /// Another store.
    pub store: Option<String>,
}

impl Amendment {
    /// The reservation as it would be.
    pub(crate) fn over(&self, current: &Reservation) -> Reservation {
        let mut next = current.clone();
        if let Some(model) = &self.model {
            next.model.clone_from(model);
        }
        if let Some(packages) = &self.packages {
            // In another order they are the same.
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

/// What of a change does not exist or does not fit. What stays as it is was sold once, and is not judged again: its package may
/// have been narrowed since.
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

/// Of lists that name nothing twice.
fn same_set(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().all(|item| b.contains(item))
}
