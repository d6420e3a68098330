//! The Prometheus text (format 0.0.4) of every metric that `list.rs` declares.

mod family;
mod sales;

use std::fmt;
use std::sync::Arc;

use family::MetricWriter;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

use crate::fleet::report::{Reports, versions};
use crate::http::tls::Tls;
use crate::identify::TokenKeys;
use crate::ops::process;
use crate::ops::status::{GatewayStatus, ServedOptions};
use crate::store::POOL_USE;
use crate::store::reply::unreadable_replies;
use crate::telemetry::labels::{Ended, Listener, Outcome, Route, Slo, User};
use crate::telemetry::metrics::WorkerMetrics;
use crate::telemetry::record::{Connections, Recorder, Sums};
use crate::telemetry::{list, log};

/// The sources of all metrics.
pub struct ExpositionSources {
    /// The state of this gateway.
    pub status: GatewayStatus,
    /// Connections that may be open at each listener, by [`Listener`].
    pub connections_max: [usize; Listener::NAMES.len()],
    /// The in-flight permits.
    pub in_flight_max: usize,
    /// A digest of the scripts.
    pub scripts: String,
    /// TLS of each listener, by [`Listener`].
    pub tls: [Option<Arc<Tls>>; Listener::NAMES.len()],
    /// Keys that verify tokens.
    pub keys: Arc<TokenKeys>,
}

/// The registry of all metrics.
pub struct Exposition(Registry);

impl Exposition {
    /// A registry over these sources.
    pub fn new(sources: ExpositionSources) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(sources));
        Self(registry)
    }

    /// The text for Prometheus.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(128 * 1024);
        // Writing into a String can't fail.
        let _ = encode_registry(&mut text, &self.0);
        text
    }
}

impl fmt::Debug for ExpositionSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

impl Collector for ExpositionSources {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (mut out, workers) = (MetricWriter(encoder), self.status.metrics.workers());
        requests(&mut out, &workers)?;
        self.load(&mut out, &workers)?;
        self.redis(&mut out)?;
        sales::write(&mut out, &self.status, &workers)?;
        self.process(&mut out, &workers)
    }
}

/// A histogram of all workers.
fn sums<'a>(workers: &'a [WorkerMetrics], add: impl Fn(&'a Recorder, &mut Sums)) -> Sums {
    let mut sums = Sums::default();
    workers.iter().for_each(|worker| add(&worker.recorder, &mut sums));
    sums
}

fn total(workers: &[WorkerMetrics], count: impl Fn(&Recorder) -> u64) -> u64 {
    workers.iter().map(|worker| count(&worker.recorder)).sum()
}

fn requests(out: &mut MetricWriter<'_>, workers: &[WorkerMetrics]) -> fmt::Result {
    let outcomes: Vec<Outcome> = Outcome::all().collect();
    out.family(&list::REQUESTS, |family| {
        Route::NAMES.iter().enumerate().try_for_each(|(route, name)| {
            family.each(&[name], |n| total(workers, |recorder| recorder.requests(route, outcomes[n])))
        })
    })?;
    out.each(&list::DURATIONS, |n| {
        sums(workers, |recorder, sums| {
            let (taps, others) = recorder.answers(outcomes[n]);
            taps.add_to(sums);
            others.add_to(sums);
        })
    })?;
    out.each(&list::STAGES, |n| sums(workers, |recorder, sums| recorder.stages[n].add_to(sums)))?;
    out.one(&list::BATCHES, sums(workers, |recorder, sums| recorder.batches.add_to(sums)))?;
    // The counters of the service level objectives, by outcome.
    let mut all = [0; Slo::NAMES.len()];
    let mut good = [0; Slo::NAMES.len()];
    let soon = list::ANSWER_BUCKETS.iter().take_while(|bound| **bound <= list::LATENCY_OBJECTIVE).count();
    for outcome in outcomes {
        let Some(is_good) = outcome.slo_verdict() else { continue };
        let taps = sums(workers, |recorder, sums| recorder.answers(outcome).0.add_to(sums));
        let others = sums(workers, |recorder, sums| recorder.answers(outcome).1.add_to(sums));
        all[Slo::Availability as usize] += taps.count() + others.count();
        all[Slo::Latency as usize] += taps.count();
        good[Slo::Availability as usize] += if is_good { taps.count() + others.count() } else { 0 };
        good[Slo::Latency as usize] += taps.counts.iter().take(soon).sum::<u64>();
    }
    out.each(&list::SLO_REQUESTS, |n| all[n])?;
    out.each(&list::SLO_GOOD, |n| good[n])
}

