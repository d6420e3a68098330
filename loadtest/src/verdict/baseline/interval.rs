//! The confidence interval of a quantile: distribution-free, by order statistics.

use std::fmt;
use std::time::Duration;

use crate::base::span;
use crate::figures::Latency;
use crate::verdict::baseline::{EXPECTED_MIN, Z};

/// A quantile and between which measured values its true value is, with 95 % confidence.
///
/// Of n samples the number below the true q-quantile is binomial, of mean nq and variance nq(1−q), whatever the
/// distribution is. So the true quantile lies between the values of rank nq − z·√(nq(1−q)) and nq + 1 + z·√(nq(1−q)),
/// rounded outwards (after Conover, Practical Nonparametric Statistics, 3.2, with the normal approximation). With n(1−q)
/// of 5 the upper rank is about n itself; with fewer it is beyond the last sample, and nothing bounds the quantile from
/// above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) value: Duration,
    pub(crate) low: Duration,
    pub(crate) high: Duration,
}

/// Whether so many samples have enough beyond the quantile, which is 0.5 or more.
pub(crate) fn is_enough(count: u64, quantile: f64) -> bool {
    count >= enough(quantile)
}

/// So many samples are needed.
pub(crate) fn enough(quantile: f64) -> u64 {
    // 5 / (1 - 0.99) is a little more than 500 in binary.
    (EXPECTED_MIN / (1.0 - quantile) - 1e-6).ceil() as u64
}

impl Interval {
    /// `None`: there are too few samples.
    pub(crate) fn of(latency: &Latency, quantile: f64) -> Option<Interval> {
        let count = latency.count();
        if !is_enough(count, quantile) {
            return None;
        }
        let (low, high) = ranks(count, quantile);
        // The value of a rank is at the quantile in the middle of it, where rounding can't reach the next one.
        let at_rank = |rank: u64| latency.at((rank as f64 - 0.5) / count as f64);
        Some(Interval { value: latency.at(quantile)?, low: at_rank(low)?, high: at_rank(high)? })
    }

    pub(crate) fn overlaps(self, other: Interval) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// The ranks of the interval's ends, from 1.
fn ranks(count: u64, quantile: f64) -> (u64, u64) {
    let n = count as f64;
    let spread = Z * (n * quantile * (1.0 - quantile)).sqrt();
    let low = (n * quantile - spread).floor().max(1.0) as u64;
    let high = (n * quantile + 1.0 + spread).ceil() as u64;
    (low, high.min(count))
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", span::words(self.low), span::words(self.high))
    }
}

#[cfg(test)]
mod tests {
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
}
