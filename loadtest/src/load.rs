//! Holds what all buyers of a run share: client, moments, catalogue and figures.

pub(crate) mod answer;
pub(crate) mod attack;
pub(crate) mod buyer;
mod goose_request;
pub(crate) mod history;
mod journey;
pub(crate) mod output;
mod queue;
pub(crate) mod refused;
mod replay;
pub(crate) mod request_log;
pub(crate) mod scenarios;
pub(crate) mod session;
pub(crate) mod verbs;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::base::clock::{ServerClock, between, to_the_ms};
use crate::base::scenario::Scenario;
use crate::base::timer::Timer;
use crate::client::tokens::Tokens;
use crate::client::{Answer, Client};
use crate::figures::Figures;
use crate::load::history::packed::{Packed, PackedHistories};
use crate::load::history::{ExchangesKept, TapHistory};
use crate::load::request_log::RequestLog;
use crate::plan::Person;
use crate::plan::profile::Profile;
use crate::plan::recording::Recording;
use crate::plan::selection::Catalogue;
use crate::self_monitoring::Gauges;
use buyer::Buyer;
pub(crate) use queue::Queue;

/// One run of the load.
pub(crate) struct Load {
    pub(crate) client: Arc<Client>,
    pub(crate) clock: ServerClock,
    pub(crate) sale: String,
    /// The instant that each buyer waits for, by its own estimate of the server's clock; `None` when the sale is open already.
    pub(crate) opens_at: Option<Timestamp>,
    pub(crate) tokens: Tokens,
    /// All choices of all buyers come from it.
    pub(crate) seed: u64,
    pub(crate) moments: RunInstants,
    pub(crate) timer: Timer,
    pub(crate) timeout: Duration,
    pub(crate) tries: u32,
    pub(crate) profile: Profile,
    pub(crate) catalogue: Catalogue,
    pub(crate) queues: Vec<Queue>,
    /// Of all sessions that have ended.
    pub(crate) histories: Mutex<PackedHistories>,
    /// What `--replay` plays.
    pub(crate) recording: Option<Recording>,
    pub(crate) request_log: Option<RequestLog>,
    pub(crate) kept: ExchangesKept,
    /// See [`crate::plan::Plan::second_wave_us`].
    pub(crate) second_wave_us: i64,
    pub(crate) figures: Arc<Mutex<Figures>>,
    /// What this process sees of itself.
    pub(crate) gauges: Gauges,
}

/// The moments of the run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunInstants {
    /// When the sessions begin to start.
    pub(crate) launch: Instant,
    /// From here to `burst` the waiting buyers read the sale, each at its own moment.
    pub(crate) warm_from: Instant,
    /// They all ask for the time at once: as many connections open as the taps will need.
    pub(crate) burst: Instant,
    /// The opening, or what stands for it.
    pub(crate) opening: Instant,
    /// Nothing is sent after it.
    pub(crate) deadline: Instant,
}

/// How many sessions start a second.
pub(crate) const LAUNCHES_PER_SECOND: usize = 5_000;
/// How many warming requests two shared cores answer a second without queueing.
const WARMING_PER_SECOND: f64 = 4_000.0;

impl RunInstants {
    /// When the taps start: at the opening or, if that is too near or past, as soon as the waiting
    /// buyers are warm; `None` if the deadline is before that.
    pub(crate) fn new(
        now: Instant,
        opening: Instant,
        users: usize,
        waiting: usize,
        deadline: Instant,
    ) -> Option<RunInstants> {
        let warming = Duration::from_secs_f64(1.0 + waiting as f64 / WARMING_PER_SECOND);
        let launching = Duration::from_secs_f64(0.5 + users as f64 / LAUNCHES_PER_SECOND as f64);
        let opening = opening.max(now + launching + 2 * warming);
        let burst = opening.checked_sub(warming)?;
        let warm_from = burst.checked_sub(warming)?;
        // Buyers that arrive long before the opening must be connected by then.
        (opening < deadline).then_some(RunInstants { launch: now, warm_from, burst, opening, deadline })
    }

    /// The earliest arrival before the opening.
    pub(crate) fn lead_max(&self, users: usize) -> Duration {
        let launching = Duration::from_secs_f64(0.5 + users as f64 / LAUNCHES_PER_SECOND as f64);
        self.opening.saturating_duration_since(self.launch + launching)
    }
}

impl Load {
    pub(crate) fn figures(&self) -> MutexGuard<'_, Figures> {
        // A recorder leaves the counts consistent after every line, even if it panics.
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instant in µs after the opening.
    pub(crate) fn us(&self, instant: Instant) -> i64 {
        i64::try_from(between(self.moments.opening, instant).as_micros()).unwrap_or(i64::MAX)
    }

    /// When a request was sent and its answer arrived, by the estimate of the server's clock.
    pub(crate) fn exchanged(&self, answer: &Answer) -> (Timestamp, Timestamp) {
        let at = |instant| to_the_ms(self.clock.at(instant));
        (at(answer.sent), at(answer.sent + answer.took))
    }

    /// The buyer that comes to this start.
    pub(crate) fn buyer(&self, person: Person) -> Buyer {
        if person.scenario == Scenario::LOOK {
            return Buyer::only_looks(&person, self.seed);
        }
        let token = self.tokens.of(person.account);
        Buyer::new(&person, token, self.seed, &self.catalogue, &self.profile.buyers)
    }

    /// Keeps what a session has been shown.
    pub(crate) fn keep(&self, mut histories: Vec<TapHistory>) {
        if histories.is_empty() {
            return;
        }
        histories.iter_mut().for_each(|history| history.shorten(self.kept));
        // Before the lock is taken: other sessions end meanwhile.
        let packed: Vec<Packed> = histories.iter().map(Packed::new).collect();
        let mut all = self.histories.lock().unwrap_or_else(PoisonError::into_inner);
        packed.into_iter().for_each(|packed| all.push(packed));
    }

    /// Counts the starts that were not made.
    pub(crate) fn count_unsent(&self) {
        // All at once: of a soak of days there are millions.
        let mut figures = self.figures();
        self.queues.iter().flat_map(Queue::rest).for_each(|start| figures.unsent(start.at_us));
    }

    /// What all sessions were shown.
    pub(crate) fn take_histories(&self) -> PackedHistories {
        std::mem::take(&mut *self.histories.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the run is over, or is being ended.
    pub(crate) fn is_over(&self) -> bool {
        goose::is_killswitch_triggered() || Instant::now() >= self.moments.deadline
    }
}

#[cfg(test)]
mod tests;
