//! The stock levels of a sale's stores at one moment.

use crate::domain::sale::Availability;
use crate::domain::stores::StoreIndex;
use crate::domain::stores::bits::Bits;

/// The level of every store, and the set of those with slots left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLevels {
    levels: Box<[Availability]>,
    /// In the definition's order, and along the grid.
    pub(super) listed: Bits,
    pub(super) placed: Bits,
}

impl StoreLevels {
    /// From the level of each store.
    pub fn new(index: &StoreIndex, level: impl Fn(usize) -> Availability) -> Self {
        let levels = (0..index.count).map(level).collect();
        let (listed, placed) = (Bits::none(index.count), Bits::none(index.count));
        let mut all = Self { levels, listed, placed };
        (0..index.count).for_each(|store| all.note(index, store));
        all
    }

    /// The level of a store.
    pub fn of(&self, store: usize) -> Availability {
        self.levels[store]
    }

    /// Sets the level of a store.
    pub fn set(&mut self, index: &StoreIndex, store: usize, level: Availability) {
        self.levels[store] = level;
        self.note(index, store);
    }

    fn note(&mut self, index: &StoreIndex, store: usize) {
        let is_available = self.levels[store] != Availability::SoldOut;
        self.listed.set(store, is_available);
        if let Some(place) = index.grid.place(store) {
            self.placed.set(place, is_available);
        }
    }
}
