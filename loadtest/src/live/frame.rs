//! Formats one second of progress: the difference to the previous second.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;

use crate::base::outcome::Outcome;
use crate::base::span;
use crate::figures::{Figures, Latency};

/// The shown figures, since the start. Bots are not buyers: they have their own count.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    outcomes: BTreeMap<Outcome, u64>,
    bots: u64,
    winners: Latency,
    losers: Latency,
    started: u64,
    late: u64,
    unsent: u64,
    retries: u64,
}

impl Snapshot {
    pub(super) fn of(figures: &Figures) -> Snapshot {
        Snapshot {
            outcomes: figures.counts(),
            bots: figures.latency(|scenario, _| !scenario.is_honest()).count(),
            winners: figures.latency(|scenario, outcome| scenario.is_honest() && outcome.holds()),
            losers: figures.latency(|scenario, outcome| scenario.is_honest() && outcome.lost()),
            started: figures.lateness.count(),
            late: figures.late,
            unsent: figures.unsent,
            retries: figures.retries,
        }
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let honest = Outcome::ALL.into_iter().map(|outcome| (outcome.name(), self.count(outcome)));
        honest.chain([("bots", self.bots)]).filter(|(_, count)| *count > 0).collect()
    }

    /// All that is worth a line of its own when it changes.
    pub(super) fn sums(&self) -> (u64, [u64; 4]) {
        let taps = self.outcomes.values().sum::<u64>() + self.bots;
        (taps, [self.started, self.late, self.unsent, self.retries])
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
            format!("so far    {}", listed(&self.now.counts(), "no outcome")),
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
        let earlier: BTreeMap<_, _> = self.earlier.counts().into_iter().collect();
        let rate = |(name, count): (&'static str, u64)| {
            let more = count.saturating_sub(earlier.get(name).copied().unwrap_or(0));
            let rate = more as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE);
            // What is rare is not rounded away.
            (more > 0).then_some((name, (rate.round() as u64).max(1)))
        };
        listed(&self.now.counts().into_iter().filter_map(rate).collect::<Vec<_>>(), "no outcome")
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
        let counts = [
            ("started", self.now.started),
            ("late", self.now.late),
            ("unsent", self.now.unsent),
            ("retries", self.now.retries),
        ];
        listed(&counts, "")
    }
}

fn listed(counts: &[(&str, u64)], none: &str) -> String {
    if counts.is_empty() {
        return none.to_owned();
    }
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join("  ")
}
