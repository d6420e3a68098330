//! What follows from memory for those who watch: what is held, what was oversold, all stores together.

use crate::domain::sale::Availability;
use crate::projection::read_model::ReadModel;

/// Stores together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreTotals {
    /// By what buyers are told of them, in the order of [`Availability`].
    pub by_availability: [usize; 3],
    /// Slots of those that have a limit.
    pub slots: i64,
    /// Those of them that are left.
    pub free: i64,
}

impl StoreTotals {
    /// Adds the store at this place.
    pub fn add(&mut self, read_model: &ReadModel, place: usize) {
        self.by_availability[read_model.availability(place) as usize] += 1;
        if let Some(total) = read_model.totals[place] {
            self.slots += total;
            self.free += read_model.free[place];
        }
    }

    /// How many buyers are told this of.
    #[must_use]
    pub fn count_with(&self, availability: Availability) -> usize {
        self.by_availability[availability as usize]
    }
}

impl ReadModel {
    /// What is taken of the item at this place.
    #[must_use]
    pub fn taken(&self, place: usize) -> i64 {
        self.totals[place].unwrap_or_default() - self.free[place]
    }

    /// What is in holds of the model or package at this place.
    #[must_use]
    pub fn held(&self, place: usize) -> i64 {
        self.taken(place) - self.confirmed[place]
    }

    /// Every item that more is taken of than there is, stores among them, and how much more.
    pub fn oversold(&self) -> impl Iterator<Item = (&str, i64)> {
        let items = self.catalogue.items().iter().zip(self.totals.iter().zip(&self.free));
        let below = items.filter(|(_, (total, free))| total.is_some() && **free < 0);
        below.map(|(item, (_, free))| (item.name.as_str(), -free))
    }
}
