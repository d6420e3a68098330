//! Unit tests of `selection.rs`.

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
fn packages_fit_the_model_at_the_profile_s_rate() {
    let catalogue = catalogue(&["buyers.packages={for-all = 80, two = 0}"], &[("s1", "X")]).unwrap();
    let mut rng = Rng::with_seed(1);
    let selections: Vec<_> = (0..1000).map(|_| catalogue.choose(&mut rng, 30)).collect();
    for selection in &selections {
        let other = if selection.model == "a" { "for-b" } else { "for-a" };
        assert!(!selection.packages.iter().any(|package| package == other || package == "two"));
        assert_eq!(selection.store.as_deref(), Some("s1"));
    }
    let count =
        |wanted: fn(&Selection) -> bool| selections.iter().filter(|selection| wanted(selection)).count();
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
fn the_same_seed_gives_the_same_selections() {
    let stores = [("a", "A"), ("b", "B"), ("c", "C")];
    let [one, two] = [catalogue(&[], &stores), catalogue(&[], &stores)].map(Result::unwrap);
    let selections = |catalogue: &Catalogue| {
        (0..20).map(|n| catalogue.choose(&mut Rng::with_seed(n), 30)).collect::<Vec<_>>()
    };
    assert_eq!(selections(&one), selections(&two));
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
    let given = terms(serde_json::json!({"hold": "15m", "grace": "1500ms", "per_buyer": 2, "attempts": 7}));
    assert_eq!((given.per_buyer, given.attempts, given.lapses_after_ms(false)), (2, 7, 901_499));
    let silent = terms(serde_json::json!({}));
    assert_eq!((silent.per_buyer, silent.attempts), (1, 5));
    assert!(serde_json::from_value::<SaleTerms>(serde_json::json!({"hold": "soon"})).is_err());
}

#[test]
fn a_selection_without_a_store_omits_the_member() {
    let selection = Selection { model: "a".to_owned(), packages: vec![], store: None, accept_partial: false };
    assert_eq!(
        serde_json::to_string(&selection).unwrap(),
        r#"{"model":"a","packages":[],"accept_partial":false}"#
    );
}
