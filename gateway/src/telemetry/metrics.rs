//! The counters of this process, and their sums.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::RuntimeMetrics;

use crate::telemetry::labels::{Outcome, Route, User};
use crate::telemetry::record::{Connections, Recorder, Sums};
use crate::telemetry::uses::RedisUse;

/// What the threads of this process have counted, and what it knows of itself.
#[derive(Debug, Default)]
pub struct Metrics {
    workers: Mutex<Vec<WorkerMetrics>>,
    /// Of the ops listener, which runs on one thread.
    pub ops_connections: Connections,
    redis: Mutex<Vec<(User, Arc<RedisUse>)>>,
    audits: Mutex<HashMap<String, AuditSummary>>,
}

/// A worker's counters, and its runtime's own.
#[derive(Debug, Clone)]
pub struct WorkerMetrics {
    /// What it counts.
    pub recorder: Arc<Recorder>,
    /// Of its thread, if it was made on one.
    pub runtime: Option<RuntimeMetrics>,
}

/// What the last audit of a sale found.
#[derive(Debug, Clone)]
pub struct AuditSummary {
    /// The absolute drifts of all items, and 1 for each problem.
    pub drift: i64,
    /// Seconds since 1970.
    pub at: i64,
    /// What is wrong first of all.
    pub problem: Option<String>,
    /// Of the sale that was audited: what was found in it is not true of another of its name.
    incarnation: String,
}

/// All answers so far.
#[derive(Debug, Clone, Default)]
pub struct AnswerCounts {
    /// By route and outcome; only those that there were.
    pub counts: Vec<(&'static str, &'static str, u64)>,
    /// How long the answers to taps took that told of a reservation.
    pub winners: Sums,
    /// And all other answers to taps.
    pub losers: Sums,
    /// And those of all other calls.
    pub others: Sums,
    /// Of requests whose word on their client was ignored.
    pub forwarded_ignored: u64,
}

impl AnswerCounts {
    /// What is new in these since those.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let was = |route: &str, outcome: &str| {
            let found = before.counts.iter().find(|(r, o, _)| (*r, *o) == (route, outcome));
            found.map_or(0, |(_, _, count)| *count)
        };
        let counts =
            self.counts.iter().map(|(route, outcome, n)| (*route, *outcome, n - was(route, outcome)));
        Self {
            counts: counts.filter(|(_, _, n)| *n > 0).collect(),
            winners: self.winners.since(&before.winners),
            losers: self.losers.since(&before.losers),
            others: self.others.since(&before.others),
            forwarded_ignored: self.forwarded_ignored - before.forwarded_ignored,
        }
    }
}

impl Metrics {
    /// Counters for one more worker, whose runtime this is called on.
    #[must_use]
    pub fn of_worker(&self) -> Arc<Recorder> {
        let recorder = Arc::new(Recorder::default());
        let runtime = tokio::runtime::Handle::try_current().ok().map(|handle| handle.metrics());
        lock(&self.workers).push(WorkerMetrics { recorder: recorder.clone(), runtime });
        recorder
    }

    /// All workers.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerMetrics> {
        lock(&self.workers).clone()
    }

    /// For one more that talks to Redis.
    #[must_use]
    pub fn redis(&self, user: User) -> Arc<RedisUse> {
        let of_user = Arc::new(RedisUse::default());
        lock(&self.redis).push((user, of_user.clone()));
        of_user
    }

    /// All that talk to Redis.
    #[must_use]
    pub fn redis_uses(&self) -> Vec<(User, Arc<RedisUse>)> {
        lock(&self.redis).clone()
    }

    /// Notes what an audit found.
    pub fn audited(&self, (sale, incarnation): (&str, &str), drift: i64, problem: Option<String>) {
        let at = jiff::Timestamp::now().as_second();
        let found = AuditSummary { drift, at, problem, incarnation: incarnation.to_owned() };
        lock(&self.audits).insert(sale.to_owned(), found);
    }

    /// Forgets what audits of other sales found: they are gone.
    pub fn retain_audits(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.audits).retain(|sale, _| is_there(sale));
    }

    /// What the last audit of a sale found.
    #[must_use]
    pub fn audit_of(&self, sale: &str, incarnation: &str) -> Option<AuditSummary> {
        lock(&self.audits).get(sale).filter(|found| found.incarnation == incarnation).cloned()
    }

    /// All answers so far on the public listener.
    #[must_use]
    pub fn answers(&self) -> AnswerCounts {
        let workers = self.workers();
        let mut answers = AnswerCounts {
            forwarded_ignored: workers.iter().map(|worker| worker.recorder.forwarded_ignored.get()).sum(),
            ..AnswerCounts::default()
        };
        for (route, name) in Route::NAMES.iter().enumerate() {
            for outcome in Outcome::all() {
                let count: u64 = workers.iter().map(|worker| worker.recorder.requests(route, outcome)).sum();
                if count > 0 {
                    answers.counts.push((name, outcome.name(), count));
                }
            }
        }
        for outcome in Outcome::all() {
            for worker in &workers {
                let (taps, others) = worker.recorder.answers(outcome);
                taps.add_to(if outcome.has_won() { &mut answers.winners } else { &mut answers.losers });
                others.add_to(&mut answers.others);
            }
        }
        answers
    }
}

/// A panic while one of these locks was held leaves plain data behind, which is still right.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
