//! The text that Prometheus reads (format 0.0.4): what is declared in `list.rs`, as it is at this moment.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::labels::{Ended, Listener, Outcome, Route, Shed, Slo, Stage, User};
use super::list::{self, Kind, Metric};
use super::record::{Connections, Recorder, Sums};
use super::{Metrics, Worker, lock};
use crate::http::tls::Tls;
use crate::identify::Keys;
use crate::ledger::POOL_USE;
use crate::ledger::memory::{Memory, Sale, Sales};
use crate::ops::process;

/// What is shown, and where it comes from.
pub struct Sources {
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// What is known of the sales.
    pub sales: Arc<Sales>,
    /// Connections that may be open at each listener, by [`Listener`].
    pub connections_max: [usize; Listener::NAMES.len()],
    /// Requests that may ask the ledger at a time.
    pub in_flight_max: usize,
    /// A hash of the scripts.
    pub scripts: String,
    /// TLS of each listener, by [`Listener`].
    pub tls: [Option<Arc<Tls>>; Listener::NAMES.len()],
    /// What tokens are verified with.
    pub keys: Arc<Keys>,
}

/// All metrics, ready to be shown.
pub struct Exposition(Registry);

impl Exposition {
    /// Of these.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(sources));
        Self(registry)
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(128 * 1024);
        // Writing into a String can't fail.
        let _ = encode_registry(&mut text, &self.0);
        text
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

/// One metric while its series are written.
struct Family<'a> {
    metric: &'static Metric,
    encoder: MetricEncoder<'a>,
}

/// A label set of the metric's names and the given values.
fn labels<'a>(metric: &'static Metric, values: &[&'a str]) -> Vec<(&'static str, &'a str)> {
    metric.labels.iter().zip(values).map(|(label, value)| (label.name, *value)).collect()
}

impl Family<'_> {
    /// Writes one series.
    fn series(
        &mut self,
        values: &[&str],
        write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        if values.is_empty() {
            return write(&mut self.encoder);
        }
        write(&mut self.encoder.encode_family(&labels(self.metric, values))?)
    }

    /// A whole number.
    fn put(&mut self, values: &[&str], n: i64) -> fmt::Result {
        // Written as a gauge whatever it is: for a counter the library would append the suffix that the name has already,
        // and that the older format, which all tools read, wants in the name.
        self.series(values, |encoder| encoder.encode_gauge(&n))
    }

    fn count(&mut self, values: &[&str], n: u64) -> fmt::Result {
        self.put(values, i64::try_from(n).unwrap_or(i64::MAX))
    }

    fn flag(&mut self, values: &[&str], is_so: bool) -> fmt::Result {
        self.put(values, i64::from(is_so))
    }

    fn real(&mut self, values: &[&str], x: f64) -> fmt::Result {
        self.series(values, |encoder| encoder.encode_gauge(&x))
    }

    /// `unit` is how many of the sum's units are one of the metric's.
    fn histogram(&mut self, values: &[&str], sums: &Sums, unit: f64) -> fmt::Result {
        let bounds = self.metric.buckets.iter().copied().chain([f64::INFINITY]);
        let mut counts = sums.counts.clone();
        counts.resize(self.metric.buckets.len() + 1, 0);
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let (sum, count) = (sums.sum as f64 / unit, sums.count());
        self.series(values, |encoder| encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None))
    }
}

/// Writes one metric.
fn family(
    encoder: &mut DescriptorEncoder<'_>,
    metric: &'static Metric,
    write: impl FnOnce(&mut Family<'_>) -> fmt::Result,
) -> fmt::Result {
    let kind = match metric.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    };
    let encoder = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
    write(&mut Family { metric, encoder })
}

const NANOSECONDS: f64 = 1e9;

