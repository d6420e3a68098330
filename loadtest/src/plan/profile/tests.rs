//! Unit tests of `profile.rs`.

use super::*;

#[test]
fn the_built_in_profile_is_the_launch_that_this_is_built_for() {
    let profile = Profile::parse("", toml::Table::new()).unwrap();
    assert_eq!((profile.launch.interested, profile.launch.taps_per_car), (150_000, 100));
    assert!(profile.thresholds().len() >= 3 && profile.arrivals(Scenario::SOAK).is_some());
}

#[test]
fn a_profile_overrides_only_what_it_names() {
    let text =
        "[buyers]\nconfirm = 0\n[buyers.cities]\nLhasa = 1\n[mix]\nspike = 1\n[verdict]\nthresholds = []";
    let profile = Profile::parse(text, toml::Table::new()).unwrap();
    assert_eq!((profile.buyers.confirm, profile.buyers.cancel), (0, 10));
    assert_eq!(profile.buyers.cities.len(), 1);
    assert_eq!(profile.mix, BTreeMap::from([(Scenario::SPIKE, 1)]));
    assert!(profile.thresholds().is_empty());
}

#[test]
fn single_values_can_be_set() {
    let changes =
        ["buyers.twice=100", "crowd.lead=8s", "verdict.thresholds=[\"wrong < 1\"]"].map(str::to_owned);
    let profile = Profile::load(None, &changes).unwrap();
    assert_eq!((profile.buyers.twice, profile.crowd.lead.0), (100, Duration::from_secs(8)));
    assert_eq!(profile.thresholds().len(), 1);
    let misspelt = "verdict.thresholds=[\"request:reserv.p99 < 1ms\"]";
    for wrong in ["buyers.twice", "buyers.thrice=1", "= 3", misspelt] {
        assert!(Profile::load(None, &[wrong.to_owned()]).is_err(), "{wrong}");
    }
}

#[test]
fn mistakes_are_reported_with_their_position() {
    for (text, place) in [
        ("[buyers]\nconfirm = 60\nconfrim = 1", "line 3, buyers.confrim: unknown field"),
        ("\nbuyers.think = [\"1s\", 2.5]", "line 2, buyers.think[1]: invalid type"),
        ("[buyers\nconfirm = 60", "line 1"),
        ("[mix]\nstampede = 1", "line 2, mix.stampede: unknown scenario \"stampede\""),
        ("[crowd]\nlead = \"soon\"", "line 2, crowd.lead: \"soon\""),
    ] {
        let error = Profile::parse(text, toml::Table::new()).unwrap_err();
        assert!(error.contains(place), "{error}");
    }
    let set = read_changes(&["buyers.thrice=1".to_owned()]).unwrap();
    let error = Profile::parse("[buyers]\ntwice = 1", set).unwrap_err();
    assert!(error.starts_with("--set buyers.thrice: unknown field"), "{error}");
    let text = "[buyers]\nconfirm = 80\ncancel = 30\n[arrivals]\nsoak = \"often\"\n[verdict]\nthresholds = [\"won.p99\"]";
    let error = Profile::parse(text, toml::Table::new()).unwrap_err();
    for place in ["buyers.confirm", "arrivals.soak", "verdict.thresholds"] {
        assert!(error.contains(place), "{place} is missing in {error}");
    }
}

#[test]
fn a_server_is_stalled_when_it_answers_nothing_for_longer_than_a_limit() {
    let stalled_after = |thresholds: &str| {
        let set = format!("verdict.thresholds=[{thresholds}]");
        Profile::load(None, &[set]).unwrap().stalled_after().as_millis()
    };
    assert_eq!(stalled_after(""), 250);
    assert_eq!(
        stalled_after("\"won.p99 < 400ms\", \"crowd/journey.max < 2s\", \"request:look.p99 < 9s\""),
        400,
        "the laxest limit would take shorter stalls for lateness of the generator"
    );
    assert_eq!(stalled_after("\"won.p99 < 1ms\""), 100, "shorter ones may be this machine's");
    assert_eq!(stalled_after("\"won.max < 1m\", \"losers.max < 2m\""), 5_000);
}
