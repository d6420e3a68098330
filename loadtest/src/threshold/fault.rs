//! Decides whether a missed limit shows the server, or the generator's own lateness.

use std::time::Duration;

use serde::Serialize;

use crate::figures::{Figures, Latency};
use crate::threshold::{Ask, Op, Stat, Subject, Threshold};

/// What a missed limit is put down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    Server,
    /// The generator's starts were late: the server may have kept the limit.
    Generator,
}

/// How many starts were later than a time is read off at these quantiles of the lateness.
const QUANTILES: [f64; 7] = [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0];

impl Threshold {
    /// What a miss of this limit is put down to.
    pub(super) fn fault(&self, figures: &Figures) -> Fault {
        let is_explained = match (&self.subject, self.ask) {
            _ if self.is_of_the_generator() => true,
            // These are counted from the intended start.
            (Subject::Taps { .. } | Subject::Journeys(_), Ask::Time(stat, limit)) if self.op.is_upper() => {
                !is_missed_without_lateness(&self.subject.latency(figures), figures, stat, limit, self.op)
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

/// Whether the limit would surely be missed if no start had been late. Of all waits above `limit + late`, at most those
/// whose start was later than `late` can be below the limit without their lateness: what remains is the server's.
fn is_missed_without_lateness(
    waits: &Latency,
    figures: &Figures,
    stat: Stat,
    limit: Duration,
    op: Op,
) -> bool {
    let latest = latest(figures);
    match stat {
        Stat::Quantile(thousandths) => {
            let allowed = 1.0 - thousandths as f64 / 100_000.0;
            let lates = QUANTILES.iter().filter_map(|quantile| figures.own_lateness.at(*quantile));
            lates.chain([latest]).any(|late| {
                let later =
                    share_above(&figures.own_lateness, late).max(share_above(&figures.opening.skew, late));
                share_above(waits, limit + late) - later > allowed
            })
        }
        Stat::Mean => waits.mean().is_some_and(|mean| !op.holds(mean, limit + latest)),
        Stat::Max | Stat::Spread => waits.max().is_some_and(|max| !op.holds(max, limit + latest)),
    }
}

/// The latest that a start of this process was by itself.
pub(crate) fn latest(figures: &Figures) -> Duration {
    [&figures.own_lateness, &figures.opening.skew]
        .into_iter()
        .filter_map(Latency::max)
        .max()
        .unwrap_or_default()
}

fn share_above(latency: &Latency, bound: Duration) -> f64 {
    let all = latency.count();
    (all - latency.up_to(bound).min(all)) as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests;