impl Collector for Sources {
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
fn sums<'a>(workers: &'a [Worker], add: impl Fn(&'a Recorder, &mut Sums)) -> Sums {
    let mut sums = Sums::default();
    workers.iter().for_each(|worker| add(&worker.recorder, &mut sums));
    sums
}

fn total(workers: &[Worker], count: impl Fn(&Recorder) -> u64) -> u64 {
    workers.iter().map(|worker| count(&worker.recorder)).sum()
}

fn requests(encoder: &mut DescriptorEncoder<'_>, workers: &[Worker]) -> fmt::Result {
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

/// How the objectives are met: from what was counted of each outcome.
fn objectives(encoder: &mut DescriptorEncoder<'_>, workers: &[Worker]) -> fmt::Result {
    let mut all = [0; Slo::NAMES.len()];
    let mut good = [0; Slo::NAMES.len()];
    let soon = list::ANSWER_BUCKETS.iter().take_while(|bound| **bound <= list::SOON).count();
    for outcome in Outcome::all() {
        let Some(is_good) = outcome.judgement() else { continue };
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

/// A sale at one moment: all of its series are of one sequence.
struct Seen {
    sale: Arc<Sale>,
    memory: Arc<Memory>,
    time: i64,
    stores: Stores,
}

/// All stores of a sale together.
#[derive(Default)]
struct Stores {
    by_availability: [u64; list::AVAILABILITIES.len()],
    /// Of those that have a limit.
    slots: i64,
    free: i64,
}

impl Seen {
    fn new(sale: Arc<Sale>) -> Self {
        let memory = sale.memory();
        let mut stores = Stores::default();
        for place in memory.catalogue.stores_in(None) {
            stores.by_availability[memory.availability(place) as usize] += 1;
            if let Some(total) = memory.totals[place] {
                stores.slots += total;
                stores.free += memory.free[place];
            }
        }
        Self { time: sale.best_time(), memory, stores, sale }
    }
}

fn stock(family: &mut Family<'_>, memory: &Memory, sale: &str) -> fmt::Result {
    for (place, item) in memory.catalogue.counted().iter().enumerate() {
        let (taken, confirmed) = (memory.taken(place), memory.confirmed[place]);
        if let Some(total) = memory.totals[place] {
            family.put(&[sale, &item.name, "total"], total)?;
            family.put(&[sale, &item.name, "free"], memory.free[place])?;
        }
        family.put(&[sale, &item.name, "held"], taken - confirmed)?;
        family.put(&[sale, &item.name, "confirmed"], confirmed)?;
    }
    Ok(())
}

impl Sources {
    fn load(&self, encoder: &mut DescriptorEncoder<'_>, workers: &[Worker]) -> fmt::Result {
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
        self.connections(encoder, workers)
    }

    fn connections(&self, encoder: &mut DescriptorEncoder<'_>, workers: &[Worker]) -> fmt::Result {
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
        let uses = lock(&self.metrics.redis).clone();
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
        family(encoder, &list::REDIS_UP, |family| {
            User::NAMES.iter().zip(is_up).try_for_each(|(name, is_up)| family.flag(&[name], is_up))
        })
    }

    fn sales(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let sales: Vec<Seen> = self.sales.all().into_iter().map(Seen::new).collect();
        let now = Instant::now();
        let mut each = |metric: &'static Metric,
                        write: &dyn Fn(&mut Family<'_>, &Seen, &str) -> fmt::Result| {
            family(encoder, metric, |family| {
                sales.iter().try_for_each(|seen| write(family, seen, &seen.sale.id))
            })
        };
        let seconds = |ms: i64| ms as f64 / 1e3;
        each(&list::SNAPSHOT_AGE, &|family, seen, id| {
            family.real(&[id], seen.sale.incomplete_for(now).as_secs_f64())
        })?;
        each(&list::STOCK, &|family, seen, id| stock(family, &seen.memory, id))?;
        each(&list::STORES, &|family, seen, id| {
            let counts = list::AVAILABILITIES.iter().zip(seen.stores.by_availability);
            counts.into_iter().try_for_each(|(name, count)| family.count(&[id, name], count))
        })?;
        each(&list::STORE_SLOTS, &|family, seen, id| {
            family.put(&[id, "total"], seen.stores.slots)?;
            family.put(&[id, "free"], seen.stores.free)
        })?;
        each(&list::RESERVATIONS, &|family, seen, id| {
            let counts = list::RESERVATION_STATES.iter().zip(seen.memory.counts);
            counts.into_iter().try_for_each(|(state, count)| family.count(&[id, state], count))
        })?;
        each(&list::PHASE, &|family, seen, id| {
            let phase = list::PHASES[seen.memory.phase(seen.time) as usize];
            list::PHASES.iter().try_for_each(|name| family.flag(&[id, name], *name == phase))
        })?;
        each(&list::FROZEN, &|family, seen, id| family.flag(&[id], seen.memory.levers.frozen))?;
        each(&list::OPENS, &|family, seen, id| family.real(&[id], seconds(seen.memory.levers.opens)))?;
        each(&list::CLOSES, &|family, seen, id| family.real(&[id], seconds(seen.memory.levers.closes)))?;
        each(&list::LEDGER_TIME, &|family, seen, id| family.real(&[id], seconds(seen.time)))?;
        each(&list::SEQUENCE, &|family, seen, id| family.count(&[id], seen.memory.sequence))?;
        let audits = lock(&self.metrics.audits).clone();
        each(&list::DRIFT, &|family, _, id| {
            family.put(&[id], audits.get(id).map_or(-1, |audited| audited.drift))
        })?;
        each(&list::AUDITED, &|family, _, id| {
            family.put(&[id], audits.get(id).map_or(0, |audited| audited.at))
        })?;
        each(&list::OVERSOLD, &|family, seen, id| {
            let limited =
                seen.memory.totals.iter().zip(&seen.memory.free).filter(|(total, _)| total.is_some());
            family.put(&[id], limited.map(|(_, free)| (-free).max(0)).sum())
        })?;
        each(&list::DIFFER, &|family, seen, id| family.flag(&[id], seen.sale.drift().is_some()))?;
        each(&list::HOLDS_DUE, &|family, seen, id| family.count(&[id], seen.sale.reaped().overdue().1))?;
        each(&list::OLDEST_DUE, &|family, seen, id| {
            family.real(&[id], seen.sale.reaped().overdue().0.as_secs_f64())
        })?;
        each(&list::REAPER_LAG, &|family, seen, id| {
            family.real(&[id], seen.sale.reaped().lag(now).as_secs_f64())
        })?;
        family(encoder, &list::FAULT, |family| {
            for Seen { sale, .. } in &sales {
                family.flag(&[&sale.id], sale.fault().is_some())?;
            }
            // Those that could not be read even once.
            for id in self.sales.unread().iter().filter(|id| self.sales.get(id).is_none()) {
                family.flag(&[id], true)?;
            }
            Ok(())
        })
    }

    fn process(&self, encoder: &mut DescriptorEncoder<'_>, workers: &[Worker]) -> fmt::Result {
        family(encoder, &list::BUILD, |family| family.put(&[env!("CARGO_PKG_VERSION"), &self.scripts], 1))?;
        family(encoder, &list::READY, |family| family.flag(&[], self.metrics.is_ready()))?;
        family(encoder, &list::BUSY, |family| {
            for (n, worker) in workers.iter().enumerate() {
                let busy = worker.runtime.as_ref().map(|runtime| runtime.worker_total_busy_duration(0));
                family.real(&[&n.to_string()], busy.unwrap_or_default().as_secs_f64())?;
            }
            Ok(())
        })?;
        self.ends(encoder)?;
        kernel(encoder)?;
        let metrics = &self.metrics;
        for (metric, number) in
            [(&list::FLEET, &metrics.gateways), (&list::FLEET_VERSIONS, &metrics.versions)]
        {
            family(encoder, metric, |family| {
                family.count(&[], number.load(std::sync::atomic::Ordering::Relaxed))
            })?;
        }
        Ok(())
    }

    /// When what others must trust runs out.
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
}

fn kernel(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    // Without /proc there is nothing to show, and nothing is made up.
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
