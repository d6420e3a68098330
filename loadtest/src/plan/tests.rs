//! Unit tests of `plan.rs`.

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
        sign_up_lasts: Duration::from_secs(20),
        turn_lasts: Duration::from_secs(120),
        try_takes: Duration::from_secs(12),
        tries: 10,
    }
}

/// Number, instant and account of each start.
fn starts(plan: &Plan) -> Vec<(usize, i64, usize)> {
    let starts = plan.lines.iter().flat_map(|line| line.starts.clone());
    starts.map(|start| (start.person.number, start.at_us, start.person.account)).collect()
}

#[test]
fn a_mix_shares_the_buyers_out() {
    let profile = Profile::load(None, &[]).unwrap();
    let mix = BTreeMap::from([(Scenario::SPIKE, 1), (Scenario::CROWD, 2)]);
    let plan = request(&profile, &mix, 100).plan().unwrap();
    let line = |wanted| plan.lines.iter().find(|line| line.scenario == wanted).unwrap();
    assert_eq!((line(Scenario::CROWD).count, line(Scenario::SPIKE).count), (66, 34));
    for line in &plan.lines {
        assert!(line.starts.clone().is_sorted_by_key(|start| start.at_us));
        assert_eq!(line.starts.clone().count(), line.count);
    }
    let first = line(Scenario::CROWD).starts.clone().next().unwrap();
    assert!(first.at_us >= -5_000_000 && first.at_us < 0);
}

#[test]
fn the_built_in_profile_as_a_file_plans_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("profile.toml");
    std::fs::write(&path, profile::BUILT_IN).unwrap();
    let [built_in, file] = [None, Some(path.as_path())].map(|path| Profile::load(path, &[]).unwrap());
    let alone = Scenario::all().into_iter().map(|scenario| BTreeMap::from([(scenario, 1)]));
    for mix in alone.chain([built_in.mix.clone()]) {
        let [one, other] = [&built_in, &file].map(|profile| {
            PlanRequest { buyers: None, buyers_default: 1_000, ..request(profile, &mix, 0) }.plan().unwrap()
        });
        assert_eq!(starts(&one), starts(&other), "{mix:?}");
    }
}

#[test]
fn shards_add_up_to_the_run() {
    let profile = Profile::load(None, &[]).unwrap();
    let mix = BTreeMap::from([(Scenario::CROWD, 3), (Scenario::BOTS, 1)]);
    let mut whole = starts(&request(&profile, &mix, 101).plan().unwrap());
    let mut parts: Vec<_> = (1..=3)
        .flat_map(|part| {
            let shard = Shard { part, parts: 3 };
            starts(&PlanRequest { shard, ..request(&profile, &mix, 101) }.plan().unwrap())
        })
        .collect();
    whole.sort_unstable();
    parts.sort_unstable();
    assert_eq!(whole, parts);
}

#[test]
fn the_second_wave_comes_when_the_first_ones_holds_are_over() {
    let profile = Profile::load(None, &[]).unwrap();
    let mix = BTreeMap::from([(Scenario::ABANDON, 1)]);
    let plan = request(&profile, &mix, 100).plan().unwrap();
    let starts: Vec<Start> = plan.lines[0].starts.clone().collect();
    let gap = starts.windows(2).map(|pair| pair[1].at_us - pair[0].at_us).max();
    assert!(gap >= Some(20_000_000), "{gap:?}");
    let second = starts.iter().filter(|start| Some(start.at_us) >= plan.second_wave_us).count();
    assert_eq!(second, 50, "half of them, as in the profile");
}

#[test]
fn a_schedule_sets_the_number_of_buyers() {
    let profile = Profile::load(None, &[]).unwrap();
    let mix = BTreeMap::from([(Scenario::SPIKE, 1)]);
    let arrivals = Arrivals::parse("constant:50/s:10s").unwrap();
    let plan =
        PlanRequest { buyers: None, arrivals: Some(&arrivals), ..request(&profile, &mix, 0) }.plan().unwrap();
    assert_eq!(plan.buyers(), 500);
}

#[test]
fn shards_are_read() {
    assert_eq!(Shard::parse("2/5"), Ok(Shard { part: 2, parts: 5 }));
    for wrong in ["0/5", "6/5", "2", "a/b", "1/0", "1/100000"] {
        assert!(Shard::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn as_many_users_are_needed_as_may_be_at_work_at_once() {
    let profile = Profile::load(None, &[]).unwrap();
    let users = |scenario, arrivals: &str| {
        let mix = BTreeMap::from([(scenario, 1)]);
        let arrivals = Arrivals::parse(arrivals).unwrap();
        let request = PlanRequest { buyers: None, arrivals: Some(&arrivals), ..request(&profile, &mix, 0) };
        request.plan().unwrap().users().sum::<usize>()
    };
    // A look ends within the timeout, so that those of twelve seconds are all that can be at work.
    let looks = users(Scenario::LOOK, "constant:500/s:60s");
    assert!((6_000..=6_010).contains(&looks), "{looks}");
    assert_eq!(users(Scenario::LOOK, "constant:5000/s:60s"), 10_000);
    assert_eq!(users(Scenario::SPIKE, "constant:100/s:5s"), 500);
    assert_eq!(users(Scenario::SPIKE, "constant:10000/s:60s"), 50_000, "a process has no more connections");
}

#[test]
fn a_soak_of_a_day_is_drawn_as_it_comes() {
    let profile = Profile::load(None, &[]).unwrap();
    let mix = BTreeMap::from([(Scenario::SOAK, 1)]);
    let arrivals = Arrivals::parse("poisson:100/s:24h").unwrap();
    let request = PlanRequest { buyers: None, arrivals: Some(&arrivals), ..request(&profile, &mix, 0) };
    let plan = request.plan().unwrap();
    assert!((8_600_000..=8_640_000).contains(&plan.buyers()), "{}", plan.buyers());
    let same = request.plan().unwrap();
    let first = |plan: &Plan| plan.lines[0].starts.clone().take(1000).collect::<Vec<_>>();
    assert_eq!(first(&plan), first(&same));
}
