//! The counters on the path of a tap: plain numbers, a set for each worker, so that none waits for
//! another's cache line.
//!
//! Only its worker writes a set, so an addition is a load and a store. The exposition sums all sets.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::domain::decision::Shed;
use crate::domain::policy::Policy;
use crate::telemetry::labels::{Ended, Outcome, Route, Stage};
use crate::telemetry::list::{ANSWER_BUCKETS, BATCH_BUCKETS, POLICIES, STAGE_BUCKETS};
use crate::telemetry::taps::{SaleTaps, TapsBySale};

/// A number that one thread writes.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Adds to the value.
    pub fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Relaxed);
    }

    /// Subtracts from the value.
    pub fn sub(&self, n: u64) {
        self.0.store(self.get().wrapping_sub(n), Relaxed);
    }
}

/// An array with a default: those of the standard library have one up to 32 elements only.
#[derive(Debug)]
pub struct Array<T, const N: usize>([T; N]);

impl<T: Default, const N: usize> Default for Array<T, N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| T::default()))
    }
}

impl<T, const N: usize> Deref for Array<T, N> {
    type Target = [T; N];

    fn deref(&self) -> &[T; N] {
        &self.0
    }
}

/// A histogram: a count for each bound, one beyond them, and the sum.
#[derive(Debug, Default)]
pub struct Histogram<const BOUNDS: usize> {
    counts: Array<Count, BOUNDS>,
    beyond: Count,
    sum: Count,
}

impl<const BOUNDS: usize> Histogram<BOUNDS> {
    /// Counts `times` of one size. Most sizes are small, so the search starts at the lowest bound.
    fn count(&self, bounds: &[u64; BOUNDS], size: u64, times: u64) {
        let index = bounds.iter().position(|bound| size <= *bound);
        index.map_or(&self.beyond, |index| &self.counts[index]).add(times);
        self.sum.add(size.wrapping_mul(times));
    }

    /// Adds the counts to a sum over workers.
    pub fn add_to(&self, sums: &mut Sums) {
        sums.counts.resize(BOUNDS + 1, 0);
        let counts = self.counts.iter().chain([&self.beyond]);
        sums.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count.get());
        sums.sum = sums.sum.wrapping_add(self.sum.get());
    }
}

/// The sum of the histograms of several workers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// By bound, the last without one.
    pub counts: Vec<u64>,
    /// The sum of all sizes; durations in nanoseconds.
    pub sum: u64,
}

impl Sums {
    /// The number of observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The difference to an earlier sum.
    pub fn since(&self, before: &Self) -> Self {
        let counts = counts_since(&self.counts, &before.counts).collect();
        Self { counts, sum: self.sum.wrapping_sub(before.sum) }
    }
}

/// The differences of counts to earlier ones, which may have been fewer.
pub(crate) fn counts_since(now: &[u64], before: &[u64]) -> impl Iterator<Item = u64> {
    let before = before.iter().copied().chain(std::iter::repeat(0));
    now.iter().zip(before).map(|(now, before)| now.saturating_sub(before))
}

/// Whole numbers of the unit of which one of the metric has so many.
const fn scaled<const N: usize>(sizes: [f64; N], units: f64) -> [u64; N] {
    let mut bounds = [0; N];
    let mut n = 0;
    while n < N {
        bounds[n] = (sizes[n] * units + 0.5) as u64;
        n += 1;
    }
    bounds
}

const ANSWER_NS: [u64; ANSWER_BUCKETS.len()] = scaled(ANSWER_BUCKETS, 1e9);
const STAGE_NS: [u64; STAGE_BUCKETS.len()] = scaled(STAGE_BUCKETS, 1e9);
const BATCH_TAPS: [u64; BATCH_BUCKETS.len()] = scaled(BATCH_BUCKETS, 1.0);

/// Response times.
pub type AnswerTimes = Histogram<{ ANSWER_BUCKETS.len() }>;
impl AnswerTimes {
    /// Counts one response.
    pub fn observe(&self, took: Duration) {
        self.count(&ANSWER_NS, whole_ns(took), 1);
    }
}

/// Durations of stages.
pub type Stages = Histogram<{ STAGE_BUCKETS.len() }>;
/// Sizes of batches.
pub type Batches = Histogram<{ BATCH_BUCKETS.len() }>;

