//! Looks for the knee: which rate to try next.

use super::{End, LEAST, WITHIN};

/// Which rate to try next: doubled while it holds, halved while it does not, then between the two.
#[derive(Clone, Debug)]
pub(super) struct Search {
    next: f64,
    up_to: f64,
    pub(super) held: Option<f64>,
    pub(super) not: Option<(f64, End)>,
}

impl Search {
    pub(super) fn new(from: f64, up_to: f64) -> Search {
        Search { next: from, up_to, held: None, not: None }
    }

    pub(super) fn next(&self) -> Option<f64> {
        let is_known = match (self.held, self.not) {
            // Whole taps a second are fine enough.
            (Some(held), Some((not, _))) => not <= held * WITHIN || not - held <= 1.0,
            (Some(held), None) => held >= self.up_to,
            (None, Some((not, _))) => not <= LEAST,
            (None, None) => false,
        };
        (!is_known).then_some(self.next)
    }

    pub(super) fn record(&mut self, rate: f64, end: End) {
        match end {
            End::Held => self.held = Some(self.held.map_or(rate, |held| held.max(rate))),
            end => {
                if self.not.is_none_or(|(not, _)| rate < not) {
                    self.not = Some((rate, end));
                }
            }
        }
        self.next = match (self.held, self.not) {
            (Some(held), Some((not, _))) => (held * not).sqrt().round(),
            (Some(held), None) => (held * 2.0).min(self.up_to),
            (None, Some((not, _))) => (not / 2.0).max(LEAST),
            (None, None) => rate,
        };
    }
}
