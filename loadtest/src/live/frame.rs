//! Formats one second of progress: the difference to the previous second.

use std::time::Duration;

use jiff::SignedDuration;

use crate::base::outcome::Outcome;
use crate::base::span;
use crate::figures::{Figures, Latency};

/// The shown figures, since the start.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// Bots are not buyers: they have their own count, the last one.
    outcomes: Vec<(&'static str, u64)>,
    winners: Latency,
    losers: Latency,
    starts: [(&'static str, u64); 4],
}

impl Snapshot {
    pub(super) fn of(figures: &Figures) -> Snapshot {
        let honest =
            Outcome::ALL.map(|outcome| (outcome.name(), figures.honest(|own| own == outcome).count()));
        let bots = figures.latency(|scenario, _| !scenario.is_honest()).count();
        Snapshot {
            outcomes: honest.into_iter().chain([("bots", bots)]).collect(),
            winners: figures.honest(Outcome::holds),
            losers: figures.honest(Outcome::lost),
            starts: [
                ("started", figures.lateness.count()),
                ("late", figures.late),
                ("unsent", figures.unsent),
                ("retries", figures.retries),
            ],
        }
    }

    /// All that is worth a line of its own when it changes.
    pub(super) fn sums(&self) -> (u64, [u64; 4]) {
        (self.outcomes.iter().map(|(_, count)| count).sum(), self.starts.map(|(_, count)| count))
    }
}

/// One second.
pub(super) struct Frame<'a> {
    pub(super) earlier: &'a Snapshot,
    pub(super) now: &'a Snapshot,
    /// Between the two.
    pub(super) took: Duration,
    /// Negative before it.
    pub(super) since_opening: SignedDuration,
    pub(super) stock_left: Option<u64>,
}

impl Frame<'_> {
    /// The lines of a terminal's block, always as many.
    pub(super) fn block(&self) -> [String; 5] {
        [
            format!("{}{}", self.clock(), self.stock()),
            format!("a second  {}", self.rates()),
            format!("p99       {}", self.tails()),
            format!("so far    {}", listed(self.now.outcomes.iter().copied())),
            format!("starts    {}", self.starts()),
        ]
    }

    /// All in one line.
    pub(super) fn line(&self) -> String {
        let parts = [self.rates(), format!("p99 {}", self.tails()), self.starts()];
        format!("{}{}: {}", self.clock(), self.stock(), parts.join(", "))
    }

    fn clock(&self) -> String {
        match self.since_opening {
            // Rounded up: it does not open in 0 s.
            before if before.is_negative() => {
                format!("opens in {} s", before.unsigned_abs().as_millis().div_ceil(1000))
            }
            after => format!("open for {} s", after.as_secs()),
        }
    }

    fn stock(&self) -> String {
        self.stock_left.map(|left| format!(", {left} left")).unwrap_or_default()
    }

    /// Outcomes a second.
    fn rates(&self) -> String {
        let rate = |(now, earlier): (&(&'static str, u64), &(&str, u64))| {
            let more = now.1.saturating_sub(earlier.1);
            let rate = more as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE);
            // What is rare is not rounded away.
            (now.0, if more > 0 { (rate.round() as u64).max(1) } else { 0 })
        };
        listed(self.now.outcomes.iter().zip(&self.earlier.outcomes).map(rate))
    }

    fn tails(&self) -> String {
        let tail = |now: &Latency, earlier: &Latency| {
            now.since(earlier).at(0.99).map_or_else(|| "none".to_owned(), span::words)
        };
        format!(
            "winners {}  losers {}",
            tail(&self.now.winners, &self.earlier.winners),
            tail(&self.now.losers, &self.earlier.losers)
        )
    }

    fn starts(&self) -> String {
        self.now.starts.map(|(name, count)| format!("{name} {count}")).join("  ")
    }
}

/// The outcomes that there are.
fn listed(outcomes: impl Iterator<Item = (&'static str, u64)>) -> String {
    let outcomes: Vec<String> =
        outcomes.filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}")).collect();
    if outcomes.is_empty() { "no outcome".to_owned() } else { outcomes.join("  ") }
}
