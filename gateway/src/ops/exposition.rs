//! The Prometheus text (format 0.0.4) of every metric that `list.rs` declares.

mod family;
mod sales;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use family::family;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

use crate::domain::decision::Shed;
use crate::fleet::membership::Membership;
use crate::fleet::report::versions;
use crate::http::tls::Tls;
use crate::identify::TokenKeys;
use crate::ops::health::Readiness;
use crate::ops::process;
use crate::ops::self_checks::SelfChecks;
use crate::projection::read_model::Sales;
use crate::store::POOL_USE;
use crate::store::reply::unreadable_replies;
use crate::telemetry::labels::{Ended, Listener, Outcome, Route, Slo, Stage, User};
use crate::telemetry::metrics::{Metrics, WorkerMetrics};
use crate::telemetry::record::{Connections, Recorder, Sums};
use crate::telemetry::{list, log};

/// The sources of all metrics.
pub struct ExpositionSources {
    /// Counters and histograms of the workers.
    pub metrics: Arc<Metrics>,
    /// The read models of the sales.
    pub sales: Arc<Sales>,
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
    /// Whether this gateway is ready.
    pub readiness: Arc<Readiness>,
    /// This gateway's view of the fleet.
    pub membership: Arc<Membership>,
    /// The checks of files and clock.
    pub checks: Arc<SelfChecks>,
}

/// The registry of all metrics.
pub struct Exposition(Registry);

impl Exposition {
    /// A registry over these sources.
    #[must_use]
    pub fn new(sources: ExpositionSources) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(sources));
        Self(registry)
    }

    /// The text for Prometheus.
    #[must_use]
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

const NANOSECONDS: f64 = 1e9;

impl Collector for ExpositionSources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let workers = self.metrics.workers();
        requests(&mut encoder, &workers)?;
        self.load(&mut encoder, &workers)?;
        self.redis(&mut encoder)?;
        self.sales(&mut encoder)?;
        self.process(&mut encoder, &workers)
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

fn requests(encoder: &mut DescriptorEncoder<'_>, workers: &[WorkerMetrics]) -> fmt::Result {
    family(encoder, &list::REQUESTS, |family| {
        for (route, name) in Route::NAMES.iter().enumerate() {
            for outcome in Outcome::all() {
                let count = total(workers, |recorder| recorder.requests(route, outcome));
                family.count(&[name, outcome.name()], count)?;
            }
        }
        Ok(())
    })?;
    family(encoder, &list::DURATIONS, |family| {
        for outcome in Outcome::all() {
            let took = sums(workers, |recorder, sums| {
                let (taps, others) = recorder.answers(outcome);
                taps.add_to(sums);
                others.add_to(sums);
            });
            family.histogram(&[outcome.name()], &took, NANOSECONDS)?;
        }
        Ok(())
    })?;
    family(encoder, &list::STAGES, |family| {
        for (stage, name) in Stage::NAMES.iter().enumerate() {
            let took = sums(workers, |recorder, sums| recorder.stages(stage).add_to(sums));
            family.histogram(&[name], &took, NANOSECONDS)?;
        }
        Ok(())
    })?;
    family(encoder, &list::BATCHES, |family| {
        family.histogram(&[], &sums(workers, |recorder, sums| recorder.batches().add_to(sums)), 1.0)
    })?;
    objectives(encoder, workers)
}

