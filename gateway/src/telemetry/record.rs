//! What the path of a tap writes: plain counters, a set for each worker, so that none waits for another's cache line.
//!
//! Only its worker writes to a set, so that an addition is a load and a store. Whoever shows them adds all sets up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::domain::decision::Shed;
use crate::domain::policy::Policy;
use crate::telemetry::labels::{Ended, Outcome, Route, Stage};
use crate::telemetry::list::{ANSWER_BUCKETS, BATCH_BUCKETS, POLICIES, STAGE_BUCKETS};

/// A number that one thread writes.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// As it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Adds.
    pub fn add(&self, n: u64) {
        self.0.store(self.get().wrapping_add(n), Relaxed);
    }

    /// Takes away.
    pub fn sub(&self, n: u64) {
        self.0.store(self.get().wrapping_sub(n), Relaxed);
    }

    /// Sets.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }
}

/// Counts by size: one for each bound, one beyond them, and the sum.
#[derive(Debug)]
pub struct Histogram<const BOUNDS: usize> {
    counts: [Count; BOUNDS],
    beyond: Count,
    sum: Count,
}

impl<const BOUNDS: usize> Default for Histogram<BOUNDS> {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| Count::default()),
            beyond: Count::default(),
            sum: Count::default(),
        }
    }
}

impl<const BOUNDS: usize> Histogram<BOUNDS> {
    /// Counts `times` of one size. Nearly all are small, so the bounds are gone through from below.
    fn count(&self, bounds: &[u64; BOUNDS], size: u64, times: u64) {
        let place = bounds.iter().position(|bound| size <= *bound);
        place.map_or(&self.beyond, |place| &self.counts[place]).add(times);
        self.sum.add(size.wrapping_mul(times));
    }

    /// Adds what was counted to a sum over workers.
    pub fn add_to(&self, sums: &mut Sums) {
        sums.counts.resize(BOUNDS + 1, 0);
        let counts = self.counts.iter().chain([&self.beyond]);
        sums.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count.get());
        sums.sum = sums.sum.wrapping_add(self.sum.get());
    }
}

/// A histogram of several workers together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// By bound, the last without one.
    pub counts: Vec<u64>,
    /// Of all sizes; of durations in nanoseconds.
    pub sum: u64,
}

impl Sums {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What is new since then.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let was = before.counts.iter().copied().chain(std::iter::repeat(0));
        Self {
            counts: self.counts.iter().zip(was).map(|(now, was)| now - was).collect(),
            sum: self.sum.wrapping_sub(before.sum),
        }
    }
}

const fn nanoseconds<const N: usize>(seconds: [f64; N]) -> [u64; N] {
    let mut bounds = [0; N];
    let mut n = 0;
    while n < N {
        bounds[n] = (seconds[n] * 1e9 + 0.5) as u64;
        n += 1;
    }
    bounds
}

const fn to_integers<const N: usize>(sizes: [f64; N]) -> [u64; N] {
    let mut bounds = [0; N];
    let mut n = 0;
    while n < N {
        bounds[n] = sizes[n] as u64;
        n += 1;
    }
    bounds
}

const ANSWER_NS: [u64; ANSWER_BUCKETS.len()] = nanoseconds(ANSWER_BUCKETS);
const STAGE_NS: [u64; STAGE_BUCKETS.len()] = nanoseconds(STAGE_BUCKETS);
const BATCH_TAPS: [u64; BATCH_BUCKETS.len()] = to_integers(BATCH_BUCKETS);

/// How long answers took.
pub type AnswerTimes = Histogram<{ ANSWER_BUCKETS.len() }>;
/// How long stages took.
pub type Stages = Histogram<{ STAGE_BUCKETS.len() }>;
/// How large batches were.
pub type Batches = Histogram<{ BATCH_BUCKETS.len() }>;

/// What an answer is counted as; it travels with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerClass {
    /// What it told.
    pub outcome: Outcome,
    /// Why, where there are several reasons.
    pub why: Why,
}

/// The reason of a refusal that can have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The outcome says it all.
    Plain,
    /// Of a 503 that says that nothing was done.
    Shed(Shed),
    /// Of a 429.
    Limited(Policy),
}

impl AnswerClass {
    /// An outcome that says it all.
    #[must_use]
    pub const fn plain(outcome: Outcome) -> Self {
        Self { outcome, why: Why::Plain }
    }
}

