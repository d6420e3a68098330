//! Unit tests of `fleet.rs`.

use super::*;

fn fields(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn rates_of_ops_override_the_configuration() {
    let mut configured = Rates::default();
    configured.set(Policy::Buyer, Some("20:100".parse().unwrap()));
    configured.set(Policy::Address, Some("5:5".parse().unwrap()));
    assert_eq!(SetLimits::parse(&fields(&[])).unwrap().over(&configured), configured);
    let set = fields(&[
        ("buyer", "off"),
        ("sale", "7:8"),
        ("revision", "3"),
        ("at", "9"),
        ("who", "me"),
        ("reason", "-"),
    ]);
    let set = SetLimits::parse(&set).unwrap();
    assert_eq!((set.revision, set.changed.clone()), (3, Some((9, "me".to_owned(), None))));
    let rates = set.over(&configured);
    assert_eq!(Policy::ALL.map(|policy| rate_text(rates.of(policy))), ["off", "5:5", "off", "7:8", "off"]);
}

#[test]
fn an_invalid_value_is_a_mistake() {
    for (name, value) in [("buyer", "many"), ("revision", "x"), ("at", "")] {
        assert!(SetLimits::parse(&fields(&[(name, value)])).unwrap_err().contains(name));
    }
    let mut change = LimitChange::default();
    assert!(change.add("buyers", "1:1").unwrap_err().contains("unverified"));
    assert!(change.add("buyer", "0:1").unwrap_err().contains("RATE:BURST"));
    assert!(change.is_empty());
    change.add("buyer", "default").unwrap();
    assert!(change.add("buyer", "off").unwrap_err().contains("twice"));
}

#[test]
fn the_script_counts_a_gateway_as_gone_after_the_same_time() {
    let script = include_str!("../store/lua/fleet.lua");
    assert!(script.contains(&format!("local GONE_MS = {}\n", GONE.as_millis())));
}
