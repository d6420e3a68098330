//! Unit tests of `faults.rs`.

use testkit::options::Named;

use super::*;

#[test]
fn every_fault_has_a_name_and_a_description() {
    for fault in Fault::value_variants() {
        assert!(!fault.about().is_empty(), "{}", fault.name());
    }
    assert_eq!((Fault::CutPrimary.name(), Level::Replicas.name()), ("cut-primary".into(), "replicas".into()));
}

#[test]
fn a_safer_level_guarantees_no_less() {
    for fault in Fault::value_variants() {
        let promised: Vec<bool> = [Level::None, Level::Aof, Level::Fsync, Level::Replicas]
            .map(|level| fault.loses_nothing_at(level))
            .to_vec();
        assert!(promised.is_sorted(), "{}: {promised:?}", fault.name());
    }
}
