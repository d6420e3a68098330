//! Decides whether a missed limit shows the server, or the generator's own lateness.

use std::time::Duration;

use serde::Serialize;

use crate::figures::{Figures, Latency};
use crate::threshold::{Ask, Stat, Subject, Threshold};

/// What a missed limit is put down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    Server,
    /// The generator's starts were late: the server may have kept the limit.
    Generator,
}

/// How long requests waited for a connection of this process. That is part of what taps and journeys took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queued {
    pub(crate) longest: Duration,
    /// The profile's limit, and how many requests waited longer.
    pub(crate) bound: Duration,
    pub(crate) longer: u64,
}

/// How many starts were later than a time is read off at these quantiles of the lateness.
const QUANTILES: [f64; 7] = [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0];

impl Threshold {
    /// What a miss of this limit is put down to.
    pub(super) fn fault(&self, figures: &Figures, queued: Queued) -> Fault {
        let is_explained = match (&self.subject, self.ask) {
            _ if self.is_of_the_generator() => true,
            // These are counted from the intended start.
            (Subject::Taps { .. } | Subject::Journeys(_), Ask::Time(stat, limit)) if self.op.is_upper() => {
                let waits = self.subject.latency(figures);
                match stat {
                    Stat::Quantile(thousandths) => {
                        let allowed = (1.0 - thousandths as f64 / 100_000.0) * waits.count() as f64;
                        !is_missed_without_lateness(&waits, figures, queued, limit, allowed)
                    }
                    Stat::Mean => {
                        let most = latest(figures) + queued.on_average(waits.count());
                        waits.mean().is_none_or(|mean| self.op.holds(mean, limit + most))
                    }
                    Stat::Max | Stat::Spread => {
                        let most = latest(figures) + queued.longest;
                        waits.max().is_none_or(|max| self.op.holds(max, limit + most))
                    }
                }
            }
            _ => false,
        };
        if is_explained { Fault::Generator } else { Fault::Server }
    }

    /// Whether it is about the generator's starts, not about the server.
    pub(crate) fn is_of_the_generator(&self) -> bool {
        matches!(self.subject, Subject::Opening | Subject::Late | Subject::Unsent)
    }

    /// How long a tap or a journey may take, if this asks for it: a server that answers nothing for longer is stalled.
    pub(crate) fn time_limit(&self) -> Option<Duration> {
        match (&self.subject, self.ask) {
            (Subject::Taps { .. } | Subject::Journeys(_), Ask::Time(_, limit)) if self.op.is_upper() => {
                Some(limit)
            }
            _ => None,
        }
    }
}

impl Queued {
    /// What it adds to the mean of so many at most.
    fn on_average(self, count: u64) -> Duration {
        let long = self.longest.as_secs_f64() * self.longer as f64 / count.max(1) as f64;
        self.longest.min(self.bound + Duration::from_secs_f64(long))
    }
}

/// Whether more than `allowed` would surely be above the limit if no start had been late and no request had queued. Of
/// the waits above `limit + late`, at most as many as starts were later than `late` can owe that to their lateness. They
/// are counted, not compared as shares: the late ones may all be among the few that are judged.
fn is_missed_without_lateness(
    waits: &Latency,
    figures: &Figures,
    queued: Queued,
    limit: Duration,
    allowed: f64,
) -> bool {
    let lates = QUANTILES.iter().filter_map(|quantile| figures.own_lateness.at(*quantile));
    lates.chain([latest(figures)]).any(|late| {
        let later = count_above(&figures.own_lateness, late).max(count_above(&figures.opening.skew, late));
        // All may have queued as long as the longest; or but for those that queued longer, as long as the bound.
        [(queued.longest, 0), (queued.bound, queued.longer)].into_iter().any(|(most, longer)| {
            count_above(waits, limit + late + most).saturating_sub(later + longer) as f64 > allowed
        })
    })
}

/// The latest that a start of this process was by itself.
pub(crate) fn latest(figures: &Figures) -> Duration {
    [&figures.own_lateness, &figures.opening.skew]
        .into_iter()
        .filter_map(Latency::max)
        .max()
        .unwrap_or_default()
}

fn count_above(latency: &Latency, bound: Duration) -> u64 {
    latency.count().saturating_sub(latency.up_to(bound))
}

#[cfg(test)]
mod tests;
