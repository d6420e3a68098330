//! The metrics of this process, and their sums over workers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::RuntimeMetrics;

use crate::telemetry::labels::{OpsRefusal, Outcome, Route, User};
use crate::telemetry::record::{Array, Connections, Count, Recorder, Sums};
use crate::telemetry::uses::RedisUse;

/// The counters of all threads of this process.
#[derive(Debug, Default)]
pub struct Metrics {
    workers: Mutex<Vec<WorkerMetrics>>,
    /// The connections of the ops listener, which runs on one thread.
    pub ops_connections: Connections,
    /// Admin calls refused for their token, by [`OpsRefusal`], on the same thread.
    pub ops_refused: Array<Count, { OpsRefusal::NAMES.len() }>,
    redis: Mutex<Vec<(User, Arc<RedisUse>)>>,
    audits: Mutex<HashMap<String, AuditSummary>>,
}

/// A worker's counters, and those of its runtime.
#[derive(Debug, Clone)]
pub struct WorkerMetrics {
    /// Its counters.
    pub recorder: Arc<Recorder>,
    /// Those of its runtime, if it was created on one.
    pub runtime: Option<RuntimeMetrics>,
}

/// The result of a sale's last audit.
#[derive(Debug, Clone)]
pub struct AuditSummary {
    /// The absolute drifts of all items, and 1 for each problem.
    pub drift: i64,
    /// Seconds since 1970.
    pub at: i64,
    /// The first problem.
    pub problem: Option<String>,
    /// The incarnation of the audited sale: another sale of the same id has another one.
    incarnation: String,
}

/// All responses so far.
#[derive(Debug, Clone, Default)]
pub struct AnswerCounts {
    /// By route and outcome; only those above 0.
    pub counts: Vec<(&'static str, &'static str, u64)>,
    /// Response times of taps with a reservation.
    pub winners: Sums,
    /// Response times of all other taps.
    pub losers: Sums,
    /// Response times of all other calls.
    pub others: Sums,
    /// Requests whose forwarding header was ignored.
    pub forwarded_ignored: u64,
}

impl AnswerCounts {
    /// The difference to an earlier count.
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
    /// Counters for one more worker, called on its runtime.
    pub fn of_worker(&self) -> Arc<Recorder> {
        let recorder = Arc::new(Recorder::default());
        let runtime = tokio::runtime::Handle::try_current().ok().map(|handle| handle.metrics());
        lock(&self.workers).push(WorkerMetrics { recorder: recorder.clone(), runtime });
        recorder
    }

    /// All workers.
    pub fn workers(&self) -> Vec<WorkerMetrics> {
        lock(&self.workers).clone()
    }

    /// Counters for one more user of Redis.
    pub fn redis(&self, user: User) -> Arc<RedisUse> {
        let of_user = Arc::new(RedisUse::default());
        lock(&self.redis).push((user, of_user.clone()));
        of_user
    }

    /// All users of Redis.
    pub fn redis_uses(&self) -> Vec<(User, Arc<RedisUse>)> {
        lock(&self.redis).clone()
    }

    /// Records the result of an audit.
    pub fn audited(&self, (sale, incarnation): (&str, &str), drift: i64, problem: Option<String>) {
        let at = jiff::Timestamp::now().as_second();
        let found = AuditSummary { drift, at, problem, incarnation: incarnation.to_owned() };
        lock(&self.audits).insert(sale.to_owned(), found);
    }

    /// Drops the audits and taps of sales that are gone.
    pub fn retain_sales(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.audits).retain(|sale, _| is_there(sale));
        self.workers().iter().for_each(|worker| worker.recorder.taps_by_sale.retain(&is_there));
    }

    /// The result of a sale's last audit.
    pub fn audit_of(&self, sale: &str, incarnation: &str) -> Option<AuditSummary> {
        lock(&self.audits).get(sale).filter(|found| found.incarnation == incarnation).cloned()
    }

    /// All responses of the public listener so far.
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

/// A panic while a lock is held leaves consistent data behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
