//! Unit tests of `hdr.rs`.

use std::time::Duration;

use super::*;

#[test]
fn a_distribution_is_written_as_its_plotters_read_it() {
    let mut latency = Latency::default();
    (1..=1000).for_each(|ms| latency.record(Duration::from_millis(ms)));
    let text = hgrm(&latency);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("       Value     Percentile TotalCount 1/(1-Percentile)"));
    assert_eq!(lines.next(), Some(""));
    // The plotters take lines of four numbers: the first is the value, the fourth its place on the axis.
    let rows: Vec<Vec<f64>> = lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().map(|word| word.parse().unwrap()).collect())
        .collect();
    let (last, points) = rows.split_last().unwrap();
    assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 1000.0));
    assert!(points.iter().all(|point| point.len() == 4) && points.len() > 20);
    assert!(points.windows(2).all(|two| two[0][0] <= two[1][0] && two[0][3] < two[1][3]));
    let half = points.iter().find(|point| point[1] >= 0.5).unwrap();
    assert!((half[0] / 500.0 - 1.0).abs() < 0.02 && half[3] == 2.0, "{half:?}");
    assert!(text.contains("Total count    =         1000]"), "{text}");
}

#[test]
fn each_name_has_a_file_of_its_own() {
    assert_eq!(file_name("request-reserve-by-bots"), "request-reserve-by-bots");
    assert_eq!(file_name("a/../b c"), "a%2F..%2Fb%20c");
}