/// The outcome and reason that a response is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerClass {
    /// The outcome.
    pub outcome: Outcome,
    /// The reason, where an outcome has several.
    pub why: Why,
}

/// The reason of an outcome that has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The outcome has only one reason.
    Plain,
    /// The reason of a 503 with nothing done.
    Shed(Shed),
    /// The policy of a 429.
    Limited(Policy),
}

impl AnswerClass {
    /// An outcome with only one reason.
    pub const fn plain(outcome: Outcome) -> Self {
        Self { outcome, why: Why::Plain }
    }
}

/// What a response is counted under, besides its class.
#[derive(Debug)]
pub struct CountedAs {
    /// The route.
    pub route: Route,
    /// The sale of a tap, if this gateway follows it.
    pub taps: Option<Arc<SaleTaps>>,
}

/// The counters of one worker.
#[derive(Debug, Default)]
pub struct Recorder {
    requests: Array<Array<Count, { Outcome::COUNT }>, { Route::NAMES.len() }>,
    taps: Array<AnswerTimes, { Outcome::COUNT }>,
    others: Array<AnswerTimes, { Outcome::COUNT }>,
    /// Taps by sale.
    pub taps_by_sale: TapsBySale,
    /// Durations, by [`Stage`].
    pub stages: Array<Stages, { Stage::NAMES.len() }>,
    /// Sizes of batches.
    pub batches: Batches,
    /// Taps in the queue.
    pub waiting: Count,
    /// Requests that ask the ledger.
    pub in_flight: Count,
    /// Requests whose forwarding header was ignored.
    pub forwarded_ignored: Count,
    /// Shed requests, by reason.
    pub shed: Array<Count, { Shed::NAMES.len() }>,
    /// Requests over a rate limit, by policy.
    pub limited: Array<Count, { POLICIES.len() }>,
    /// Its connections.
    pub connections: Connections,
}

impl Recorder {
    /// Counts a response.
    pub fn answered(&self, route: Route, class: AnswerClass, took: Duration) {
        let outcome = class.outcome.index();
        self.requests[route as usize][outcome].add(1);
        let answers = if route == Route::Reserve { &self.taps } else { &self.others };
        answers[outcome].observe(took);
        self.reason(class.why);
    }

    /// Counts a response without a request: it has no duration.
    pub fn refused(&self, class: AnswerClass) {
        self.requests[Route::None as usize][class.outcome.index()].add(1);
        self.reason(class.why);
    }

    fn reason(&self, why: Why) {
        match why {
            Why::Plain => {}
            Why::Shed(reason) => self.shed(reason),
            Why::Limited(policy) => self.limited[policy as usize].add(1),
        }
    }

    /// Counts a connection that was shed without a response.
    pub fn shed(&self, reason: Shed) {
        self.shed[reason as usize].add(1);
    }

    /// Counts the duration of a stage of one tap.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.stages[stage as usize].count(&STAGE_NS, whole_ns(took), 1);
    }

    /// Counts a batch that was sent to Redis.
    pub fn batch(&self, taps: usize, redis: Duration) {
        let taps = taps as u64;
        self.batches.count(&BATCH_TAPS, taps, 1);
        self.stages[Stage::Redis as usize].count(&STAGE_NS, whole_ns(redis), taps);
    }

    /// Responses of a route with an outcome.
    pub fn requests(&self, route: usize, outcome: Outcome) -> u64 {
        self.requests[route][outcome.index()].get()
    }

    /// Response times with an outcome: those of taps, and all others.
    pub fn answers(&self, outcome: Outcome) -> (&AnswerTimes, &AnswerTimes) {
        (&self.taps[outcome.index()], &self.others[outcome.index()])
    }
}

/// The connections of one listener at one thread.
#[derive(Debug, Default)]
pub struct Connections {
    /// Accepted ones.
    pub came: Count,
    /// Closed ones, by [`Ended`].
    pub ended: Array<Count, { Ended::NAMES.len() }>,
}

impl Connections {
    /// Counts an accepted connection.
    pub fn came(&self) {
        self.came.add(1);
    }

    /// Counts a closed connection.
    pub fn ended(&self, how: Ended) {
        self.ended[how as usize].add(1);
    }

    /// Open connections. One that closes during the read may be missing.
    pub fn open(&self) -> u64 {
        let ended: u64 = self.ended.iter().map(Count::get).sum();
        self.came.get().saturating_sub(ended)
    }
}

fn whole_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
