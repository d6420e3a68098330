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
use json::{CityHead, Heads};
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
    heads: Heads,
    city_heads: Heads,
    /// Of the heads.
    digest: u64,
    /// By search key.
    by_city: HashMap<String, StoreSet>,
    by_province: HashMap<String, StoreSet>,
    /// How many cities there are. Two provinces may have cities of one name.
    cities: usize,
    /// By store, its city, in the order of their first stores.
    city_of: Box<[Index]>,
}

impl StoreIndex {
    /// Indexes these stores.
    pub fn new(stores: &[Store]) -> Self {
        let grid = Grid::new(stores);
        let mut by_city: HashMap<String, SetBuilder> = HashMap::new();
        let mut by_province: HashMap<String, SetBuilder> = HashMap::new();
        let mut places: HashMap<(Option<String>, String), usize> = HashMap::new();
        let mut cities: Vec<CityHead<'_>> = Vec::new();
        let mut city_of = Vec::with_capacity(stores.len());
        for (n, store) in (0..).zip(stores) {
            let (city, province) = (search_key(&store.city), store.province.as_deref().map(search_key));
            by_city.entry(city.clone()).or_default().push(n);
            if let Some(province) = &province {
                by_province.entry(province.clone()).or_default().push(n);
            }
            let place = *places.entry((province, city)).or_insert_with(|| {
                cities.push(CityHead { province: store.province.as_deref(), city: &store.city, stores: 0 });
                cities.len() - 1
            });
            cities[place].stores += 1;
            // There are no more cities than stores.
            city_of.push(Index::try_from(place).unwrap_or(Index::MAX));
        }
        let finish = |sets: HashMap<String, SetBuilder>| {
            sets.into_iter().map(|(key, set)| (key, set.finish(stores.len(), &grid))).collect()
        };
        let (by_city, by_province) = (finish(by_city), finish(by_province));
        let (texts, heads) = (Texts::new(stores, &grid), Heads::of_stores(stores));
        let (city_heads, digest, city_of) = (Heads::new(cities.iter()), heads.digest(), city_of.into());
        let (count, cities) = (stores.len(), cities.len());
        Self { count, grid, texts, heads, city_heads, digest, by_city, by_province, cities, city_of }
    }

    /// A digest of all that a definition says about the stores and apps see: the same at every gateway.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The JSON of a city up to the value of its last member, `availability`. Cities are in the order of their first
    /// stores.
    pub fn city_head(&self, city: usize) -> &str {
        self.city_heads.of(city)
    }

    /// The JSON of a store up to the value of its last member, `availability`.
    pub fn head(&self, store: usize) -> &str {
        self.heads.of(store)
    }
}
