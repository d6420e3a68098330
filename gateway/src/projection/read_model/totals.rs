//! Totals for observability, derived from the read model: held, oversold, all stores.

use crate::domain::sale::Availability;
use crate::projection::read_model::ReadModel;

/// The stores of a sale as one total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreTotals {
    /// Numbers of stores by stock level, in the order of [`Availability`].
    pub by_availability: [usize; 3],
    /// Total slots of limited stores.
    pub slots: i64,
    /// Free slots of limited stores.
    pub free: i64,
}

impl StoreTotals {
    /// Adds the store at this index.
    pub fn add(&mut self, read_model: &ReadModel, place: usize) {
        self.by_availability[read_model.availability(place) as usize] += 1;
        if let Some(total) = read_model.totals[place] {
            self.slots += total;
            self.free += read_model.free[place];
        }
    }

    /// The number of stores with this level.
    pub fn count_with(&self, availability: Availability) -> usize {
        self.by_availability[availability as usize]
    }
}

impl ReadModel {
    /// The taken count of the item at this index.
    pub fn taken(&self, place: usize) -> i64 {
        self.totals[place].unwrap_or_default() - self.free[place] - self.aside(place)
    }

    /// The held count of the model or package at this index.
    pub fn held(&self, place: usize) -> i64 {
        self.taken(place) - self.confirmed[place]
    }

    /// Every oversold item, stores included, with the excess.
    pub fn oversold(&self) -> impl Iterator<Item = (&str, i64)> {
        let items = self.catalogue.items().iter().zip(self.totals.iter().zip(&self.free));
        let below = items.filter(|(_, (total, free))| total.is_some() && **free < 0);
        below.map(|(item, (_, free))| (item.name.as_str(), -free))
    }
}
