//! Unit tests of `chart.rs`.

use super::*;
use crate::proof::ledger::tests::{change, restock, selected};
use crate::proof::ledger::{Change, Kind};

fn courses(
    changes: Vec<Change>,
    operator_actions: Vec<crate::proof::ledger::OperatorAction>,
) -> BTreeMap<String, Course> {
    let totals = [("model:a", Some(3)), ("package:p", None), ("store:s", Some(9)), ("model:b", Some(7))];
    let totals = totals.into_iter().map(|(item, total)| (item.to_owned(), total)).collect();
    let terms = serde_json::from_value(serde_json::json!({})).unwrap();
    let opening = "2026-11-09T12:00:10Z".parse().unwrap();
    stock_over_time(&Journal { changes, operator_actions, waiting: Vec::new() }, &terms, &totals, 1, opening)
}

#[test]
fn a_course_has_a_point_for_each_change() {
    let mut amend = change(14, Kind::Amend, "r2", "b2", 2);
    (amend.selected, amend.version) = (selected("b", &["p"], Some("s")), 2);
    let changes = vec![
        change(1, Kind::Reserve, "r1", "b1", 1),
        change(11, Kind::Reserve, "r2", "b2", 2),
        change(11, Kind::Reserve, "r3", "b3", 3),
        amend,
        change(15, Kind::Confirm, "r3", "b3", 3),
    ];
    let courses = courses(changes, vec![restock(12, "model:a", 5, 3)]);
    assert_eq!(courses["model:a"], [(0, 2), (1_000, 0), (2_000, 2), (4_000, 3)]);
    assert_eq!(courses["model:b"], [(0, 7), (4_000, 6)]);
    assert_eq!(courses.len(), 2, "neither stores nor what has no limit");
}

#[test]
fn what_was_never_taken_has_one_point() {
    assert_eq!(courses(vec![], vec![])["model:b"], [(0, 7)]);
}

#[test]
fn a_long_course_keeps_its_ends_and_extremes() {
    let mut course: Course = (0..100_000).map(|n| (n, 50 + n % 7)).collect();
    course[31_234].1 = -3;
    course[77_777].1 = 999;
    let thinned = thin(course.clone(), POINTS_MAX);
    assert!(thinned.len() <= POINTS_MAX && thinned.len() > POINTS_MAX / 2);
    assert!(thinned.is_sorted());
    assert_eq!((thinned.first(), thinned.last()), (course.first(), course.last()));
    assert!(thinned.contains(&(31_234, -3)) && thinned.contains(&(77_777, 999)));
}
