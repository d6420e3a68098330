//! What buyers want: model, packages and store, chosen from what the sale offers.

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::profile::Behaviour;

/// The definition, as far as a load test needs it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Definition {
    pub(crate) sale: SaleTerms,
    #[serde(default)]
    model: Vec<Model>,
    #[serde(default)]
    package: Vec<Package>,
}

/// The sale's own part of the definition.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SaleTerms {
    /// Only a rehearsal may be stormed without a further word.
    #[serde(default)]
    pub(crate) rehearsal: bool,
    #[serde(default = "one")]
    pub(crate) per_buyer: u64,
    pub(crate) opens_at: Option<Timestamp>,
    /// All that a buyer can ever start.
    #[serde(default = "five")]
    pub(crate) attempts: u64,
    /// How long a hold lasts, and how long after that it can still be paid. A gateway always tells them; without them
    /// nothing is claimed about expiries.
    #[serde(default, deserialize_with = "crate::base::span::text::deserialize")]
    pub(crate) hold: Duration,
    #[serde(default, deserialize_with = "crate::base::span::text::deserialize")]
    pub(crate) grace: Duration,
}

fn one() -> u64 {
    1
}

fn five() -> u64 {
    5
}

impl SaleTerms {
    /// So long after it was taken a hold may be over: Redis's `TIME` is never slower than the sale clock. A millisecond less,
    /// as both instants are cut to milliseconds.
    pub(crate) fn lapses_after_ms(&self) -> i64 {
        let after = (self.hold + self.grace).as_millis();
        i64::try_from(after).unwrap_or(i64::MAX).saturating_sub(1)
    }
}

#[derive(Clone, Debug, Deserialize)]
struct Model {
    id: String,
    stock: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Package {
    id: String,
    /// Left out: fits every model.
    models: Option<Vec<String>>,
}

impl Definition {
    /// Cars that are on sale; `None` where a model has no limit.
    pub(crate) fn cars(&self) -> Option<u64> {
        self.model.iter().map(|model| model.stock).sum()
    }
}

/// The body of a reservation request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Selection {
    pub(crate) model: String,
    pub(crate) packages: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<String>,
    pub(crate) accept_partial: bool,
}

/// What there is to choose from.
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

const PACKAGES_MAX: usize = 16;
/// Of a package that the profile does not name.
const WANTED_DEFAULT: u32 = 30;

