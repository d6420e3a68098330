//! The stock levels of a sale's stores and cities at one moment.

use std::sync::Arc;

use crate::domain::sale::Availability;
use crate::domain::stores::bits::Bits;
use crate::domain::stores::{Index, StoreIndex};

const BEST_FIRST: [Availability; 3] = [Availability::InStock, Availability::Low, Availability::SoldOut];

/// The level of every store and city, and the set of stores with slots left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLevels {
    levels: Box<[Availability]>,
    /// In the definition's order, and along the grid.
    pub(super) listed: Bits,
    pub(super) placed: Bits,
    /// By city, how many of its stores have each level.
    counts: Box<[[Index; 3]]>,
    /// Shared until one changes: most changes of a store leave its city as it is.
    cities: Arc<[Availability]>,
}

impl StoreLevels {
    /// From the level of each store.
    pub fn new(index: &StoreIndex, level: impl Fn(usize) -> Availability) -> Self {
        let levels: Box<[_]> = (0..index.count).map(level).collect();
        let mut counts = vec![[0; 3]; index.cities].into_boxed_slice();
        for (city, level) in index.city_of.iter().zip(&levels) {
            counts[usize::from(*city)][*level as usize] += 1;
        }
        let cities = counts.iter().map(best).collect();
        let (listed, placed) = (Bits::none(index.count), Bits::none(index.count));
        let mut all = Self { levels, listed, placed, counts, cities };
        (0..index.count).for_each(|store| all.note(index, store));
        all
    }

    /// The level of a store.
    pub fn of(&self, store: usize) -> Availability {
        self.levels[store]
    }

    /// The level of every city: that of its best store. Another list once one has changed.
    pub fn cities(&self) -> &Arc<[Availability]> {
        &self.cities
    }

    /// Sets the level of a store.
    pub fn set(&mut self, index: &StoreIndex, store: usize, level: Availability) {
        let before = std::mem::replace(&mut self.levels[store], level);
        let city = usize::from(index.city_of[store]);
        self.counts[city][before as usize] -= 1;
        self.counts[city][level as usize] += 1;
        let best = best(&self.counts[city]);
        if self.cities[city] != best {
            Arc::make_mut(&mut self.cities)[city] = best;
        }
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

/// The best level that any store has.
fn best(counts: &[Index; 3]) -> Availability {
    let first = BEST_FIRST.into_iter().zip(counts).find(|(_, stores)| **stores > 0);
    first.map_or(Availability::SoldOut, |(level, _)| level)
}
