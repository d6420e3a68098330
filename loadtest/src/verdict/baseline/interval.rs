//! Computes the confidence interval of a quantile by order statistics, for any distribution.

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
mod tests;
