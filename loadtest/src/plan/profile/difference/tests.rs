//! Unit tests of `difference.rs`.

use std::path::Path;

use super::*;
use crate::plan::profile::Profile;

fn profile(set: &[&str]) -> toml::Table {
    let set: Vec<String> = set.iter().map(|set| (*set).to_owned()).collect();
    Profile::load(None, &set).unwrap().table().clone()
}

#[test]
fn profiles_differ_in_the_values_that_were_set() {
    assert_eq!(differences(&profile(&[]), &profile(&[])), []);
    let other = profile(&["buyers.twice=100", "generator.late=1s", "mix={spike=1}"]);
    let found = differences(&profile(&["mix={spike=2,look=1}"]), &other);
    let words: Vec<String> = found.iter().map(ProfileDifference::to_string).collect();
    assert_eq!(
        words,
        [
            "buyers.twice: 5 and 100",
            "generator.late: \"250ms\" and \"1s\"",
            "mix.look: 1 and none",
            "mix.spike: 2 and 1"
        ]
    );
    let of_the_verdict: Vec<bool> = found.iter().map(ProfileDifference::is_of_the_verdict).collect();
    assert_eq!(of_the_verdict, [false, true, false, false]);
}

#[test]
fn a_recorded_profile_is_the_one_that_was_run() {
    let ran =
        profile(&["verdict.thresholds=[\"won < 1\"]", "arrivals.look=\"constant:7/s\"", "buyers.twice=9"]);
    // As in a run record.
    let recorded: toml::Table = serde_json::from_str(&serde_json::to_string(&ran).unwrap()).unwrap();
    assert_eq!(recorded, ran);
    let judged = Profile::of_run(&recorded, None, &[]).unwrap();
    assert_eq!(differences(&ran, judged.table()), []);
    assert_eq!((judged.thresholds().len(), judged.buyers.twice), (1, 9));
    let changed = Profile::of_run(&recorded, None, &["verdict.thresholds=[]".to_owned()]).unwrap();
    assert_eq!(differences(&ran, changed.table()).len(), 1);
    let gone = recorded.iter().map(|(name, value)| (name.clone(), value.clone()));
    let mut elsewhere: toml::Table = gone.collect();
    elsewhere["arrivals"]["look"] = toml::Value::String("csv:/not/on/this/machine".to_owned());
    assert!(Profile::of_run(&elsewhere, None, &[]).is_ok(), "what was sent is not read again");
    assert!(Profile::of_run(&recorded, Some(Path::new("/nowhere")), &[]).is_err());
}
