//! A definition indexed for taps: every item has an index, and one look-up finds the items that fit.

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use crate::domain::definition::{Definition, Store};
use crate::domain::text::search_key;

/// The kinds of items: prefixes of their names.
const KINDS: [&str; 3] = ["model", "package", "store"];

/// One revision of a sale's definition, indexed.
#[derive(Debug)]
pub struct Catalogue {
    /// The definition as applied.
    pub definition: Definition,
    /// Counts the applied definitions of the sale from 1.
    pub revision: u64,
    items: Vec<Item>,
    /// Indices of models, packages and stores, by id.
    indices: [FxHashMap<String, usize>; 3],
    /// Indices of the stores of each city, by search key, in the definition's order.
    cities: HashMap<String, Vec<usize>>,
}

/// An item with a counted stock.
#[derive(Debug)]
pub struct Item {
    /// `model:ID`, `package:ID` or `store:ID`.
    pub name: String,
    /// Whether its stock is limited.
    pub limited: bool,
    /// In minor units; 0 for a store.
    pub price: u64,
}

impl Catalogue {
    /// Assigns an index to every item: models, packages, stores, in the definition's order.
    pub fn new(definition: Definition, revision: u64) -> Self {
        let item = |(name, stock, price): (_, Option<u64>, _)| Item { name, limited: stock.is_some(), price };
        let items: Vec<Item> = definition.items().map(item).collect();
        let indices = KINDS.map(|kind| {
            let of_kind = |(index, item): (usize, &Item)| {
                let id = item.name.strip_prefix(kind)?.strip_prefix(':')?;
                Some((id.to_owned(), index))
            };
            items.iter().enumerate().filter_map(of_kind).collect()
        });
        let first_store = definition.models.len() + definition.packages.len();
        let mut cities: HashMap<String, Vec<usize>> = HashMap::new();
        for (i, store) in definition.stores.iter().enumerate() {
            cities.entry(search_key(&store.city)).or_default().push(first_store + i);
        }
        Self { definition, revision, items, indices, cities }
    }

    /// All items by index.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The models and packages, which are few enough for a linear scan.
    pub fn counted(&self) -> &[Item] {
        &self.items[..self.first_store()]
    }

    fn first_store(&self) -> usize {
        self.definition.models.len() + self.definition.packages.len()
    }

    /// The index of an item, by its name.
    pub fn index_of(&self, item: &str) -> Option<usize> {
        let (kind, id) = item.split_once(':')?;
        self.index_of_id(kind, id)
    }

    /// The index of a model, package or store, by kind and id.
    pub fn index_of_id(&self, kind: &str, id: &str) -> Option<usize> {
        let kind = KINDS.iter().position(|k| *k == kind)?;
        self.indices[kind].get(id).copied()
    }

    /// The display name of an item.
    pub fn name_of(&self, item: &str) -> Option<&str> {
        let index = self.index_of(item)?;
        let Definition { models, packages, stores, .. } = &self.definition;
        let names = models.iter().map(|m| &m.name).chain(packages.iter().map(|p| &p.name));
        names.chain(stores.iter().map(|s| &s.name)).nth(index).map(String::as_str)
    }

    /// Indices of all stores, or of those in a city, in the definition's order. The comparison
    /// ignores case, kinds of white space and the composition of accents.
    pub fn stores_in(&self, city: Option<&str>) -> impl Iterator<Item = usize> + '_ {
        let first = self.first_store();
        let all = if city.is_none() { first..self.items.len() } else { 0..0 };
        let some = city.and_then(|city| self.cities.get(&search_key(city))).map_or(&[][..], Vec::as_slice);
        all.chain(some.iter().copied())
    }

    /// The store at an index from [`Self::stores_in`].
    pub fn store_at(&self, index: usize) -> &Store {
        &self.definition.stores[index - self.first_store()]
    }

    /// Indices of a model, its packages and a store, if there is one, in this order; `None` for an item that does
    /// not exist or does not fit the model.
    pub fn indices_of<'a>(
        &'a self,
        model: &'a str,
        packages: &'a [impl AsRef<str>],
        store: Option<&'a str>,
    ) -> impl Iterator<Item = Option<usize>> + 'a {
        let packages = packages.iter().map(move |id| self.package_for(model, id.as_ref()));
        let store = store.into_iter().map(|store| self.index_of_id("store", store));
        std::iter::once(self.index_of_id("model", model)).chain(packages).chain(store)
    }

    /// The index of a package that fits the model.
    fn package_for(&self, model: &str, id: &str) -> Option<usize> {
        self.index_of_id("package", id).filter(|index| {
            let package = &self.definition.packages[index - self.definition.models.len()];
            package.models.as_ref().is_none_or(|models| models.iter().any(|m| m == model))
        })
    }

    /// The requested items that do not exist or do not fit the model.
    pub fn unknown(&self, model: &str, packages: &[String], store: Option<&str>) -> Vec<String> {
        let is_known = |kind, id: &str| match kind {
            "package" => self.package_for(model, id).is_some(),
            _ => self.index_of_id(kind, id).is_some(),
        };
        let packages = packages.iter().map(|id| ("package", id.as_str()));
        let items = std::iter::once(("model", model)).chain(packages).chain(store.map(|id| ("store", id)));
        items.filter(|(kind, id)| !is_known(kind, id)).map(|(kind, id)| format!("{kind}:{id}")).collect()
    }

    /// What a reservation is charged for: its model and its packages. What was ever taken is never removed, so none
    /// is missing.
    pub fn charged<'a>(&'a self, model: &'a str, packages: &'a [String]) -> impl Iterator<Item = &'a Item> {
        let packages = packages.iter().map(|id| ("package", id.as_str()));
        let ids = std::iter::once(("model", model)).chain(packages);
        ids.filter_map(|(kind, id)| Some(&self.items[self.index_of_id(kind, id)?]))
    }
}
