//! Chooses what buyers want: model, packages and store, from what the sale offers.

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::price_list::PriceList;
use crate::plan::profile::Behaviour;

/// The definition, as far as a load test needs it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Definition {
    pub(crate) sale: SaleTerms,
    pub(crate) signup: Option<SignUpTerms>,
    pub(crate) draw: Option<DrawTerms>,
    #[serde(default)]
    model: Vec<Model>,
    #[serde(default)]
    package: Vec<Package>,
}

/// When buyers sign up.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SignUpTerms {
    pub(crate) opens_at: Timestamp,
    pub(crate) closes_at: Timestamp,
}

/// What fixes the chance of a draw before anybody signs up.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DrawTerms {
    /// The SHA-256 of the reveal, in hexadecimal.
    pub(crate) commitment: String,
}

/// The sale's own part of the definition.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SaleTerms {
    /// A sale that is not a rehearsal needs an explicit option.
    #[serde(default)]
    pub(crate) rehearsal: bool,
    #[serde(default = "one")]
    pub(crate) per_buyer: u64,
    pub(crate) opens_at: Option<Timestamp>,
    pub(crate) closes_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) currency: String,
    #[serde(default)]
    pub(crate) deposit: u64,
    /// All that a buyer can ever start.
    #[serde(default = "five")]
    pub(crate) attempts: u64,
    /// How long a hold lasts, and how long after that it can still be paid. A gateway always reports them;
    /// without them no rule checks expiries.
    #[serde(default, deserialize_with = "crate::base::span::text::deserialize")]
    pub(crate) hold: Duration,
    #[serde(default, deserialize_with = "crate::base::span::text::deserialize")]
    pub(crate) grace: Duration,
    /// Buyers can wait for what is sold out.
    #[serde(default)]
    pub(crate) standby: bool,
    /// How long a hold lasts that was granted to a buyer who waited; zero: as long as others.
    #[serde(default, deserialize_with = "crate::base::span::text::deserialize")]
    pub(crate) standby_hold: Duration,
    /// Places in each queue; `None`: as many as there are buyers.
    pub(crate) standby_max: Option<u64>,
}

fn one() -> u64 {
    1
}

fn five() -> u64 {
    5
}

impl SaleTerms {
    /// How long a hold lasts.
    pub(crate) fn hold_of(&self, is_granted: bool) -> Duration {
        if is_granted && !self.standby_hold.is_zero() { self.standby_hold } else { self.hold }
    }

    /// The shortest time from reservation to expiry: Redis's `TIME` is never slower than the sale
    /// clock. One millisecond less, because both instants are cut to milliseconds.
    pub(crate) fn lapses_after_ms(&self, is_granted: bool) -> i64 {
        let after = (self.hold_of(is_granted) + self.grace).as_millis();
        i64::try_from(after).unwrap_or(i64::MAX).saturating_sub(1)
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Model {
    id: String,
    #[serde(default)]
    price: u64,
    stock: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Package {
    id: String,
    #[serde(default)]
    price: u64,
    /// Left out: fits every model.
    models: Option<Vec<String>>,
}

impl Definition {
    /// Cars that are on sale; `None` where a model has no limit.
    pub(crate) fn cars(&self) -> Option<u64> {
        self.model.iter().map(|model| model.stock).sum()
    }

    /// What of a selection is not on sale, or not for its model; without a model only what no model has.
    pub(crate) fn unknown(&self, selection: &Selection) -> Vec<String> {
        let is_for = |package: &Package| {
            let models = package.models.as_ref().filter(|_| !selection.model.is_empty());
            models.is_none_or(|models| models.contains(&selection.model))
        };
        let is_model =
            selection.model.is_empty() || self.model.iter().any(|model| model.id == selection.model);
        let model = Some(&selection.model).filter(|_| !is_model);
        let is_package =
            |id: &String| self.package.iter().any(|package| package.id == *id && is_for(package));
        let packages = selection.packages.iter().filter(|id| !is_package(id));
        model.into_iter().chain(packages).cloned().collect()
    }

    /// What everything costs.
    pub(crate) fn prices(&self) -> PriceList {
        let models = self.model.iter().map(|model| (format!("model:{}", model.id), model.price));
        let packages = self.package.iter().map(|package| (format!("package:{}", package.id), package.price));
        PriceList {
            currency: self.sale.currency.clone(),
            deposit: self.sale.deposit,
            amounts: models.chain(packages).collect(),
        }
    }
}

/// The body of a reservation request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The model's id.
    pub model: String,
    /// The packages' ids.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The store's id; `None`: of no store in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// A sold-out package or store is left out, rather than the whole refused.
    #[serde(default)]
    pub accept_partial: bool,
}

/// What a buyer signs up or waits for. The gateway leaves off packages and a store that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Choice {
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) packages: Vec<String>,
    /// `None`: of no store in particular.
    #[serde(default)]
    pub(crate) store: Option<String>,
}

impl Choice {
    /// As the published file of a draw has it: `MODEL/PACKAGE,PACKAGE/STORE`, with sorted packages.
    pub(crate) fn in_a_word(&self) -> String {
        let mut packages: Vec<&str> = self.packages.iter().map(String::as_str).collect();
        packages.sort_unstable();
        format!("{}/{}/{}", self.model, packages.join(","), self.store.as_deref().unwrap_or_default())
    }

    /// What a hold of it can have.
    pub(crate) fn selection(&self) -> Selection {
        let Choice { model, packages, store } = self.clone();
        Selection { model, packages, store, accept_partial: true }
    }
}