impl Catalogue {
    /// A model is wanted as often as the profile says or in proportion to its stock, so that all run out at about
    /// the same time.
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
        // A hash map's order is another one each time; the seed decides.
        cities.sort();
        Ok(Catalogue { models, packages, cities, stores: by_city })
    }

    /// One buyer's wish.
    pub(crate) fn choose(&self, rng: &mut Rng, accept_partial: u32) -> Selection {
        let model = pick(&self.models, rng).cloned().unwrap_or_default();
        let packages = self.choose_packages(&model, rng);
        let store = self
            .choose_city(rng)
            .and_then(|city| self.stores.get(city))
            .and_then(|stores| rng.choice(stores));
        Selection { model, packages, store: store.cloned(), accept_partial: rng.u32(0..100) < accept_partial }
    }

    /// A sale without a store can't sell anything.
    pub(crate) fn has_stores(&self) -> bool {
        !self.stores.is_empty()
    }

    /// Where somebody looks for a store.
    pub(crate) fn choose_city(&self, rng: &mut Rng) -> Option<&str> {
        pick(&self.cities, rng).map(String::as_str)
    }

    /// Packages that somebody might want instead of those that he wished for.
    pub(crate) fn other_packages(&self, selection: &Selection, rng: &mut Rng) -> Vec<String> {
        self.choose_packages(&selection.model, rng)
    }

    fn choose_packages(&self, model: &String, rng: &mut Rng) -> Vec<String> {
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
mod tests {
    use super::*;
    use crate::plan::profile::Profile;

    fn definition() -> Definition {
        serde_json::from_value(serde_json::json!({
            "sale": {"id": "s", "rehearsal": true},
            "model": [{"id": "a", "stock": 90}, {"id": "b", "stock": 10}],
            "package": [
                {"id": "for-all", "stock": 5}, {"id": "for-a", "models": ["a"]}, {"id": "for-b", "models": ["b"]},
                {"id": "two"}, {"id": "three"},
            ],
            "stores": [{"id": "s1", "capacity": 3}],
        }))
        .unwrap()
    }

    fn catalogue(changes: &[&str], stores: &[(&str, &str)]) -> Result<Catalogue, String> {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        let stores = stores.iter().map(|(id, city)| Store { id: (*id).to_owned(), city: (*city).to_owned() });
        Catalogue::new(&definition(), &Profile::load(None, &changes).unwrap().buyers, stores.collect())
    }

    #[test]
    fn packages_fit_the_model_and_are_wanted_as_often_as_the_profile_says() {
        let catalogue = catalogue(&["buyers.packages={for-all = 80, two = 0}"], &[("s1", "X")]).unwrap();
        let mut rng = Rng::with_seed(1);
        let wishes: Vec<_> = (0..1000).map(|_| catalogue.choose(&mut rng, 30)).collect();
        for selection in &wishes {
            let other = if selection.model == "a" { "for-b" } else { "for-a" };
            assert!(!selection.packages.iter().any(|package| package == other || package == "two"));
            assert_eq!(selection.store.as_deref(), Some("s1"));
        }
        let count =
            |wanted: fn(&Selection) -> bool| wishes.iter().filter(|selection| wanted(selection)).count();
        assert!((850..950).contains(&count(|selection| selection.model == "a")), "90 % of the stock");
        assert!((750..850).contains(&count(|selection| selection.packages.contains(&"for-all".to_owned()))));
        assert!(
            (250..350).contains(&count(|selection| selection.packages.contains(&"three".to_owned()))),
            "not named: 30 %"
        );
        assert!((250..350).contains(&count(|selection| selection.accept_partial)));
    }

    #[test]
    fn stores_are_looked_for_in_the_cities_of_the_profile() {
        let stores = [("g1", "Guangzhou"), ("g2", "Guangzhou"), ("l1", "Lhasa")];
        let mut rng = Rng::with_seed(3);
        let lhasa = |catalogue: &Catalogue, rng: &mut Rng| {
            (0..300).filter(|_| catalogue.choose(rng, 0).store.as_deref() == Some("l1")).count()
        };
        let known = catalogue(&["buyers.cities={Guangzhou = 1, Lhasa = 1}"], &stores).unwrap();
        assert!((120..180).contains(&lhasa(&known, &mut rng)), "one city in two");
        let unknown = catalogue(&["buyers.cities={Paris = 1}"], &stores).unwrap();
        assert!((70..130).contains(&lhasa(&unknown, &mut rng)), "one store in three");
        assert_eq!(catalogue(&[], &[]).unwrap().choose(&mut rng, 0).store, None);
    }

    #[test]
    fn the_same_seed_wishes_the_same() {
        let stores = [("a", "A"), ("b", "B"), ("c", "C")];
        let [one, two] = [catalogue(&[], &stores), catalogue(&[], &stores)].map(Result::unwrap);
        let wishes = |catalogue: &Catalogue| {
            (0..20).map(|n| catalogue.choose(&mut Rng::with_seed(n), 30)).collect::<Vec<_>>()
        };
        assert_eq!(wishes(&one), wishes(&two));
    }

    #[test]
    fn weights_of_models_can_be_given() {
        let only_b = catalogue(&["buyers.models={b = 1}"], &[]).unwrap();
        let mut rng = Rng::with_seed(2);
        assert!((0..50).all(|_| only_b.choose(&mut rng, 0).model == "b"));
        assert!(catalogue(&["buyers.models={c = 1}"], &[]).is_err());
        assert!(catalogue(&["buyers.models={b = 0}"], &[]).is_err());
    }

    #[test]
    fn terms_are_read_as_a_gateway_writes_them() {
        let terms = |json| serde_json::from_value::<SaleTerms>(json).unwrap();
        let given =
            terms(serde_json::json!({"hold": "15m", "grace": "1500ms", "per_buyer": 2, "attempts": 7}));
        assert_eq!((given.per_buyer, given.attempts, given.lapses_after_ms()), (2, 7, 901_499));
        let silent = terms(serde_json::json!({}));
        assert_eq!((silent.per_buyer, silent.attempts), (1, 5));
        assert!(serde_json::from_value::<SaleTerms>(serde_json::json!({"hold": "soon"})).is_err());
    }

    #[test]
    fn a_wish_without_a_store_leaves_the_member_out() {
        let selection =
            Selection { model: "a".to_owned(), packages: vec![], store: None, accept_partial: false };
        assert_eq!(
            serde_json::to_string(&selection).unwrap(),
            r#"{"model":"a","packages":[],"accept_partial":false}"#
        );
    }
}