/// What one worker has counted.
#[derive(Debug)]
pub struct Recorder {
    requests: [[Count; Outcome::COUNT]; Route::NAMES.len()],
    taps: [AnswerTimes; Outcome::COUNT],
    others: [AnswerTimes; Outcome::COUNT],
    stages: [Stages; Stage::NAMES.len()],
    batches: Batches,
    /// Taps in line.
    pub waiting: Count,
    /// Requests that ask the ledger.
    pub in_flight: Count,
    /// Requests whose word on their client was ignored.
    pub forwarded_ignored: Count,
    shed: [Count; Shed::NAMES.len()],
    limited: [Count; POLICIES.len()],
    /// Its connections.
    pub connections: Connections,
}

fn all<T: Default, const N: usize>() -> [T; N] {
    std::array::from_fn(|_| T::default())
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            requests: std::array::from_fn(|_| all()),
            taps: all(),
            others: all(),
            stages: all(),
            batches: Batches::default(),
            waiting: Count::default(),
            in_flight: Count::default(),
            forwarded_ignored: Count::default(),
            shed: all(),
            limited: all(),
            connections: Connections::default(),
        }
    }
}

impl Recorder {
    /// Counts an answer.
    pub fn answered(&self, route: Route, class: AnswerClass, took: Duration) {
        let outcome = class.outcome.place();
        self.requests[route as usize][outcome].add(1);
        let answers = if route == Route::Reserve { &self.taps } else { &self.others };
        answers[outcome].count(&ANSWER_NS, whole_ns(took), 1);
        self.reason(class.why);
    }

    /// Counts an answer to what never came to a request: it has no duration.
    pub fn refused(&self, class: AnswerClass) {
        self.requests[Route::None as usize][class.outcome.place()].add(1);
        self.reason(class.why);
    }

    fn reason(&self, why: Why) {
        match why {
            Why::Plain => {}
            Why::Shed(reason) => self.shed(reason),
            Why::Limited(policy) => self.limited[policy as usize].add(1),
        }
    }

    /// Counts one that was turned away, and not with an answer.
    pub fn shed(&self, reason: Shed) {
        self.shed[reason as usize].add(1);
    }

    /// Counts what a stage of one tap took.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.stages[stage as usize].count(&STAGE_NS, whole_ns(took), 1);
    }

    /// Counts a batch that Redis was asked about.
    pub fn batch(&self, taps: usize, redis: Duration) {
        let taps = taps as u64;
        self.batches.count(&BATCH_TAPS, taps, 1);
        self.stages[Stage::Redis as usize].count(&STAGE_NS, whole_ns(redis), taps);
    }

    /// Answers of a route, by outcome.
    #[must_use]
    pub fn requests(&self, route: usize, outcome: Outcome) -> u64 {
        self.requests[route][outcome.place()].get()
    }

    /// How long answers took that told this: those to taps, and all others.
    #[must_use]
    pub fn answers(&self, outcome: Outcome) -> (&AnswerTimes, &AnswerTimes) {
        (&self.taps[outcome.place()], &self.others[outcome.place()])
    }

    /// How long a stage took.
    #[must_use]
    pub fn stages(&self, stage: usize) -> &Stages {
        &self.stages[stage]
    }

    /// How large batches were.
    #[must_use]
    pub fn batches(&self) -> &Batches {
        &self.batches
    }

    /// Requests turned away, by reason.
    #[must_use]
    pub fn turned_away(&self, reason: usize) -> u64 {
        self.shed[reason].get()
    }

    /// Requests over a limit, by policy.
    #[must_use]
    pub fn limited(&self, policy: usize) -> u64 {
        self.limited[policy].get()
    }
}

/// The connections of one listener at one thread.
#[derive(Debug)]
pub struct Connections {
    came: Count,
    ended: [Count; Ended::NAMES.len()],
}

impl Default for Connections {
    fn default() -> Self {
        Self { came: Count::default(), ended: all() }
    }
}

impl Connections {
    /// One has come.
    pub fn came(&self) {
        self.came.add(1);
    }

    /// One has ended.
    pub fn ended(&self, how: Ended) {
        self.ended[how as usize].add(1);
    }

    /// All that came.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.came.get()
    }

    /// Those that ended, by how.
    #[must_use]
    pub fn gone(&self, how: usize) -> u64 {
        self.ended[how].get()
    }

    /// Those that are open. What ends while it is counted may be missing among those that came.
    #[must_use]
    pub fn open(&self) -> u64 {
        let gone: u64 = (0..self.ended.len()).map(|how| self.gone(how)).sum();
        self.all().saturating_sub(gone)
    }
}

fn whole_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
