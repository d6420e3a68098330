//! Owns what buyers want: model, packages and store, chosen from what the sale offers.

use fastrand::Rng;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
}

fn one() -> u64 {
    1
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

/// The body of a reservation request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Wish {
    pub(crate) model: String,
    pub(crate) packages: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<String>,
    pub(crate) accept_partial: bool,
}

/// What there is to choose from.
#[derive(Clone, Debug)]
pub(crate) struct Menu {
    /// Model and weight; never empty, the weights add up to more than nothing.
    models: Vec<(String, u64)>,
    packages: Vec<Package>,
    stores: Vec<String>,
}

const PACKAGES_MAX: usize = 3;
const ACCEPT_PARTIAL_PERCENT: u32 = 30;

impl Menu {
    /// A model is wanted in proportion to its stock, so that all run out at about the
    /// same time, or as often as `weights` says.
    pub(crate) fn new(
        definition: &Definition,
        weights: &[(String, u64)],
        stores: Vec<String>,
    ) -> Result<Menu, String> {
        for (id, _) in weights {
            if !definition.model.iter().any(|model| model.id == *id) {
                return Err(format!("--model-weight names {id:?}, which the sale does not have"));
            }
        }
        let weight_of = |model: &Model| match weights.iter().find(|(id, _)| *id == model.id) {
            Some((_, weight)) => *weight,
            None if weights.is_empty() => model.stock.unwrap_or(1).max(1),
            None => 0,
        };
        let models: Vec<_> =
            definition.model.iter().map(|model| (model.id.clone(), weight_of(model))).collect();
        if models.iter().map(|(_, weight)| weight).sum::<u64>() == 0 {
            return Err("the sale has no model that could be chosen".to_owned());
        }
        Ok(Menu { models, packages: definition.package.clone(), stores })
    }

    /// One buyer's wish.
    pub(crate) fn choose(&self, rng: &mut Rng) -> Wish {
        let model = self.choose_model(rng);
        let mut fitting: Vec<&str> = self
            .packages
            .iter()
            .filter(|package| package.models.as_ref().is_none_or(|models| models.contains(&model)))
            .map(|package| package.id.as_str())
            .collect();
        rng.shuffle(&mut fitting);
        fitting.truncate(rng.usize(0..=PACKAGES_MAX));
        let packages = fitting.into_iter().map(str::to_owned).collect();
        let store = rng.choice(&self.stores).cloned();
        Wish { model, packages, store, accept_partial: rng.u32(0..100) < ACCEPT_PARTIAL_PERCENT }
    }

    fn choose_model(&self, rng: &mut Rng) -> String {
        let total: u64 = self.models.iter().map(|(_, weight)| weight).sum();
        let mut point = rng.u64(0..total);
        for (model, weight) in &self.models {
            if point < *weight {
                return model.clone();
            }
            point -= weight;
        }
        // The weights are added up above, so the loop always returns.
        self.models[0].0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn packages_fit_the_model_and_are_at_most_three() {
        let menu = Menu::new(&definition(), &[], vec!["s1".to_owned()]).unwrap();
        let mut rng = Rng::with_seed(1);
        let wishes: Vec<_> = (0..1000).map(|_| menu.choose(&mut rng)).collect();
        for wish in &wishes {
            let other = if wish.model == "a" { "for-b" } else { "for-a" };
            assert!(wish.packages.len() <= 3 && !wish.packages.iter().any(|package| package == other));
            assert_eq!(wish.store.as_deref(), Some("s1"));
        }
        let of_a = wishes.iter().filter(|wish| wish.model == "a").count();
        assert!((850..950).contains(&of_a), "{of_a} of 1000 chose the model with 90 % of the stock");
        assert!(wishes.iter().any(|wish| wish.packages.len() == 3));
        assert!(wishes.iter().any(|wish| wish.packages.is_empty()));
        assert!(wishes.iter().any(|wish| wish.accept_partial));
    }

    #[test]
    fn the_same_seed_wishes_the_same() {
        let menu = Menu::new(&definition(), &[], vec![]).unwrap();
        assert_eq!(menu.choose(&mut Rng::with_seed(9)), menu.choose(&mut Rng::with_seed(9)));
    }

    #[test]
    fn weights_can_be_given() {
        let only_b = Menu::new(&definition(), &[("b".to_owned(), 1)], vec![]).unwrap();
        let mut rng = Rng::with_seed(2);
        assert!((0..50).all(|_| only_b.choose(&mut rng).model == "b"));
        assert!(Menu::new(&definition(), &[("c".to_owned(), 1)], vec![]).is_err());
        assert!(Menu::new(&definition(), &[("b".to_owned(), 0)], vec![]).is_err());
    }

    #[test]
    fn a_wish_without_a_store_leaves_the_member_out() {
        let wish = Wish { model: "a".to_owned(), packages: vec![], store: None, accept_partial: false };
        assert_eq!(
            serde_json::to_string(&wish).unwrap(),
            r#"{"model":"a","packages":[],"accept_partial":false}"#
        );
    }
}
