//! Unit tests of `plan.rs`.

use clap::ValueEnum;

use super::*;

fn request<'a>(profile: &'a Profile, mix: &'a BTreeMap<Scenario, u32>, buyers: usize) -> PlanRequest<'a> {
    PlanRequest {
        profile,
        mix,
        buyers: Some(buyers),
        arrivals: None,
        shard: Shard::WHOLE,
        seed: 7,
        lead_max: Duration::from_secs(5),
        hold_lasts: Duration::from_secs(20),
        buyers_default: 1,
    }
}

#[test]
fn a_mix_shares_the_buyers_out() {
    let profile = Profile::load(None, &[]).unwrap();
    let mix = BTreeMap::from([(Scenario::Spike, 1), (Scenario::Crowd, 2)]);
    let plan = request(&profile, &mix, 100).plan().unwrap();
    let count = |wanted| plan.people.iter().filter(|person| person.scenario == wanted).count();
    assert_eq!((count(Scenario::Spike), count(Scenario::Crowd)), (33, 67));
    for line in &plan.lines {
        assert!(line.starts.is_sorted_by_key(|start| start.at_us));
    }
    let crowd = plan.lines.iter().find(|line| line.scenario == Scenario::Crowd).unwrap();
    assert!(crowd.starts[0].at_us >= -5_000_000 && crowd.starts[0].at_us < 0);
}

#[test]
fn the_built_in_profile_as_a_file_plans_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("profile.toml");
    std::fs::write(&path, profile::BUILT_IN).unwrap();
    let [built_in, file] = [None, Some(path.as_path())].map(|path| Profile::load(path, &[]).unwrap());
    let alone = Scenario::value_variants().iter().map(|scenario| BTreeMap::from([(*scenario, 1)]));
    for mix in alone.chain([built_in.mix.clone()]) {
        let [one, other] = [&built_in, &file].map(|profile| {
            PlanRequest { buyers: None, buyers_default: 1_000, ..request(profile, &mix, 0) }.plan().unwrap()
        });
        assert_eq!(one, other, "{mix:?}");
    }
}

#[test]
fn shards_add_up_to_the_run() {
    let profile = Profile::load(None, &[]).unwrap();
    let mix = BTreeMap::from([(Scenario::Crowd, 3), (Scenario::Bots, 1)]);
    let numbers = |plan: &Plan| -> Vec<(usize, i64, usize)> {
        let starts = plan.lines.iter().flat_map(|line| &line.starts);
        starts
            .map(|start| (plan.people[start.person].number, start.at_us, plan.people[start.person].account))
            .collect()
    };
    let mut whole = numbers(&request(&profile, &mix, 101).plan().unwrap());
    let mut parts: Vec<_> = (1..=3)
        .flat_map(|part| {
            let shard = Shard { part, parts: 3 };
            numbers(&PlanRequest { shard, ..request(&profile, &mix, 101) }.plan().unwrap())
        })
        .collect();
    whole.sort_unstable();
    parts.sort_unstable();
    assert_eq!(whole, parts);
}

#[test]
fn the_second_wave_comes_when_the_first_ones_holds_are_over() {
    let profile = Profile::load(None, &[]).unwrap();
    let mix = BTreeMap::from([(Scenario::Abandon, 1)]);
    let plan = request(&profile, &mix, 100).plan().unwrap();
    let starts = &plan.lines[0].starts;
    let gap = starts.windows(2).map(|pair| pair[1].at_us - pair[0].at_us).max();
    assert!(gap >= Some(20_000_000), "{gap:?}");
    let second = starts.iter().filter(|start| Some(start.at_us) >= plan.second_wave_us).count();
    assert_eq!(second, 50, "half of them, as in the profile");
}

#[test]
fn a_schedule_sets_the_number_of_buyers() {
    let profile = Profile::load(None, &[]).unwrap();
    let mix = BTreeMap::from([(Scenario::Spike, 1)]);
    let arrivals = Arrivals::parse("constant:50/s:10s").unwrap();
    let plan =
        PlanRequest { buyers: None, arrivals: Some(&arrivals), ..request(&profile, &mix, 0) }.plan().unwrap();
    assert_eq!(plan.people.len(), 500);
}

#[test]
fn shards_are_read() {
    assert_eq!(Shard::parse("2/5"), Ok(Shard { part: 2, parts: 5 }));
    for wrong in ["0/5", "6/5", "2", "a/b", "1/0", "1/100000"] {
        assert!(Shard::parse(wrong).is_err(), "{wrong}");
    }
}
