//! Unit tests of `charts.rs`.

use super::*;

fn item(name: &str, points: &[(i64, i64)]) -> (String, Vec<(i64, i64)>) {
    (name.to_owned(), points.to_vec())
}

#[test]
fn the_items_that_changed_least_are_summed() {
    let mut all: Stock = (0..10).map(|n| item(&format!("store:{n}"), &[(0, 20), (n, 10 - n)])).collect();
    all.extend([item("store:still", &[(0, 500)])]);
    let chart = stock_left(&TimeLine::default(), &all).unwrap();
    let series = chart.data["series"].as_array().unwrap();
    assert_eq!(series.len(), ITEMS_MAX + 1);
    assert_eq!(series[0]["label"], "store:9: 20 → 1");
    assert_eq!(series[8]["label"], "3 others together: 540 → 519");
}

#[test]
fn sampling_keeps_the_beginning_the_lowest_and_the_end() {
    let points = [(-9, 9), (-1, 8), (3, 7), (12, 2), (15, 6), (30, 5), (31, 4)];
    assert_eq!(sampled(&points, &[0, 10, 20, 30]), [7, 2, 6, 4]);
    assert_eq!(sampled(&points, &[-30, -20, 0]), [9, 8, 2]);
    assert_eq!(sampled(&[(50, 3)], &[0, 100]), [3, 3]);
}
