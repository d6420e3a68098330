//! Unit tests of `interval.rs`.

use fastrand::Rng;

use super::*;

#[test]
fn ranks_are_those_of_the_binomial() {
    // Of 100: 50 ± 9.8, the upper one a rank further.
    assert_eq!(ranks(100, 0.5), (40, 61));
    // Of 10,000: 9,900 ± 19.5.
    assert_eq!(ranks(10_000, 0.99), (9_880, 9_921));
    assert_eq!(ranks(500, 0.99), (490, 500));
    assert_eq!(ranks(10, 0.5), (1, 10));
}

#[test]
fn five_samples_beyond_the_quantile_are_enough() {
    assert_eq!((enough(0.5), enough(0.99)), (10, 500));
    let mut latency = Latency::default();
    (0..499).for_each(|_| latency.record(Duration::from_millis(1)));
    assert_eq!(Interval::of(&latency, 0.99), None);
    latency.record(Duration::from_millis(1));
    assert!(Interval::of(&latency, 0.99).is_some());
}

/// Seeded, so that it is the same every time: of 400 runs of a distribution with a long tail.
#[test]
fn the_true_quantile_is_inside_in_95_of_100_runs() {
    for (quantile, count) in [(0.5, 200), (0.99, 2_000)] {
        let truth = -(1.0_f64 - quantile).ln() * 100_000.0;
        let inside = (0..400)
            .filter(|seed| {
                let mut rng = Rng::with_seed(*seed);
                let mut latency = Latency::default();
                for _ in 0..count {
                    let us = -(1.0 - rng.f64()).ln() * 100_000.0;
                    latency.record(Duration::from_micros(us as u64));
                }
                let interval = Interval::of(&latency, quantile).unwrap();
                (interval.low.as_micros() as f64..=interval.high.as_micros() as f64).contains(&truth)
            })
            .count();
        assert!((370..=400).contains(&inside), "{quantile}: {inside} of 400");
    }
}