/// What a buyer chooses from.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    /// Model and weight; never empty, the weights add up to more than nothing.
    models: Vec<(String, u64)>,
    /// With the percent of buyers who want it.
    packages: Vec<(Package, u32)>,
    /// By city, with the city's weight.
    cities: Vec<(String, u64)>,
    stores: HashMap<String, Vec<String>>,
}

/// A store, as far as a buyer chooses by it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Store {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) city: String,
}

/// Stores as a gateway lists them.
#[derive(Deserialize)]
pub(crate) struct StorePage {
    pub(crate) stores: Vec<Store>,
    pub(crate) next: Option<String>,
}

const PACKAGES_MAX: usize = 16;
/// Of a sign-up.
const CHOICES_MAX: usize = 3;
/// Of a package that the profile does not name.
const WANTED_DEFAULT: u32 = 30;

impl Catalogue {
    /// A model's weight is the profile's, or its stock, so that all models sell out at about the
    /// same time.
    pub(crate) fn new(
        definition: &Definition,
        behaviour: &Behaviour,
        stores: Vec<Store>,
    ) -> Result<Catalogue, String> {
        let weights = &behaviour.models;
        if let Some(id) = weights.keys().find(|id| !definition.model.iter().any(|model| model.id == **id)) {
            return Err(format!("the profile's buyers.models names {id:?}, which the sale does not have"));
        }
        let weight_of = |model: &Model| match weights.get(&model.id) {
            Some(weight) => *weight,
            None if weights.is_empty() => model.stock.unwrap_or(1).max(1),
            None => 0,
        };
        let models: Vec<_> =
            definition.model.iter().map(|model| (model.id.clone(), weight_of(model))).collect();
        if models.iter().map(|(_, weight)| weight).sum::<u64>() == 0 {
            return Err(
                "the sale has no model that could be chosen: see the profile's buyers.models".to_owned()
            );
        }
        let wanted =
            |package: &Package| behaviour.packages.get(&package.id).copied().unwrap_or(WANTED_DEFAULT);
        let packages = definition.package.iter().map(|package| (package.clone(), wanted(package))).collect();
        let mut by_city: HashMap<String, Vec<String>> = HashMap::new();
        for store in stores {
            by_city.entry(store.city).or_default().push(store.id);
        }
        let known = |city: &String| behaviour.cities.get(city).copied();
        let any_known = by_city.keys().any(|city| known(city).is_some_and(|weight| weight > 0));
        let mut cities: Vec<_> = by_city
            .iter()
            .map(|(city, stores)| {
                let weight = if any_known { known(city).unwrap_or(0) } else { stores.len() as u64 };
                (city.clone(), weight)
            })
            .filter(|(_, weight)| *weight > 0)
            .collect();
        // A hash map's order differs from run to run; the order must follow from the seed.
        cities.sort();
        Ok(Catalogue { models, packages, cities, stores: by_city })
    }

    /// Chooses one buyer's selection.
    pub(crate) fn choose(&self, rng: &mut Rng, accept_partial: u32) -> Selection {
        let model = pick(&self.models, rng).cloned().unwrap_or_default();
        let packages = self.choose_packages(&model, rng);
        let store = self
            .choose_city(rng)
            .and_then(|city| self.stores.get(city))
            .and_then(|stores| rng.choice(stores));
        Selection { model, packages, store: store.cloned(), accept_partial: rng.u32(0..100) < accept_partial }
    }

    /// Chooses what a buyer signs up for, first choice first: up to three models.
    pub(crate) fn choose_for_draw(&self, rng: &mut Rng) -> Vec<Choice> {
        let mut choices: Vec<Choice> = Vec::new();
        for _ in 0..rng.usize(1..=CHOICES_MAX) {
            let Selection { model, packages, store, .. } = self.choose(rng, 0);
            if choices.iter().all(|choice| choice.model != model) {
                choices.push(Choice { model, packages, store });
            }
        }
        choices
    }

    pub(crate) fn has_store(&self, id: &str) -> bool {
        self.stores.values().flatten().any(|store| store == id)
    }

    /// A sale without a store can't sell anything.
    pub(crate) fn has_stores(&self) -> bool {
        !self.stores.is_empty()
    }

    /// Chooses the city in which a buyer looks for stores.
    pub(crate) fn choose_city(&self, rng: &mut Rng) -> Option<&str> {
        pick(&self.cities, rng).map(String::as_str)
    }

    /// Chooses the packages that a buyer of this model wants.
    pub(crate) fn choose_packages(&self, model: &String, rng: &mut Rng) -> Vec<String> {
        let mut chosen: Vec<String> = Vec::new();
        for (package, wanted) in &self.packages {
            let fits = package.models.as_ref().is_none_or(|models| models.contains(model));
            if rng.u32(0..100) < *wanted && fits && chosen.len() < PACKAGES_MAX {
                chosen.push(package.id.clone());
            }
        }
        chosen
    }
}

/// One of these, by weight; none without any weight.
fn pick<'a, T>(weighted: &'a [(T, u64)], rng: &mut Rng) -> Option<&'a T> {
    let total: u64 = weighted.iter().map(|(_, weight)| weight).sum();
    let mut point = if total > 0 { rng.u64(0..total) } else { return None };
    for (thing, weight) in weighted {
        if point < *weight {
            return Some(thing);
        }
        point -= weight;
    }
    None
}

#[cfg(test)]
mod tests;