/// The counters of the service level objectives, by outcome.
fn objectives(encoder: &mut DescriptorEncoder<'_>, workers: &[WorkerMetrics]) -> fmt::Result {
    let mut all = [0; Slo::NAMES.len()];
    let mut good = [0; Slo::NAMES.len()];
    let soon = list::ANSWER_BUCKETS.iter().take_while(|bound| **bound <= list::LATENCY_OBJECTIVE).count();
    for outcome in Outcome::all() {
        let Some(is_good) = outcome.slo_verdict() else { continue };
        let taps = sums(workers, |recorder, sums| recorder.answers(outcome).0.add_to(sums));
        let others = sums(workers, |recorder, sums| recorder.answers(outcome).1.add_to(sums));
        all[Slo::Availability as usize] += taps.count() + others.count();
        all[Slo::Latency as usize] += taps.count();
        good[Slo::Availability as usize] += if is_good { taps.count() + others.count() } else { 0 };
        good[Slo::Latency as usize] += taps.counts.iter().take(soon).sum::<u64>();
    }
    for (metric, counts) in [(&list::SLO_REQUESTS, all), (&list::SLO_GOOD, good)] {
        family(encoder, metric, |family| {
            Slo::NAMES.iter().zip(counts).try_for_each(|(name, count)| family.count(&[name], count))
        })?;
    }
    Ok(())
}

impl ExpositionSources {
    fn load(&self, encoder: &mut DescriptorEncoder<'_>, workers: &[WorkerMetrics]) -> fmt::Result {
        family(encoder, &list::WAITING, |family| {
            family.count(&[], total(workers, |recorder| recorder.waiting.get()))
        })?;
        family(encoder, &list::IN_FLIGHT, |family| {
            family.count(&[], total(workers, |recorder| recorder.in_flight.get()))
        })?;
        family(encoder, &list::IN_FLIGHT_MAX, |family| family.count(&[], self.in_flight_max as u64))?;
        family(encoder, &list::SHED, |family| {
            for (reason, name) in Shed::NAMES.iter().enumerate() {
                family.count(&[name], total(workers, |recorder| recorder.turned_away(reason)))?;
            }
            Ok(())
        })?;
        family(encoder, &list::LIMITED, |family| {
            for (policy, name) in list::POLICIES.iter().enumerate() {
                family.count(&[name], total(workers, |recorder| recorder.limited(policy)))?;
            }
            Ok(())
        })?;
        family(encoder, &list::FORWARDED_IGNORED, |family| {
            family.count(&[], total(workers, |recorder| recorder.forwarded_ignored.get()))
        })?;
        self.connections(encoder, workers)
    }

    fn connections(&self, encoder: &mut DescriptorEncoder<'_>, workers: &[WorkerMetrics]) -> fmt::Result {
        let of = |count: &dyn Fn(&Connections) -> u64| {
            let public: u64 = workers.iter().map(|worker| count(&worker.recorder.connections)).sum();
            [public, count(&self.metrics.ops_connections)].into_iter().zip(Listener::NAMES)
        };
        family(encoder, &list::CONNECTIONS, |family| {
            of(&Connections::open).try_for_each(|(count, name)| family.count(&[name], count))
        })?;
        family(encoder, &list::CONNECTIONS_MAX, |family| {
            let most = self.connections_max.iter().zip(Listener::NAMES);
            most.into_iter().try_for_each(|(most, name)| family.count(&[name], *most as u64))
        })?;
        family(encoder, &list::CONNECTED, |family| {
            of(&Connections::all).try_for_each(|(count, name)| family.count(&[name], count))
        })?;
        family(encoder, &list::ENDED, |family| {
            for (how, reason) in Ended::NAMES.iter().enumerate() {
                for (count, name) in of(&|connections| connections.gone(how)) {
                    family.count(&[name, reason], count)?;
                }
            }
            Ok(())
        })
    }

