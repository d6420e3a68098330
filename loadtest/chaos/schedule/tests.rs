//! Unit tests of `schedule.rs`.

use super::*;

#[test]
fn a_launch_is_the_same_whatever_else_is_run() {
    let (faults, levels) = (Fault::value_variants(), Level::value_variants());
    let all = round(7, 0, faults, levels);
    assert_eq!(all, round(7, 0, faults, levels));
    let one = round(7, 0, &[Fault::Loss], &[Level::Aof]);
    assert_eq!(one.len(), 1);
    assert!(all.contains(&one[0]));
    assert_ne!(all, round(8, 0, faults, levels));
    assert_ne!(all, round(7, 1, faults, levels));
}

#[test]
fn every_fault_comes_once_a_round_at_each_level_where_it_makes_sense() {
    let (faults, levels) = (Fault::value_variants(), Level::value_variants());
    let all = round(1, 0, faults, levels);
    let void = faults
        .iter()
        .flat_map(|fault| levels.iter().filter(|level| fault.is_not_applicable_at(**level).is_some()))
        .count();
    assert_eq!(all.len(), faults.len() * levels.len() - void);
    assert!(all.iter().all(|launch| launch.at_ms < 2_500 && launch.target < GATEWAYS));
}
