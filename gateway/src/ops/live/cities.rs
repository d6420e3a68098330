//! Totals of a sale's stores, and the cities with the fewest and the most free slots.

use std::sync::Arc;

use indexmap::IndexSet;

use crate::domain::catalogue::Catalogue;
use crate::domain::sale::Availability;
use crate::ops::live::frame::{CityNow, StoresNow};
use crate::projection::read_model::{ReadModel, StoreTotals};

/// Cities at each end.
const SHOWN: usize = 5;

/// A definition's cities; rebuilt when it changes.
pub(super) struct Cities {
    pub(super) of: Arc<Catalogue>,
    pub(super) names: IndexSet<String>,
    /// By store index, the index of its city.
    city_of: Vec<usize>,
}

impl Cities {
    pub(super) fn new(catalogue: &Arc<Catalogue>) -> Self {
        let mut names = IndexSet::new();
        let stores = catalogue.definition.stores.iter();
        let city_of = stores.map(|store| names.insert_full(store.city.clone()).0).collect();
        Self { of: catalogue.clone(), names, city_of }
    }

    /// Sums the slots: of all stores, of the fullest and of the emptiest cities.
    pub(super) fn add_up(&self, read_model: &ReadModel) -> (StoresNow, Vec<CityNow>, Vec<CityNow>) {
        let first = self.of.counted().len();
        let mut all = StoreTotals::default();
        let mut cities = vec![(0_i64, 0_i64); self.names.len()];
        for (n, city) in self.city_of.iter().enumerate() {
            all.add(read_model, first + n);
            if let Some(total) = read_model.totals[first + n] {
                cities[*city].0 += total;
                cities[*city].1 += read_model.free[first + n];
            }
        }
        // By the free share, without fractions; ties by size, then by name.
        let share = |a: usize, b: usize| {
            let ((slots_a, free_a), (slots_b, free_b)) = (cities[a], cities[b]);
            (i128::from(free_a) * i128::from(slots_b)).cmp(&(i128::from(free_b) * i128::from(slots_a)))
        };
        let size = |a: usize, b: usize| {
            cities[b].0.cmp(&cities[a].0).then_with(|| self.names[a].cmp(&self.names[b]))
        };
        let mut order: Vec<usize> = (0..cities.len()).filter(|city| cities[*city].0 > 0).collect();
        order.sort_unstable_by(|a, b| share(*a, *b).then_with(|| size(*a, *b)));
        // No city is in both lists.
        let mut empty = order.split_off(order.len().min(SHOWN).min(order.len().div_ceil(2)));
        empty.sort_unstable_by(|a, b| share(*b, *a).then_with(|| size(*a, *b)));
        let city_now = |city: &usize| {
            let (slots, free) = cities[*city];
            CityNow { city: self.names[*city].clone(), slots, free }
        };
        let all = StoresNow {
            in_stock: all.count_with(Availability::InStock),
            low: all.count_with(Availability::Low),
            sold_out: all.count_with(Availability::SoldOut),
            slots: all.slots,
            free: all.free,
        };
        (all, order.iter().map(city_now).collect(), empty.iter().take(SHOWN).map(city_now).collect())
    }
}
