//! Finds limits that can't be met any more while the load still runs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::requests::{LOOK, RESERVE};
use crate::base::scenario::Scenario;
use crate::figures::{Figures, Latency};
use crate::threshold::fault::latest;
use crate::threshold::{Ask, Names, Stat, Subject, Threshold, syntax};

/// The most that a run can come to, by scenario.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunBounds(pub(crate) BTreeMap<Scenario, ScenarioBounds>);

#[derive(Clone, Copy, Debug)]
pub(crate) struct ScenarioBounds {
    pub(crate) starts: u64,
    /// `None`: as many as there is time for.
    pub(crate) taps: Option<u64>,
}

impl Threshold {
    /// Whether the limit stays missed even if all that is still to come is good. A count that may not be exceeded is
    /// certain once it is. A share or a quantile is certain when too many are bad of the most that there can be; where
    /// that is not known, the end of the run decides.
    pub(crate) fn is_lost(&self, figures: &Figures, bounds: &RunBounds) -> bool {
        if !self.op.is_upper() || self.is_of_the_generator() {
            return false;
        }
        match self.each_of(figures) {
            Some(each) => each.iter().any(|(_, subject)| self.is_lost_for(subject, figures, bounds)),
            None => self.is_lost_for(&self.subject, figures, bounds),
        }
    }

    fn is_lost_for(&self, subject: &Subject, figures: &Figures, bounds: &RunBounds) -> bool {
        let (part, whole) = subject.parts(figures);
        // A bound that is exceeded already is none.
        let most = || subject.most(bounds).filter(|most| *most >= whole);
        match self.ask {
            Ask::Count(limit) => !self.op.holds(part, limit),
            Ask::Share(limit) => most().is_some_and(|most| {
                let parts = u128::from(part) * u128::from(syntax::WHOLE_SHARE);
                most > 0 && !self.op.holds(parts, u128::from(limit) * u128::from(most))
            }),
            Ask::Time(stat, limit) => {
                let latency = subject.latency(figures);
                // As much as the generator's own lateness may be, it may be the reason.
                let limit =
                    limit + if subject.counts_from_the_start() { latest(figures) } else { Duration::ZERO };
                match stat {
                    Stat::Max => latency.max().is_some_and(|max| !self.op.holds(max, limit)),
                    Stat::Quantile(thousandths) => most().is_some_and(|most| {
                        let allowed = most as f64 * (1.0 - thousandths as f64 / 100_000.0);
                        // Quantiles round up to a whole sample.
                        count_above(&latency, limit) as f64 > allowed + 1.0
                    }),
                    Stat::Mean | Stat::Spread => false,
                }
            }
            Ask::Rate(_) => false,
        }
    }
}

impl Subject {
    /// The most of what its share is taken of, or of its samples, at the end of the run.
    fn most(&self, bounds: &RunBounds) -> Option<u64> {
        match self {
            Subject::Taps { scenario, .. } => bounds.taps(|own| is_meant(*scenario, own)),
            Subject::Journeys(scenario) => Some(bounds.starts(|own| is_meant(*scenario, own))),
            Subject::Retries => bounds.taps(|_| true),
            Subject::Steps(Names::One(name), _) if name == RESERVE => bounds.taps(Scenario::is_honest),
            // Each start is a request.
            Subject::Requests(Names::All, _) => bounds.looks(),
            Subject::Requests(Names::One(name), _) | Subject::Steps(Names::One(name), _) if name == LOOK => {
                bounds.looks()
            }
            _ => None,
        }
    }

    fn counts_from_the_start(&self) -> bool {
        matches!(self, Subject::Taps { .. } | Subject::Journeys(_))
    }
}

impl RunBounds {
    fn taps(&self, which: impl Fn(Scenario) -> bool) -> Option<u64> {
        self.of(which).map(|bounds| bounds.taps).sum()
    }

    fn starts(&self, which: impl Fn(Scenario) -> bool) -> u64 {
        self.of(which).map(|bounds| bounds.starts).sum()
    }

    /// The reads of a run that only looks; other sessions read as often as they like.
    fn looks(&self) -> Option<u64> {
        let only_looks = self.0.keys().all(|scenario| *scenario == Scenario::LOOK);
        only_looks.then(|| self.starts(|_| true))
    }

    fn of(&self, which: impl Fn(Scenario) -> bool) -> impl Iterator<Item = &ScenarioBounds> {
        self.0.iter().filter(move |(scenario, _)| which(**scenario)).map(|(_, bounds)| bounds)
    }
}

fn is_meant(wanted: Option<Scenario>, scenario: Scenario) -> bool {
    wanted.map_or(scenario.is_honest(), |wanted| wanted == scenario)
}

fn count_above(latency: &Latency, bound: Duration) -> u64 {
    latency.count().saturating_sub(latency.up_to(bound))
}

#[cfg(test)]
mod tests;
