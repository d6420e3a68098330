//! Unit tests of `taps.rs`.

use super::*;
use crate::domain::problem;

#[test]
fn taps_are_counted_for_followed_sales_by_outcome_and_result() {
    let taps = TapsBySale::default();
    let sold_out = Outcome::of(&problem::SOLD_OUT);
    let shed = Outcome::of(&problem::TEMPORARY_REDUCED_CAPACITY);
    for (sale, outcome) in
        [("car", Outcome::WON), ("car", sold_out), ("car", sold_out), ("van", shed), ("any", shed)]
    {
        if let Some(taps) = taps.of_followed(sale, || sale != "any") {
            taps.answered(outcome, Duration::from_millis(3));
        }
    }
    let car = taps.of("car").unwrap();
    assert_eq!([Outcome::WON, sold_out, shed].map(|outcome| car.count(outcome)), [1, 2, 0]);
    let times = |sale: &str| {
        TapResult::ALL.map(|result| {
            let mut sums = Sums::default();
            taps.of(sale).unwrap().add_times_to(result, &mut sums);
            sums.count()
        })
    };
    assert_eq!((times("car"), times("van")), ([1, 2, 0], [0, 0, 1]));
    assert!(taps.of("any").is_none(), "anybody can name a sale that is not there");
    taps.retain(|sale| sale == "van");
    assert!(taps.of("car").is_none() && taps.of("van").is_some());
}

#[test]
fn a_client_that_has_to_ask_again_is_undecided() {
    let result = |kind: &problem::ProblemKind| TapResult::of(Outcome::of(kind));
    for kind in [problem::QUOTA_EXCEEDED, problem::INTERNAL, problem::OUTCOME_UNKNOWN] {
        assert_eq!(result(&kind), TapResult::Undecided);
    }
    for kind in [problem::SOLD_OUT, problem::SALE_PAUSED, problem::UNAUTHENTICATED] {
        assert_eq!(result(&kind), TapResult::Refused);
    }
    assert_eq!([Outcome::WON, Outcome::REPLAYED].map(TapResult::of), [TapResult::Won; 2]);
}
