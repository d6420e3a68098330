//! What follows from memory for those who watch: what is held, what was oversold, all stores together.

use crate::domain::sale::Availability;
use crate::projection::memory::Memory;

/// Stores together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stores {
    /// By what buyers are told of them, in the order of [`Availability`].
    pub by_availability: [usize; 3],
    /// Slots of those that have a limit.
    pub slots: i64,
    /// Those of them that are left.
    pub free: i64,
}

impl Stores {
    /// Adds the store at this place.
    pub fn add(&mut self, memory: &Memory, place: usize) {
        self.by_availability[memory.availability(place) as usize] += 1;
        if let Some(total) = memory.totals[place] {
            self.slots += total;
            self.free += memory.free[place];
        }
    }

    /// How many buyers are told this of.
    #[must_use]
    pub fn told(&self, availability: Availability) -> usize {
        self.by_availability[availability as usize]
    }
}

impl Memory {
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
