//! Unit tests of `buyer.rs`.

use super::*;
use crate::plan::profile::Profile;
use crate::plan::selection::Definition;

fn buyer(number: usize, seed: u64) -> Buyer {
    let definition: Definition = serde_json::from_value(serde_json::json!({
        "sale": {"id": "s"}, "model": [{"id": "a", "stock": 9}, {"id": "b", "stock": 9}],
    }))
    .unwrap();
    let profile = Profile::load(None, &[]).unwrap();
    let catalogue = Catalogue::new(&definition, &profile.buyers, vec![]).unwrap();
    let token = BuyerToken::unsigned(format!("b{number}"));
    let person = Person { number, scenario: Scenario::SPIKE, account: number };
    Buyer::new(&person, token, seed, &catalogue, &profile.buyers)
}

#[test]
fn a_seed_decides_everything() {
    for n in 0..50 {
        let (mut one, mut same) = (buyer(n, 7), buyer(n, 7));
        assert_eq!((&one.selection, one.after, one.twice), (&same.selection, same.after, same.twice));
        let key = one.new_key();
        assert!(key == same.new_key() && key != one.new_key() && key.len() <= 60);
    }
    assert!((0..50).any(|n| buyer(n, 7).after != buyer(n, 8).after));
    assert_ne!(buyer(0, 7).new_key(), buyer(0, 8).new_key());
}

#[test]
fn winners_do_as_the_percentages_say() {
    let count = |after| (0..1000).filter(|n| buyer(*n, 3).after == after).count();
    assert!((550..650).contains(&count(After::Confirm)));
    assert!((70..130).contains(&count(After::Cancel)));
}