impl ExpositionSources {
    fn load(&self, out: &mut MetricWriter<'_>, workers: &[WorkerMetrics]) -> fmt::Result {
        out.one(&list::WAITING, total(workers, |recorder| recorder.waiting.get()))?;
        out.one(&list::IN_FLIGHT, total(workers, |recorder| recorder.in_flight.get()))?;
        out.one(&list::IN_FLIGHT_MAX, self.in_flight_max)?;
        out.each(&list::SHED, |reason| total(workers, |recorder| recorder.shed[reason].get()))?;
        out.each(&list::LIMITED, |policy| total(workers, |recorder| recorder.limited[policy].get()))?;
        out.each(&list::OPS_REFUSED, |reason| self.status.metrics.ops_refused[reason].get())?;
        out.one(&list::FORWARDED_IGNORED, total(workers, |recorder| recorder.forwarded_ignored.get()))?;
        // By `Listener`.
        let at = |listener: usize, count: &dyn Fn(&Connections) -> u64| {
            let public = total(workers, |recorder| count(&recorder.connections));
            [public, count(&self.status.metrics.ops_connections)][listener]
        };
        out.each(&list::CONNECTIONS, |listener| at(listener, &Connections::open))?;
        out.each(&list::CONNECTIONS_MAX, |listener| self.connections_max[listener])?;
        out.each(&list::CONNECTED, |listener| at(listener, &|connections| connections.came.get()))?;
        out.family(&list::ENDED, |family| {
            for (how, reason) in Ended::NAMES.iter().enumerate() {
                for (listener, name) in Listener::NAMES.iter().enumerate() {
                    family.put(&[name, reason], at(listener, &|connections| connections.ended[how].get()))?;
                }
            }
            Ok(())
        })
    }

    fn redis(&self, out: &mut MetricWriter<'_>) -> fmt::Result {
        let uses = self.status.metrics.redis_uses();
        let mut counts = [[0; 2]; User::NAMES.len()];
        let mut is_up = [true; User::NAMES.len()];
        let pool = [(User::Admin, &POOL_USE)];
        for (user, of_user) in uses.iter().map(|(user, of_user)| (*user, &**of_user)).chain(pool) {
            let sums = counts[user as usize].iter_mut();
            sums.zip(of_user.connects_and_errors()).for_each(|(sum, count)| *sum += count);
            is_up[user as usize] &= of_user.is_up();
        }
        out.each(&list::REDIS_CONNECTS, |user| counts[user][0])?;
        out.each(&list::REDIS_ERRORS, |user| counts[user][1])?;
        out.one(&list::REDIS_UNREADABLE, unreadable_replies())?;
        out.each(&list::REDIS_UP, |user| u64::from(is_up[user]))
    }

    fn process(&self, out: &mut MetricWriter<'_>, workers: &[WorkerMetrics]) -> fmt::Result {
        let GatewayStatus { readiness, membership, checks, .. } = &self.status;
        out.family(&list::BUILD, |family| family.put(&[env!("CARGO_PKG_VERSION"), &self.scripts], 1))?;
        out.family(&list::SERVE_INFO, |family| {
            let ServedOptions { durability, workers, token_keys } = self.status.options;
            family.put(&[&durability.to_string(), &workers.to_string(), token_keys], 1)
        })?;
        out.one(&list::READY, u64::from(readiness.reasons().is_empty()))?;
        out.family(&list::BUSY, |family| {
            for (n, worker) in workers.iter().enumerate() {
                let busy = worker.runtime.as_ref().map(|runtime| runtime.worker_total_busy_duration(0));
                family.put(&[&n.to_string()], busy.unwrap_or_default().as_secs_f64())?;
            }
            Ok(())
        })?;
        out.family(&list::CERTIFICATE, |family| {
            let mut listeners = self.tls.iter().zip(Listener::NAMES);
            listeners.try_for_each(|(tls, name)| {
                tls.as_ref().map_or(Ok(()), |tls| family.put(&[name], tls.ends()))
            })
        })?;
        let now_s = jiff::Timestamp::now().as_second().unsigned_abs();
        out.one_if(&list::TOKEN_KEY, self.keys.next_end(now_s))?;
        out.family(&list::FILE_REJECTED, |family| {
            let mut files = checks.files.rejected().into_iter();
            files.try_for_each(|(file, is_rejected)| family.put(&[file], u64::from(is_rejected)))
        })?;
        out.one_if(&list::CLOCK_OFFSET, checks.clock.latest().map(|offset| offset.seconds))?;
        // Without /proc nothing is exposed instead of zeros.
        if let Ok(stats) = process::look() {
            out.one(&list::CPU, stats.cpu_seconds)?;
            out.one(&list::MEMORY, stats.memory_bytes)?;
            out.one(&list::FDS, stats.fds)?;
            out.one(&list::FDS_MAX, stats.fds_max.map_or(f64::INFINITY, |most| most as f64))?;
            out.one(&list::STARTED, stats.started)?;
            out.one(&list::THREADS, stats.threads)?;
        }
        let missing = log::missing_lines();
        out.each(&list::LOG_MISSING, |why| missing[why])?;
        let heartbeat = membership.latest();
        let live = heartbeat.as_ref().map(|heartbeat| &heartbeat.live);
        out.one(&list::FLEET, live.map_or(0, Reports::len))?;
        out.one(&list::FLEET_VERSIONS, live.map_or(0, versions))
    }
}
