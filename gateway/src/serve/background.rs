//! The background threads and tasks of a gateway.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::api::worker::WorkerContext;
use crate::fleet;
use crate::fleet::clock_offset::ClockOffset;
use crate::manage::admin::Admin;
use crate::ops::health::{Health, Readiness};
use crate::ops::report::Reporter;
use crate::projection::consumer::consume;
use crate::projection::read_model::Sales;
use crate::recovery::failover::Recovery;
use crate::recovery::sweeper::sweep_all;
use crate::reserve::rounds::make_rounds;
use crate::runtime::{self, Pulse};
use crate::store::connections::RedisConnections;
use crate::store::outage::Outage;
use crate::store::scripts::Scripts;
use crate::store::{Pool, checkout_each};
use crate::telemetry::labels::User;
use crate::telemetry::metrics::Metrics;
use crate::terminal::CommandError;

/// Interval of readiness checks for the metrics.
const READINESS_INTERVAL: Duration = Duration::from_millis(500);
/// Delay before the scripts are loaded again after Redis did not answer.
const SCRIPTS_RETRY: Duration = Duration::from_millis(200);

/// A thread that lasts as long as the process. The gateway can't work without it, so its failure is
/// logged as an error.
pub(super) fn thread(
    name: &str,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), CommandError> {
    let label = name.to_owned();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            if let Err(error) = work() {
                tracing::error!(thread = label, %error, "a thread ended");
            }
        })
        .map(drop)
        .map_err(|e| CommandError::Outside(format!("can't start the thread {name}: {e}")))
}

/// Runs the consumer, the sweeper and the fleet on a thread of their own, where no busy worker or audit
/// delays them.
pub(super) fn keep_ledger(
    shared: WorkerContext,
    recovery: Recovery,
    clock: Arc<ClockOffset>,
    mut reporter: Reporter,
    pulse: Pulse,
) -> io::Result<()> {
    runtime::run_observed(pulse, async move {
        let metrics = shared.metrics;
        tokio::task::spawn_local(shared.redis.clone().keep_map());
        let (redis, scripts) = (&shared.redis, &shared.scripts);
        let open = |user| RedisConnections::open(redis.clone(), scripts.clone(), metrics.redis(user));
        let membership = recovery.membership.clone();
        let (ledger, rounds) = (open(User::Ledger), open(User::Rounds));
        tokio::task::spawn_local(make_rounds(rounds, shared.sales.clone(), membership.clone()));
        tokio::task::spawn_local(sweep_all(ledger, recovery, shared.sales.clone()));
        let (fleet_use, consumer_use) = (metrics.redis(User::Fleet), metrics.redis(User::Consumer));
        tokio::task::spawn_local(fleet::run_heartbeats(
            shared.redis.clone(),
            shared.rates,
            fleet_use,
            membership,
            clock,
            move || reporter.report(),
        ));
        consume(shared.redis, shared.scripts, shared.sales, shared.caught_up, consumer_use).await;
    })
}

/// Loads the scripts into each Redis of the ledger. A Redis that is added later gets each script with its
/// first call.
pub(super) async fn load_scripts(pool: Pool, scripts: Arc<Scripts>, loaded: Arc<AtomicBool>) {
    let outage = Outage::of("the scripts can't be loaded yet");
    loop {
        match load_each(&pool, &scripts).await {
            Ok(()) => {
                outage.record_success();
                return loaded.store(true, Ordering::Relaxed);
            }
            Err(error) => outage.record_failure(error),
        }
        tokio::time::sleep(SCRIPTS_RETRY).await;
    }
}

/// Fails if a Redis refuses the scripts, or if none can be reached.
async fn load_each(pool: &Pool, scripts: &Scripts) -> Result<(), String> {
    let mut outcome = Err("no master has any slot".to_owned());
    for (_, conn) in checkout_each(pool).await.map_err(|failure| failure.to_string())? {
        match conn {
            Ok(mut conn) => {
                scripts.load(&mut conn).await.map_err(|error| error.to_string())?;
                outcome = Ok(());
            }
            Err(failure) => outcome = outcome.map_err(|_| failure.to_string()),
        }
    }
    outcome
}

/// Updates the readiness that metrics show.
pub(super) async fn watch_readiness(health: Rc<Health>, readiness: Arc<Readiness>) {
    loop {
        readiness.set(health.reasons().await);
        tokio::time::sleep(READINESS_INTERVAL).await;
    }
}

/// Audits every sale at an interval; drift is logged and shown in the metrics.
pub(super) async fn audit_all(admin: Admin, sales: Arc<Sales>, metrics: Arc<Metrics>, interval: Duration) {
    loop {
        tokio::time::sleep(interval.mul_f32(0.9 + 0.2 * fastrand::f32())).await;
        let all = sales.all();
        metrics.retain_sales(|id| all.iter().any(|sale| sale.id == id));
        for sale in all {
            match admin.audit(&sale.id).await {
                Ok(report) => {
                    let problem = report.first_problem();
                    if let Some(problem) = &problem {
                        let (sale, sequence) = (&sale.id, report.sequence);
                        tracing::error!(sale, sequence, problem, "the audit found drift");
                    }
                    let problems = i64::try_from(report.problems.len()).unwrap_or(i64::MAX);
                    let drift = report.items.iter().map(|i| i.drift.abs()).sum::<i64>() + problems;
                    metrics.audited((&sale.id, sale.incarnation()), drift, problem);
                }
                Err(failure) => tracing::warn!(sale = sale.id, %failure, "the audit failed"),
            }
        }
    }
}
