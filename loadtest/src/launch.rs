//! Runs a load test: preparation, load, proof and verdict.

mod abort;
mod ask;
pub(crate) mod capacity;
mod comparison;
pub(crate) mod judge;
pub(crate) mod prepare;
mod targets;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use abort::AbortOnFail;
use comparison::Baseline;
use judge::Terms;
use prepare::{Prepared, Wanted};

use crate::base::clock::{self, to_the_ms};
use crate::base::console;
use crate::base::failure::Failure;
use crate::base::requests::REQUESTS;
use crate::base::scenario::Scenario;
use crate::cli::RunOptions;
use crate::live::metrics::{Listen, Metrics, Moments, Sources};
use crate::live::{Live, View};
use crate::load::attack::Files;
use crate::load::output::REQUEST_LOG;
use crate::load::request_log::RequestLog;
use crate::load::scenarios::Scenarios;
use crate::load::{Load, attack};
use crate::proof::admin::Admin;
use crate::proof::run_record::{Run, RunRecord};
use crate::self_monitoring::SelfMonitor;
use crate::verdict::Verdict;

/// The drift between two unsynchronised clocks stays below this share of the time since the last
/// reading.
const CLOCK_DRIFT: f64 = 100e-6;
const LEFT_EVERY: Duration = Duration::from_secs(1);

/// Runs a scenario, or a mix of them, and comes to a verdict.
pub(crate) async fn run(
    scenario: Option<Scenario>,
    options: RunOptions,
    replay: Option<PathBuf>,
    scenarios: &Scenarios,
) -> Result<Verdict, Failure> {
    options.check()?;
    let report = options.output.folder()?;
    let baseline = Baseline::read(&options.output)?;
    let request_log = report.filter(|_| options.request_log).map(|dir| dir.join(REQUEST_LOG));
    let wanted = Wanted {
        target: &options.target,
        scenario,
        buyers: options.buyers,
        arrivals: options.arrivals.as_ref(),
        shard: options.shard,
        replay: replay.as_deref(),
        request_log: request_log.as_deref(),
    };
    let admin = Arc::new(Admin::new(&options.target.ledger)?);
    let prepared = prepare::prepare(&wanted, &admin).await?;
    let Prepared { load, run, users, profile, monitor } = match prepared {
        Ok(prepared) => prepared,
        Err((run, reason)) => return judge::close(Verdict::not_started(&run, reason), report),
    };
    if let Some(baseline) = &baseline {
        baseline.check(&run)?;
    }
    let moments = Arc::new(Moments::new(load.clock));
    moments.add("start", clock::now());
    moments.add("opening", load.clock.at(load.moments.opening));
    // It serves until the verdict, so that a scrape also sees the end.
    let _metrics = serve_metrics(&options, &load, &moments).await?;
    let left = Arc::new(AtomicU64::new(u64::MAX));
    let asking = tokio::spawn(ask_what_is_left(Arc::clone(&admin), Arc::clone(&left)));
    let files = Files::of(&options.output);
    let live = Live::start(View {
        figures: Arc::clone(&load.figures),
        opening: load.moments.opening,
        stock_left: Some(Box::new(move || Some(left.load(Relaxed)).filter(|left| *left != u64::MAX))),
    });
    let thresholds = options.abort_on_fail.then(|| profile.thresholds().to_vec());
    let abort = thresholds.map(|thresholds| AbortOnFail::start(Arc::clone(&load), thresholds));
    attack::run(&load, &users, &files, scenarios).await?;
    asking.abort();
    moments.add("end", load.clock.at(Instant::now()));
    let run = Run { ended_early: abort.and_then(|abort| abort.lost()), ..run };
    let run_record = gather(run, &load, monitor).await;
    if let Some(dir) = report {
        run_record.write(dir)?;
    }
    // Only now: a stdout that nothing reads just now is waited for.
    live.finish();
    let terms = Terms {
        profile: &profile,
        baseline: baseline.as_ref(),
        fail_on_worse: options.output.fail_on_worse,
        report,
        notes: Vec::new(),
    };
    judge::judge(&run_record, &admin, terms).await.map_err(|failure| match (failure, report) {
        (Failure::Outside(why), Some(dir)) => Failure::Outside(format!(
            "{why}\nThe run record is complete: run `loadtest merge {}` when the ledger can be read again",
            dir.display()
        )),
        (failure, _) => failure,
    })
}

async fn serve_metrics(
    options: &RunOptions,
    load: &Load,
    moments: &Arc<Moments>,
) -> Result<Option<Metrics>, Failure> {
    let Some(address) = options.metrics_listen else { return Ok(None) };
    let listen = Listen { address, allow_beyond_loopback: options.metrics_beyond_loopback };
    let metrics = Metrics::start(
        listen,
        Sources {
            figures: Arc::clone(&load.figures),
            gauges: load.gauges.clone(),
            moments: Arc::clone(moments),
            requests: REQUESTS,
        },
    )
    .await?;
    console::line(&format!("metrics at http://{}/metrics", metrics.address()));
    Ok(Some(metrics))
}

/// Reads the remaining cars once a second, for the progress display.
async fn ask_what_is_left(admin: Arc<Admin>, left: Arc<AtomicU64>) {
    loop {
        left.store(admin.cars_left().await.unwrap_or(u64::MAX), Relaxed);
        tokio::time::sleep(LEFT_EVERY).await;
    }
}

/// What is left when all sessions have ended.
pub(crate) async fn gather(mut run: Run, load: &Load, monitor: SelfMonitor) -> RunRecord {
    load.count_unsent();
    run.notes.extend(load.request_log.as_ref().and_then(RequestLog::finish));
    if let Some(threshold) = &run.ended_early {
        run.notes.push(format!(
            "it was ended early by --abort-on-fail, since {threshold} could not be met any more: what had not started by \
             then is missing"
        ));
    } else if goose::is_killswitch_triggered() {
        run.notes.push("it was ended by hand: what had not started by then is missing".to_owned());
    }
    run.finished_at = clock::now();
    run.opening = to_the_ms(load.clock.at(load.moments.opening));
    let lasted = run.finished_at.duration_since(run.started_at).as_secs_f64();
    run.clock_error_ms += lasted * 1000.0 * CLOCK_DRIFT;
    let figures = load.figures().clone();
    RunRecord::new(run, monitor.finish(), figures, load.take_histories())
}
