use super::*;

#[test]
fn every_outcome_has_its_own_name_and_its_judgement() {
    assert_eq!(Outcome::all().map(Outcome::name).collect::<Vec<_>>(), Outcome::NAMES);
    let mut names = Outcome::NAMES.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Outcome::NAMES.len());
    assert!(!names.contains(&"stock-taken") && names.contains(&"sold-out"));
    let told = |judgement| {
        let all = Outcome::all().filter(|outcome| outcome.judgement() == judgement);
        all.map(Outcome::name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(told(Some(false)), "internal temporary-reduced-capacity outcome-unknown");
    assert_eq!(
        told(Some(true)),
        "ok won replayed not-modified sale-not-open sale-paused sold-out purchase-limit \
         reservation-not-held reservation-changed payment-conflict sale-closed"
    );
}
