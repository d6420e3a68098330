//! Monitors the load generator itself: whether this machine, not the gateway, was the limit.

mod health;
mod machine;
#[cfg(test)]
mod tests;
mod totals;
mod traffic;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use totals::{CpuSample, UsageTotals};

use crate::base::failure::Failure;
use crate::base::worker::Worker;

pub(crate) use health::{Health, Limits, SEND_SOONER};
pub(crate) use machine::{local_ports, raise_descriptors};
pub(crate) use traffic::Traffic;

/// How often CPU, descriptors and RAM are read.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// How often a timer of the runtime is tried.
const TIMER_EVERY: Duration = Duration::from_millis(10);
/// The kernel counts CPU in ticks of 10 ms: a shorter remainder means nothing.
const REST_MIN: Duration = Duration::from_millis(100);

/// Watches this process until it is finished, or dropped.
pub(crate) struct SelfMonitor {
    gauges: Gauges,
    traffic: Traffic,
    /// Dropping it ends the timers.
    timers: JoinSet<()>,
    sampler: Worker,
}

/// The present measurements; cheap to clone for writers and readers.
#[derive(Clone, Debug)]
pub(crate) struct Gauges(Arc<Mutex<UsageTotals>>);

/// The latest second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// Of all cores that this process may use; 1 is all of them.
    pub(crate) cpu_ratio: f64,
    /// The latest that a timer was.
    pub(crate) timer_lag: Duration,
    pub(crate) open_fds: u64,
}

impl SelfMonitor {
    /// Starts self-monitoring within the load's runtime, whose timers it tests.
    /// The rest has a thread of its own, so that a busy runtime delays no sample and no sample the load. A server that
    /// answers none of the requests in flight for as long as `stalled_after` is stalled.
    pub(crate) fn start(
        limits: Limits,
        traffic: Traffic,
        stalled_after: Duration,
    ) -> Result<SelfMonitor, Failure> {
        traffic.allow_waits(limits.queued);
        let totals = UsageTotals::new(machine::cores(), limits, machine::descriptors_limit());
        let gauges = Gauges(Arc::new(Mutex::new(totals)));
        let sampled = gauges.clone();
        let sampler = Worker::start("watch", move |stopped| sample(&sampled, stopped)).map_err(|error| {
            Failure::Outside(format!(
                "the thread that watches this process can't be started: {error}: raise the limits on threads \
                 (ulimit -u) and memory"
            ))
        })?;
        let timers = JoinSet::from_iter([try_timers(gauges.clone(), traffic.clone(), stalled_after)]);
        Ok(SelfMonitor { gauges, traffic, timers, sampler })
    }

    /// A handle for writers and readers of the measurements.
    pub(crate) fn gauges(&self) -> Gauges {
        self.gauges.clone()
    }

    /// Takes the last sample and ends.
    pub(crate) fn finish(self) -> Health {
        self.sampler.finish();
        drop(self.timers);
        self.traffic.add_to(self.gauges.totals().health())
    }
}

impl Gauges {
    /// A connect failed with EADDRNOTAVAIL: no local port was free.
    pub(crate) fn port_exhausted(&self) {
        self.totals().ports_exhausted += 1;
    }

    /// The latest second; all zero before the first is over.
    pub(crate) fn now(&self) -> Reading {
        self.totals().reading()
    }

    fn totals(&self) -> MutexGuard<'_, UsageTotals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Samples once a second, and once more at the end.
fn sample(gauges: &Gauges, stopped: &Receiver<()>) {
    let (mut since, mut used) = (Instant::now(), machine::cpu());
    gauges.totals().looked(machine::descriptors(), machine::memory());
    loop {
        let over = stopped.recv_timeout(SAMPLE_EVERY) != Err(RecvTimeoutError::Timeout);
        let (now, cpu) = (Instant::now(), machine::cpu());
        let took = now.duration_since(since);
        let (descriptors, memory) = (machine::descriptors(), machine::memory());
        let mut totals = gauges.totals();
        totals.looked(descriptors, memory);
        if !over || took >= REST_MIN {
            totals.sampled(CpuSample { took, cpu: cpu.saturating_sub(used) });
        }
        if over {
            return;
        }
        (since, used) = (now, cpu);
    }
}

/// Notes how late a timer is that is due every 10 ms. Each one that a stall held up counts, not only the first:
/// else a second of standstill would be one value in a hundred.
async fn try_timers(gauges: Gauges, traffic: Traffic, stalled_after: Duration) {
    let mut due = tokio::time::interval(TIMER_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        let instant = due.tick().await;
        let late = instant.elapsed();
        gauges.totals().timer_fired(late);
        traffic.look(Instant::now(), late, stalled_after);
    }
}
