//! Unit tests of `labels.rs`.

use super::*;

#[test]
fn every_outcome_has_its_own_name_and_its_slo_verdict() {
    assert_eq!(Outcome::all().map(Outcome::name).collect::<Vec<_>>(), Outcome::NAMES);
    let mut names = Outcome::NAMES.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Outcome::NAMES.len());
    assert!(!names.contains(&"stock-taken") && names.contains(&"sold-out"));
    let names_with = |verdict| {
        let all = Outcome::all().filter(|outcome| outcome.slo_verdict() == verdict);
        all.map(Outcome::name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names_with(Some(false)), "internal temporary-reduced-capacity outcome-unknown");
    assert_eq!(
        names_with(Some(true)),
        "ok won replayed not-modified not-signed-up sale-not-open sale-paused sold-out purchase-limit \
         reservation-not-held reservation-changed payment-conflict signup-not-open not-sold-out standby-full sale-closed \
         signup-closed"
    );
}
