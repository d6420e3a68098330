//! A definition indexed for taps: every item has an index, and one look-up finds the items that fit.

mod products;

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::domain::definition::Definition;
use crate::domain::stores::StoreIndex;
pub use products::ProductTexts;

/// The prefix of the counters of units that are set aside for buyers who wait, before the model's id.
pub const ASIDE: &str = "aside:";

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
    /// The stores, indexed for searches. Shared with the revisions after it that leave the stores.
    stores: Arc<StoreIndex>,
    products: ProductTexts,
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
        Self::after(None, definition, revision)
    }

    /// The same after an earlier revision, whose index of the stores it takes over if they are the same: to make one
    /// takes most of the time.
    pub fn after(before: Option<&Self>, definition: Definition, revision: u64) -> Self {
        let item = |(name, stock, price): (_, Option<u64>, _)| Item { name, limited: stock.is_some(), price };
        let items: Vec<Item> = definition.items().map(item).collect();
        let indices = KINDS.map(|kind| {
            let of_kind = |(index, item): (usize, &Item)| {
                let id = item.name.strip_prefix(kind)?.strip_prefix(':')?;
                Some((id.to_owned(), index))
            };
            items.iter().enumerate().filter_map(of_kind).collect()
        });
        let stores = match before {
            Some(before) if before.definition.stores == definition.stores => before.stores.clone(),
            _ => StoreIndex::new(&definition.stores).into(),
        };
        let products = ProductTexts::new(&definition);
        Self { definition, revision, items, indices, stores, products }
    }

    /// All items by index.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The models and packages, which are few enough for a linear scan.
    pub fn counted(&self) -> &[Item] {
        &self.items[..self.first_store()]
    }

    /// The counters of what is set aside of each model, by index; none without standby queues.
    pub fn aside_counters(&self) -> impl Iterator<Item = String> {
        let Definition { sale, models, .. } = &self.definition;
        models.iter().filter(|_| sale.standby).map(|model| format!("{ASIDE}{}", model.id))
    }

    /// The index of the first store among all items.
    pub fn first_store(&self) -> usize {
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

    /// The stores, indexed for searches.
    pub fn stores(&self) -> &StoreIndex {
        &self.stores
    }

    /// The models and packages as JSON.
    pub fn products(&self) -> &ProductTexts {
        &self.products
    }

    /// The index of an item among the stores; `None`: it is a model or a package.
    pub fn store_of(&self, index: usize) -> Option<usize> {
        index.checked_sub(self.first_store())
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
