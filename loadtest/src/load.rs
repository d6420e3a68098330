//! Owns what all buyers share: the way to the gateways, the moments of the run and its live counts.

use crate::buyer::Buyer;
use crate::client::Client;
use crate::clock::ServerClock;
use crate::told::Outcome;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// One run of the load.
pub(crate) struct Load {
    pub(crate) client: Client,
    pub(crate) clock: ServerClock,
    pub(crate) sale: String,
    /// The payment service's `Authorization`.
    pub(crate) service: Option<String>,
    pub(crate) schedule: Schedule,
    pub(crate) timeout: Duration,
    pub(crate) tries: u32,
    pub(crate) twice: bool,
    /// Each is locked by his own journey only.
    pub(crate) buyers: Vec<Mutex<Buyer>>,
    pub(crate) counts: Counts,
}

/// The moments of the run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// The journeys begin to be started.
    pub(crate) launch: Instant,
    /// From here to `burst` the buyers look at the sale, each at a moment of his own.
    pub(crate) warm_from: Instant,
    /// All ask for the time at once: as many connections open as the taps will need.
    pub(crate) burst: Instant,
    /// All tap at once.
    pub(crate) tap: Instant,
    /// Nothing is sent after it.
    pub(crate) deadline: Instant,
}

/// How many journeys are started a second.
pub(crate) const LAUNCHES_PER_SECOND: usize = 5_000;
/// How many warming requests two shared cores answer a second without queueing.
const WARMING_PER_SECOND: f64 = 4_000.0;

impl Schedule {
    /// The taps are at the opening or, where that is too near or over, as soon as all
    /// buyers are warm; `None` when the deadline is before that.
    pub(crate) fn new(now: Instant, opening: Instant, buyers: usize, deadline: Instant) -> Option<Schedule> {
        let warming = Duration::from_secs_f64(1.0 + buyers as f64 / WARMING_PER_SECOND);
        let launching = Duration::from_secs_f64(0.5 + buyers as f64 / LAUNCHES_PER_SECOND as f64);
        let tap = opening.max(now + launching + 2 * warming);
        let burst = tap.checked_sub(warming)?;
        let warm_from = burst.checked_sub(warming)?;
        let launch = warm_from.checked_sub(launching)?;
        (tap < deadline).then_some(Schedule { launch, warm_from, burst, tap, deadline })
    }
}

/// Live counts, for the progress line only; the verdict is taken from what buyers were told.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) warmed: AtomicU64,
    pub(crate) warm_failed: AtomicU64,
    pub(crate) tapped: AtomicU64,
    outcomes: [AtomicU64; Outcome::ALL.len()],
    pub(crate) confirmed: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) retries: AtomicU64,
}

impl Counts {
    pub(crate) fn up(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn outcome(&self, outcome: Outcome) {
        if let Some(index) = Outcome::ALL.iter().position(|(known, _)| *known == outcome) {
            Counts::up(&self.outcomes[index]);
        }
    }

    /// `tapped 1000, decided 980: won 300, sold_out 680; …`
    pub(crate) fn line(&self) -> String {
        let outcomes: Vec<(u64, &str)> = Outcome::ALL
            .iter()
            .zip(&self.outcomes)
            .map(|((_, name), count)| (count.load(Relaxed), *name))
            .filter(|(count, _)| *count > 0)
            .collect();
        let settled: u64 = outcomes.iter().map(|(count, _)| count).sum();
        let named: Vec<String> = outcomes.iter().map(|(count, name)| format!("{name} {count}")).collect();
        format!(
            "tapped {}, answered {settled}: {}; retries {}, confirmed {}, cancelled {}",
            self.tapped.load(Relaxed),
            if named.is_empty() { "none".to_owned() } else { named.join(", ") },
            self.retries.load(Relaxed),
            self.confirmed.load(Relaxed),
            self.cancelled.load(Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taps_wait_for_the_opening() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let schedule = Schedule::new(now, now + 60 * second, 1000, now + 120 * second).unwrap();
        assert_eq!(schedule.tap, now + 60 * second);
        assert!(now < schedule.launch && schedule.launch < schedule.warm_from);
        assert!(schedule.warm_from < schedule.burst && schedule.burst < schedule.tap);
    }

    #[test]
    fn a_past_opening_is_tapped_when_all_are_warm() {
        let now = Instant::now();
        let schedule = Schedule::new(now, now, 1000, now + Duration::from_secs(120)).unwrap();
        assert!(schedule.launch >= now && schedule.tap < now + Duration::from_secs(10));
    }

    #[test]
    fn an_opening_after_the_deadline_is_not_waited_for() {
        let now = Instant::now();
        assert_eq!(
            Schedule::new(now, now + Duration::from_secs(200), 10, now + Duration::from_secs(120)),
            None
        );
    }
}
