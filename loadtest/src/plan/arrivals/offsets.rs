//! Draws the starts of a schedule one by one: a soak of days must not hold all of them.

use fastrand::Rng;

use crate::plan::arrivals::curve::{self, CurveStarts};

/// Starts in order, in µs after the opening. A copy gives the same ones again.
#[derive(Clone, Debug)]
pub(crate) struct Offsets(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Listed(std::vec::IntoIter<i64>),
    Along(CurveStarts),
    ByChance(ByChance),
}

/// Independent starts of one rate.
#[derive(Clone, Debug)]
struct ByChance {
    rate: f64,
    lasts: f64,
    at: f64,
    left: usize,
    rng: Rng,
}

impl Offsets {
    pub(crate) fn listed(offsets: Vec<i64>) -> Offsets {
        Offsets(Kind::Listed(offsets.into_iter()))
    }

    pub(crate) fn along(starts: CurveStarts) -> Offsets {
        Offsets(Kind::Along(starts))
    }

    /// At most `most` starts of so many a second, for so many seconds.
    pub(crate) fn by_chance(rate: f64, lasts: f64, most: usize, rng: Rng) -> Offsets {
        Offsets(Kind::ByChance(ByChance { rate, lasts, at: 0.0, left: most, rng }))
    }
}

impl Iterator for Offsets {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        match &mut self.0 {
            Kind::Listed(offsets) => offsets.next(),
            Kind::Along(starts) => starts.next(),
            Kind::ByChance(starts) => starts.next(),
        }
    }
}

impl Iterator for ByChance {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        self.left = self.left.checked_sub(1)?;
        // What is left of 1 is never 0, which has no logarithm.
        self.at -= (1.0 - self.rng.f64()).ln() / self.rate;
        (self.at < self.lasts).then(|| curve::micros(self.at))
    }
}
