//! Unit tests of `seconds.rs`.

use std::time::Duration;

use super::*;
use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::figures::AnswerClass;

const MS: Duration = Duration::from_millis(1);

#[test]
fn each_second_has_a_row_also_one_without_events() {
    let mut figures = Figures::default();
    figures.started(-500_000, -499_000, Duration::ZERO, MS);
    figures.started(100_000, 100_500, Duration::ZERO, MS);
    figures.answered("look", -499_000, 4 * MS, (200, AnswerClass::Decided));
    // Sent in one second, shed and lost in a later one.
    figures.answered("reserve", 100_500, 2500 * MS, (503, AnswerClass::Shed));
    figures.lost("reserve", 100_600, (2000 * MS, 3000 * MS), "no answer in time");
    figures.ended(Scenario::SPIKE, Outcome::Won, 2_700_000, 2600 * MS);
    figures.ended(Scenario::BOTS, Outcome::Won, 2_700_000, 2600 * MS);
    let expected = [
        "-1,1,1,1,1,1,0,0,0,0,0,0,0,0,",
        "0,1,1,1,2,0,0,0,0,0,2,0,0,0,,",
        "1,1,0,0,0,0,0,0,0,0,2,0,0,0,,",
        "2,1,0,0,0,1,0,0,1,1,0,1,1,0,",
    ];
    let text = csv(&figures.seconds);
    let rows: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(rows.len(), expected.len(), "{text}");
    for (row, expected) in rows.iter().zip(expected) {
        assert!(row.starts_with(expected), "{row} is not {expected}…");
        assert_eq!(row.split(',').count(), COLUMNS.len(), "{row}");
    }
    let p99: f64 = rows[3].rsplit(',').next().unwrap().parse().unwrap();
    assert!((p99 / 3000.0 - 1.0).abs() < 0.02, "a lost one waited for as long as its client: {text}");
    assert_eq!(csv(&TimeLine::default()).lines().count(), 1);
}
