//! Tests the comparison: it finds changes, and reports no noise.

use fastrand::Rng;

use super::*;
use crate::base::outcome::StepEnd;
use crate::base::scenario::Scenario;
use crate::figures::AnswerClass;

/// So many taps of an outcome, each about `ms`, up to a fifth more or less, as the seed has it.
fn taps_of(figures: &mut Figures, outcome: Outcome, count: usize, ms: f64, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    for _ in 0..count {
        let waited = Duration::from_secs_f64(ms * (0.8 + 0.4 * rng.f64()) / 1000.0);
        figures.ended(Scenario::SPIKE, outcome, 0, waited);
    }
}

fn run(ms: f64, seed: u64) -> Figures {
    let mut figures = Figures::default();
    taps_of(&mut figures, Outcome::Won, 2_000, ms, seed);
    taps_of(&mut figures, Outcome::SoldOut, 8_000, 20.0, seed + 1);
    figures
}

fn find<'a>(differences: &'a [Difference], what: &str) -> &'a Difference {
    differences
        .iter()
        .find(|difference| difference.what == what)
        .unwrap_or_else(|| panic!("{what}: {differences:#?}"))
}

fn direction(before: &Figures, now: &Figures, what: &str) -> Direction {
    find(&compare(before, now), what).direction
}

#[test]
fn two_runs_of_the_same_are_the_same() {
    for seed in 0..30 {
        let differences = compare(&run(100.0, seed * 100), &run(100.0, seed * 100 + 50));
        assert!(differences.iter().all(|d| d.direction == Direction::Same), "seed {seed}: {differences:#?}");
        assert_eq!(differences.len(), 9, "{differences:#?}");
    }
    assert_eq!(compare(&Figures::default(), &Figures::default()), []);
}

#[test]
fn a_slower_run_is_worse_and_the_other_way_round_better() {
    let (quick, slow) = (run(100.0, 1), run(120.0, 2));
    for what in ["won.p50", "won.p99", "winners.p50", "winners.p99"] {
        assert_eq!(direction(&quick, &slow, what), Direction::Worse, "{what}");
        assert_eq!(direction(&slow, &quick, what), Direction::Better, "{what}");
    }
    assert_eq!(direction(&quick, &slow, "sold_out.p99"), Direction::Same);
    let differences = compare(&quick, &slow);
    let won = find(&differences, "won.p50");
    assert!(won.why.contains("% longer, and the 95 % intervals"), "{}", won.why);
    assert!(won.before.ends_with(" ms") && won.now.starts_with("12"), "{won:?}");
}

#[test]
fn what_is_beyond_chance_but_small_is_the_same() {
    let differences = compare(&run(100.0, 1), &run(106.0, 2));
    let won = find(&differences, "won.p50");
    assert_eq!(won.direction, Direction::Same);
    assert!(won.why.ends_with("which is not more than 10 %"), "{}", won.why);
}

