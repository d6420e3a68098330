//! Unit tests of `charts.rs`.

use super::*;
use crate::base::scenario::Scenario;

fn item(name: &str, points: &[(i64, i64)]) -> (String, Vec<(i64, i64)>) {
    (name.to_owned(), points.to_vec())
}

#[test]
fn the_items_that_changed_least_are_summed() {
    let mut all: Stock = (0..10).map(|n| item(&format!("store:{n}"), &[(0, 20), (n, 10 - n)])).collect();
    all.extend([item("store:still", &[(0, 500)])]);
    let chart = stock_left(None, &all).unwrap();
    let series = chart.data["series"].as_array().unwrap();
    assert_eq!(series.len(), ITEMS_MAX + 1);
    assert_eq!(series[0]["label"], "store:9: 20 → 1");
    assert_eq!(series[8]["label"], "3 others together: 540 → 519");
}

#[test]
fn a_stop_of_the_server_is_a_peak_at_its_time() {
    let mut figures = Figures::default();
    for start in 0..15 * 50 {
        let at_us = start * 20_000;
        // It stood still from 5 s to 8 s: what was to start then waited for the rest of it.
        let rest = if (5_000_000..8_000_000).contains(&at_us) { 8_000_000 - at_us } else { 0 };
        let took = Duration::from_micros(2_000 + rest as u64);
        figures.started(at_us, at_us, Duration::ZERO, Duration::from_millis(250));
        figures.journey_ended(Scenario::SOAK, at_us, took);
        figures.ended(Scenario::SOAK, Outcome::Won, at_us + took.as_micros() as i64, took);
    }
    let charts = charts(&figures, &Stock::new());
    for (title, label) in
        [("Latency of journeys", "journeys p99 (750)"), ("Latency by outcome", "winners p99 (750)")]
    {
        let chart = charts.iter().find(|chart| chart.title == title).unwrap();
        assert_eq!(chart.data["series"][0]["label"], label);
        let values: Vec<f64> = chart.data["series"][0]["values"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|value| value.as_f64())
            .collect();
        assert_eq!(values.len(), 15, "{values:?}");
        let expected = [3000.0, 2000.0, 1000.0];
        for (second, ms) in values.iter().enumerate() {
            let expected = second.checked_sub(5).and_then(|n| expected.get(n)).copied().unwrap_or(2.0);
            assert!((ms / expected - 1.0).abs() < 0.02, "{title}, second {second}: {ms} ms");
        }
        assert!(chart.summary.contains(" 3.0 s at 5 s"), "{}", chart.summary);
    }
}

#[test]
fn a_run_that_ended_early_is_drawn_until_its_end() {
    let mut figures = Figures::default();
    figures.started(0, 0, Duration::ZERO, Duration::from_millis(250));
    figures.unsent(1_000_000);
    figures.started(2_000_000, 2_000_000, Duration::ZERO, Duration::from_millis(250));
    figures.unsent(3_600_000_000);
    let charts = charts(&figures, &Stock::new());
    assert_eq!(
        charts[0].data["x"].as_array().map(Vec::len),
        Some(4),
        "three seconds and the end of the last"
    );
}

#[test]
fn sampling_keeps_the_beginning_the_lowest_and_the_end() {
    let points = [(-9, 9), (-1, 8), (3, 7), (12, 2), (15, 6), (30, 5), (31, 4)];
    assert_eq!(sampled(&points, &[0, 10, 20, 30]), [7, 2, 6, 4]);
    assert_eq!(sampled(&points, &[-30, -20, 0]), [9, 8, 2]);
    assert_eq!(sampled(&[(50, 3)], &[0, 100]), [3, 3]);
}