    fn redis(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let uses = self.metrics.redis_uses();
        let (mut connects, mut errors) = ([0; User::NAMES.len()], [0; User::NAMES.len()]);
        let mut is_up = [true; User::NAMES.len()];
        let pool = [(User::Admin, &POOL_USE)];
        for (user, of_user) in uses.iter().map(|(user, of_user)| (*user, &**of_user)).chain(pool) {
            connects[user as usize] += of_user.connects();
            errors[user as usize] += of_user.errors();
            is_up[user as usize] &= of_user.is_up();
        }
        for (metric, counts) in [(&list::REDIS_CONNECTS, connects), (&list::REDIS_ERRORS, errors)] {
            family(encoder, metric, |family| {
                User::NAMES.iter().zip(counts).try_for_each(|(name, count)| family.count(&[name], count))
            })?;
        }
        family(encoder, &list::REDIS_UNREADABLE, |family| family.count(&[], unreadable_replies()))?;
        family(encoder, &list::REDIS_UP, |family| {
            User::NAMES.iter().zip(is_up).try_for_each(|(name, is_up)| family.flag(&[name], is_up))
        })
    }

    fn process(&self, encoder: &mut DescriptorEncoder<'_>, workers: &[WorkerMetrics]) -> fmt::Result {
        family(encoder, &list::BUILD, |family| family.put(&[env!("CARGO_PKG_VERSION"), &self.scripts], 1))?;
        family(encoder, &list::READY, |family| family.flag(&[], self.readiness.reasons().is_empty()))?;
        family(encoder, &list::BUSY, |family| {
            for (n, worker) in workers.iter().enumerate() {
                let busy = worker.runtime.as_ref().map(|runtime| runtime.worker_total_busy_duration(0));
                family.real(&[&n.to_string()], busy.unwrap_or_default().as_secs_f64())?;
            }
            Ok(())
        })?;
        self.ends(encoder)?;
        self.own_checks(encoder)?;
        kernel(encoder)?;
        family(encoder, &list::LOG_MISSING, |family| {
            let missing = log::missing_lines();
            list::LOG_MISSING_FOR.iter().zip(missing).try_for_each(|(why, n)| family.count(&[why], n))
        })?;
        let heartbeat = self.membership.latest();
        let of = |count: fn(&BTreeMap<String, String>) -> usize| {
            heartbeat.as_ref().map_or(0, |heartbeat| count(&heartbeat.live))
        };
        family(encoder, &list::FLEET, |family| family.count(&[], of(BTreeMap::len) as u64))?;
        family(encoder, &list::FLEET_VERSIONS, |family| family.count(&[], of(versions) as u64))
    }

    /// Expiry times of certificates and keys.
    fn ends(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        family(encoder, &list::CERTIFICATE, |family| {
            for (tls, name) in self.tls.iter().zip(Listener::NAMES) {
                if let Some(tls) = tls {
                    family.put(&[name], tls.ends())?;
                }
            }
            Ok(())
        })?;
        let now_s = jiff::Timestamp::now().as_second().unsigned_abs();
        family(encoder, &list::TOKEN_KEY, |family| {
            self.keys.next_end(now_s).map_or(Ok(()), |ends_s| family.count(&[], ends_s))
        })
    }

    fn own_checks(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        family(encoder, &list::FILE_REJECTED, |family| {
            let mut files = self.checks.files.rejected().into_iter();
            files.try_for_each(|(file, is_rejected)| family.flag(&[file], is_rejected))
        })?;
        family(encoder, &list::CLOCK_OFFSET, |family| {
            self.checks.clock.latest().map_or(Ok(()), |offset| family.real(&[], offset.seconds))
        })
    }
}

fn kernel(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    // Without /proc nothing is exposed instead of zeros.
    let Ok(stats) = process::look() else { return Ok(()) };
    family(encoder, &list::CPU, |family| family.real(&[], stats.cpu_seconds))?;
    family(encoder, &list::MEMORY, |family| family.count(&[], stats.memory_bytes))?;
    family(encoder, &list::FDS, |family| family.count(&[], stats.fds))?;
    family(encoder, &list::FDS_MAX, |family| {
        family.real(&[], stats.fds_max.map_or(f64::INFINITY, |most| most as f64))
    })?;
    family(encoder, &list::STARTED, |family| family.real(&[], stats.started))?;
    family(encoder, &list::THREADS, |family| family.put(&[], stats.threads))
}