#[test]
fn what_is_large_but_within_chance_is_the_same() {
    let of = |ms: [u64; 10]| {
        let mut figures = Figures::default();
        ms.into_iter().for_each(|ms| {
            figures.answered("reserve", 0, Duration::from_millis(ms), (200, AnswerClass::Decided))
        });
        figures
    };
    let differences = compare(
        &of([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
        &of([10, 20, 30, 40, 75, 76, 77, 80, 90, 100]),
    );
    let median = find(&differences, "request:reserve.p50");
    assert!(median.direction == Direction::Same && median.why.ends_with("overlap"), "{median:?}");
}

#[test]
fn too_few_samples_are_reported() {
    let (mut before, mut now) = (Figures::default(), Figures::default());
    taps_of(&mut before, Outcome::Won, 1_000, 10.0, 1);
    taps_of(&mut now, Outcome::Won, 499, 100.0, 2);
    taps_of(&mut now, Outcome::Unknown, 9, 100.0, 2);
    let differences = compare(&before, &now);
    let tail = find(&differences, "won.p99");
    assert_eq!(tail.direction, Direction::TooFew);
    assert_eq!(tail.why, "of 1000 and 499 samples; 500 in each are needed");
    assert_eq!(find(&differences, "won.p50").direction, Direction::Worse);
    assert!(!differences.iter().any(|difference| difference.what.starts_with("unknown.p")));
    taps_of(&mut now, Outcome::SoldOut, 10, 100.0, 2);
    let differences = compare(&before, &now);
    let losers = find(&differences, "losers.p50");
    assert_eq!((losers.before.as_str(), losers.direction), ("none", Direction::TooFew));
}

#[test]
fn bots_are_apart() {
    let (mut before, mut now) = (run(100.0, 1), run(100.0, 2));
    for (figures, ms) in [(&mut before, 10), (&mut now, 1_000)] {
        (0..50_000).for_each(|_| figures.ended(Scenario::BOTS, Outcome::Won, 0, Duration::from_millis(ms)));
    }
    assert_eq!(direction(&before, &now, "won.p50"), Direction::Same);
}

#[test]
fn shares_are_tested_for_chance_and_for_size() {
    let judge = |before, now| judge_share([before, now], Direction::Worse).0;
    // Half a point of 10,000 is beyond chance, and just enough.
    assert_eq!(judge((100, 10_000), (150, 10_000)), Direction::Worse);
    assert_eq!(judge((150, 10_000), (100, 10_000)), Direction::Better);
    assert_eq!(judge((100, 10_000), (149, 10_000)), Direction::Same);
    // A point of 1,000 is not beyond chance.
    assert_eq!(judge((20, 1_000), (30, 1_000)), Direction::Same);
    assert_eq!(judge((20, 1_000), (40, 1_000)), Direction::Worse);
    // 100 samples are too few.
    assert_eq!(judge((0, 100), (3, 100)), Direction::TooFew);
    assert_eq!(judge((97, 100), (100, 100)), Direction::TooFew);
    assert_eq!(judge((1, 3), (0, 0)), Direction::TooFew);
    assert_eq!(judge((5, 5), (5, 5)), Direction::Same);
    let more_is_better = judge_share([(100, 10_000), (150, 10_000)], Direction::Better);
    assert_eq!(
        more_is_better,
        (Direction::Better, "+0.50 percentage points, beyond noise (z = 3.2, 1.96 needed)".into())
    );
}

#[test]
fn shares_of_the_same_differ_in_few_of_many_runs() {
    let draw = |rng: &mut Rng| (0..2_000).filter(|_| rng.f64() < 0.1).count() as u64;
    let differ = (0..300).filter(|seed| {
        let mut rng = Rng::with_seed(*seed);
        let parts = [(draw(&mut rng), 2_000), (draw(&mut rng), 2_000)];
        judge_share(parts, Direction::Worse).0 != Direction::Same
    });
    assert!(differ.count() <= 30);
}

#[test]
fn what_was_shed_and_what_was_late_is_compared() {
    let (before, mut now) = (run(100.0, 1), run(100.0, 2));
    taps_of(&mut now, Outcome::Shed, 500, 5.0, 3);
    now.unsent = 100;
    let differences = compare(&before, &now);
    let shed = find(&differences, "shed share");
    assert_eq!((shed.direction, shed.before.as_str()), (Direction::Worse, "0.00 % (0 of 10000)"));
    assert_eq!(shed.now, "4.76 % (500 of 10500)");
    assert_eq!(find(&differences, "unsent share").direction, Direction::TooFew);
    assert_eq!(find(&differences, "winners share").direction, Direction::Same);
    assert!(!differences.iter().any(|difference| difference.what == "wrong share"));
}

/// A thousand requests `name`, of which 100 ended so.
fn requests(name: &str, end: impl Fn(&mut Figures)) -> Figures {
    let (mut figures, took) = (Figures::default(), Duration::from_millis(5));
    (0..900).for_each(|_| figures.answered(name, 0, took, (200, AnswerClass::Decided)));
    (0..900).for_each(|_| figures.step_ended(name, StepEnd::Done));
    (0..100).for_each(|_| end(&mut figures));
    figures
}

#[test]
fn what_failed_is_compared_by_request_and_step() {
    let took = Duration::from_millis(5);
    let answered = |status, class| {
        requests("confirm", move |figures| figures.answered("confirm", 0, took, (status, class)))
    };
    let well = answered(200, AnswerClass::Decided);
    let lost = requests("confirm", |figures| figures.lost("confirm", 0, (took, took), "cut"));
    let undecided = requests("confirm", |figures| figures.step_ended("confirm", StepEnd::Undecided));
    for (what, bad) in [
        ("request:confirm.failed share", answered(503, AnswerClass::Failed)),
        ("request:confirm.limited share", answered(429, AnswerClass::Limited)),
        ("request:confirm.shed share", answered(503, AnswerClass::Shed)),
        ("request:confirm.lost share", lost),
        ("step:confirm.undecided share", undecided),
    ] {
        let differences = compare(&well, &bad);
        let share = find(&differences, what);
        assert_eq!(share.now, "10.00 % (100 of 1000)", "{what}");
        assert!(share.direction == Direction::Worse && share.is_a_regression(), "{share:?}");
        assert_eq!(direction(&bad, &well, what), Direction::Better, "{what}");
    }
}

#[test]
fn more_limited_bots_are_not_worse() {
    let of = |status, class| {
        requests("look-by-bots", move |all| all.answered("look-by-bots", 0, Duration::ZERO, (status, class)))
    };
    let differences = compare(&of(200, AnswerClass::Decided), &of(429, AnswerClass::Limited));
    assert!(!differences.iter().any(Difference::is_a_regression), "{differences:#?}");
}

#[test]
fn journeys_are_compared_by_scenario() {
    let of = |ms: u64| {
        let mut figures = Figures::default();
        (0..1_000).for_each(|n| {
            figures.journey_ended(Scenario::SOAK, n, Duration::from_millis(ms));
            figures.journey_ended(Scenario::LOOK, n, Duration::from_millis(10));
        });
        figures
    };
    for what in ["soak/journey.p50", "soak/journey.p99"] {
        assert_eq!(direction(&of(100), &of(200), what), Direction::Worse, "{what}");
    }
    assert_eq!(direction(&of(100), &of(200), "look/journey.p99"), Direction::Same);
}

#[test]
fn what_only_the_baseline_has_is_worse() {
    let mut before = requests("confirm", |_| {});
    (0..4).for_each(|_| before.answered("amend", 0, Duration::ZERO, (200, AnswerClass::Decided)));
    (0..9).for_each(|n| before.journey_ended(Scenario::SOAK, n, Duration::ZERO));
    let differences = compare(&before, &Figures::default());
    for what in ["request:confirm", "soak/journey"] {
        let gone = find(&differences, what);
        assert!(gone.is_a_regression() && gone.now == "none", "{gone:?}");
    }
    assert_eq!(
        find(&differences, "request:amend").direction,
        Direction::TooFew,
        "chance may leave these out"
    );
    let more = compare(&Figures::default(), &before);
    assert!(!more.iter().any(Difference::is_a_regression), "{more:#?}");
}

#[test]
fn the_spread_of_the_opening_changes_with_its_tail_only() {
    let of = |tail_us: i64, last_us: i64| {
        let mut figures = Figures::default();
        (0..1_000).for_each(|n| figures.tapped_at_opening(if n < 980 { 100 + n } else { tail_us + n }));
        figures.tapped_at_opening(last_us);
        figures
    };
    let (even, one_late, all_late) = (of(20_000, 30_000), of(20_000, 90_000), of(60_000, 90_000));
    assert_eq!(direction(&even, &one_late, "t0_skew"), Direction::Same);
    assert_eq!(direction(&even, &all_late, "t0_skew"), Direction::Worse);
    assert_eq!(direction(&all_late, &even, "t0_skew"), Direction::Better);
    assert_eq!(direction(&one_late, &all_late, "t0_skew"), Direction::Same);
    let mut few = Figures::default();
    few.tapped_at_opening(5);
    assert_eq!(direction(&even, &few, "t0_skew"), Direction::TooFew);
}

#[test]
fn a_difference_can_be_written() {
    let differences = compare(&run(100.0, 1), &run(200.0, 2));
    let written = serde_json::to_value(find(&differences, "won.p99")).unwrap();
    assert_eq!((&written["what"], &written["direction"]), (&"won.p99".into(), &"worse".into()));
    assert_eq!(serde_json::to_value(Direction::TooFew).unwrap(), "too_few");
}
