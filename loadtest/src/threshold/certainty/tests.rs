//! Unit tests of `certainty.rs`: nothing that could still be met is given up.

use super::*;
use crate::base::outcome::Outcome;
use crate::figures::AnswerClass;

const MS: Duration = Duration::from_millis(1);

fn bounds(of: &[(Scenario, u64, Option<u64>)]) -> RunBounds {
    RunBounds(
        of.iter()
            .map(|(scenario, starts, taps)| (*scenario, ScenarioBounds { starts: *starts, taps: *taps }))
            .collect(),
    )
}

fn is_lost(text: &str, figures: &Figures, bounds: &RunBounds) -> bool {
    Threshold::parse(text).unwrap().is_lost(figures, bounds)
}

/// Of 1,000 taps of `spike` 20 are over, half of them shed, each after 300 ms.
fn taps() -> (Figures, RunBounds) {
    let mut figures = Figures::default();
    for n in 0..20 {
        let outcome = if n % 2 == 0 { Outcome::Shed } else { Outcome::Won };
        figures.ended(Scenario::SPIKE, outcome, 0, MS * 300);
        figures.journey_ended(Scenario::SPIKE, MS * 300);
    }
    (figures, bounds(&[(Scenario::SPIKE, 1_000, Some(1_000))]))
}

#[test]
fn a_count_is_certain_once_it_is_exceeded() {
    let (figures, bounds) = taps();
    assert!(is_lost("shed < 10", &figures, &bounds) && !is_lost("shed <= 10", &figures, &bounds));
    assert!(!is_lost("wrong < 1", &figures, &bounds) && !is_lost("wrong < 1", &Figures::default(), &bounds));
    assert!(!is_lost("won > 10", &figures, &bounds), "more may come");
}

#[test]
fn a_share_is_certain_by_the_plan() {
    let (figures, bounds) = taps();
    // Half of all until now, at least one in a hundred of all that are planned.
    assert!(is_lost("shed < 1%", &figures, &bounds) && !is_lost("shed <= 1%", &figures, &bounds));
    let unbounded = self::bounds(&[(Scenario::SPIKE, 1_000, None)]);
    assert!(!is_lost("shed < 1%", &figures, &unbounded), "nobody knows of how many");
    let wrong = self::bounds(&[(Scenario::SPIKE, 19, Some(19))]);
    assert!(!is_lost("shed < 1%", &figures, &wrong), "the bound does not hold");
    let with_bots = self::bounds(&[(Scenario::SPIKE, 1_000, Some(1_000)), (Scenario::BOTS, 9, None)]);
    assert!(is_lost("shed < 1%", &figures, &with_bots), "bots don't count");
}

#[test]
fn a_quantile_is_certain_by_the_plan() {
    let (mut figures, bounds) = taps();
    assert!(is_lost("winners.p99.9 < 250ms", &figures, &bounds), "10 of 1,000 at most, one is allowed");
    assert!(!is_lost("winners.p99 < 250ms", &figures, &bounds));
    assert!(is_lost("journey.p99 < 250ms", &figures, &bounds), "20 of 1,000");
    assert!(
        is_lost("winners.max < 250ms", &figures, &bounds) && !is_lost("winners.max < 1s", &figures, &bounds)
    );
    assert!(
        !is_lost("winners.mean < 250ms", &figures, &bounds) && !is_lost("won.p99 > 1s", &figures, &bounds)
    );
    figures.started(0, 60_000, Duration::ZERO, MS);
    assert!(!is_lost("winners.max < 250ms", &figures, &bounds), "a start of the generator was 60 ms late");
}

#[test]
fn reads_are_bounded_where_nothing_else_is_done() {
    let mut figures = Figures::default();
    (0..20).for_each(|_| figures.answered("look", 0, MS, (500, AnswerClass::Failed)));
    let looks = bounds(&[(Scenario::LOOK, 1_000, Some(0))]);
    for lost in ["request:*.failed < 1%", "request:look.failed < 2%", "status:500 < 1", "failed < 1%"] {
        assert!(is_lost(lost, &figures, &looks), "{lost}");
    }
    assert!(!is_lost("request:look.failed < 3%", &figures, &looks));
    let crowd = bounds(&[(Scenario::CROWD, 1_000, Some(1_000))]);
    assert!(!is_lost("request:*.failed < 1%", &figures, &crowd), "a crowd looks as often as it likes");
    assert!(is_lost("status:500 < 1", &figures, &crowd));
}

#[test]
fn the_generators_own_limits_end_nothing() {
    let mut figures = Figures::default();
    [0, 900_000].into_iter().for_each(|us| figures.tapped_at_opening(us));
    figures.unsent(0);
    for text in ["t0_skew < 1ms", "unsent < 1", "late < 0"] {
        assert!(!is_lost(text, &figures, &RunBounds::default()), "{text}");
    }
}
