//! The stores of a definition, indexed for searches: by place, by text, along a grid; and what apps see of each.
//!
//! Everything that a query needs is made once for each revision, so that no query looks at every store.

mod bits;
mod grid;
mod json;
mod levels;
mod search;
mod set;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
mod texts;

use std::collections::HashMap;

use crate::domain::definition::{STORES_MAX, Store};
use crate::domain::text::search_key;
use grid::Grid;
pub use grid::Spot;
use json::StoreHeads;
pub use levels::StoreLevels;
pub use search::{Cursor, FoundStores, StoreQuery};
use set::{SetBuilder, StoreSet};
use texts::Texts;

/// A store's index in the definition; the place of one along the grid has the same type.
type Index = u16;

const _: () = assert!(STORES_MAX < Index::MAX as usize);

/// All stores of one revision of a definition.
#[derive(Debug)]
pub struct StoreIndex {
    count: usize,
    grid: Grid,
    texts: Texts,
    heads: StoreHeads,
    /// By search key.
    by_city: HashMap<String, StoreSet>,
    by_province: HashMap<String, StoreSet>,
    /// In the order of their first stores.
    cities: Vec<City>,
}

/// The stores of one city. Two provinces may have cities of one name.
#[derive(Debug)]
pub struct City {
    /// As in its first store.
    pub province: Option<String>,
    /// As in its first store.
    pub name: String,
    /// Indices of its stores.
    stores: Vec<Index>,
}

impl City {
    /// Indices of its stores, in the definition's order.
    pub fn stores(&self) -> impl ExactSizeIterator<Item = usize> {
        self.stores.iter().map(|store| usize::from(*store))
    }
}

impl StoreIndex {
    /// Indexes these stores.
    pub fn new(stores: &[Store]) -> Self {
        let grid = Grid::new(stores);
        let mut by_city: HashMap<String, SetBuilder> = HashMap::new();
        let mut by_province: HashMap<String, SetBuilder> = HashMap::new();
        let mut places: HashMap<(Option<String>, String), usize> = HashMap::new();
        let mut cities = Vec::new();
        for (n, store) in (0..).zip(stores) {
            let (city, province) = (search_key(&store.city), store.province.as_deref().map(search_key));
            by_city.entry(city.clone()).or_default().push(n);
            if let Some(province) = &province {
                by_province.entry(province.clone()).or_default().push(n);
            }
            let place = *places.entry((province, city)).or_insert_with(|| {
                let (province, name) = (store.province.clone(), store.city.clone());
                cities.push(City { province, name, stores: Vec::new() });
                cities.len() - 1
            });
            cities[place].stores.push(n);
        }
        let finish = |sets: HashMap<String, SetBuilder>| {
            sets.into_iter().map(|(key, set)| (key, set.finish(stores.len(), &grid))).collect()
        };
        let (by_city, by_province) = (finish(by_city), finish(by_province));
        let (texts, heads) = (Texts::new(stores, &grid), StoreHeads::new(stores));
        Self { count: stores.len(), grid, texts, heads, by_city, by_province, cities }
    }

    /// The cities, in the order of their first stores.
    pub fn cities(&self) -> &[City] {
        &self.cities
    }

    /// The JSON of a store up to the value of its last member, `availability`.
    pub fn head(&self, store: usize) -> &str {
        self.heads.of(store)
    }
}
