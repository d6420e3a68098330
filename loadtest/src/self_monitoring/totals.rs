//! Adds up the measurements of self-monitoring into the health of the run.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::span::ms;
use crate::figures::Latency;
use crate::self_monitoring::Reading;
use crate::self_monitoring::health::{Health, Limits};
use crate::self_monitoring::machine::Memory;

/// The CPU that was used in a time, usually a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CpuSample {
    pub(super) took: Duration,
    pub(super) cpu: Duration,
}

/// A single busy second is an accident, five are a limit.
const BUSIEST_OF: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct UsageTotals {
    cores: usize,
    limits: Limits,
    all: CpuSample,
    /// The latest, as many as it takes for five seconds.
    latest: VecDeque<CpuSample>,
    /// Percent, once there were five seconds.
    busiest: Option<f64>,
    over_limit: Duration,
    lag: Latency,
    lag_max: Duration,
    /// In the second that is on, and in the one before.
    lag_now: Duration,
    lag_before: Duration,
    descriptors: u64,
    descriptors_peak: u64,
    descriptors_limit: Option<u64>,
    rss_peak_kib: u64,
    /// Connects that found no free local port.
    pub(super) ports_exhausted: u64,
}

impl UsageTotals {
    pub(super) fn new(cores: usize, limits: Limits, descriptors_limit: Option<u64>) -> UsageTotals {
        UsageTotals {
            cores,
            limits,
            all: CpuSample::default(),
            latest: VecDeque::new(),
            busiest: None,
            over_limit: Duration::ZERO,
            lag: Latency::default(),
            lag_max: Duration::ZERO,
            lag_now: Duration::ZERO,
            lag_before: Duration::ZERO,
            descriptors: 0,
            descriptors_peak: 0,
            descriptors_limit,
            rss_peak_kib: 0,
            ports_exhausted: 0,
        }
    }

    /// A second is over, or the rest of the last one.
    pub(super) fn sampled(&mut self, sample: CpuSample) {
        self.all.add(sample);
        if self.percent(sample) > self.limits.cpu {
            self.over_limit += sample.took;
        }
        self.latest.push_back(sample);
        let mut window = CpuSample::default();
        self.latest.iter().for_each(|sample| window.add(*sample));
        while let Some(oldest) = self.latest.front().filter(|oldest| window.took - oldest.took >= BUSIEST_OF)
        {
            window = CpuSample { took: window.took - oldest.took, cpu: window.cpu - oldest.cpu };
            self.latest.pop_front();
        }
        if window.took >= BUSIEST_OF {
            self.busiest = Some(self.busiest.unwrap_or(0.0).max(self.percent(window)));
        }
        self.lag_before = std::mem::take(&mut self.lag_now);
    }

    /// Records open descriptors and RAM; unavailable values change nothing.
    pub(super) fn looked(&mut self, descriptors: Option<u64>, memory: Option<Memory>) {
        self.descriptors = descriptors.unwrap_or(self.descriptors);
        self.descriptors_peak = self.descriptors_peak.max(self.descriptors);
        let peak = memory.map_or(0, |memory| memory.rss_kib.max(memory.peak_kib));
        self.rss_peak_kib = self.rss_peak_kib.max(peak);
    }

    pub(super) fn timer_fired(&mut self, late: Duration) {
        self.lag.record(late);
        self.lag_max = self.lag_max.max(late);
        self.lag_now = self.lag_now.max(late);
    }

    pub(super) fn reading(&self) -> Reading {
        Reading {
            cpu_ratio: self.latest.back().map_or(0.0, |sample| self.percent(*sample) / 100.0),
            timer_lag: self.lag_now.max(self.lag_before),
            open_fds: self.descriptors,
        }
    }

    pub(super) fn health(&self) -> Health {
        let mean = self.percent(self.all);
        Health {
            processes: 1,
            cores: self.cores,
            cpu_percent_mean: mean,
            cpu_percent_busiest: self.busiest.unwrap_or(mean),
            cpu_busy_seconds: self.over_limit.as_secs_f64(),
            timer_lag_p99_ms: ms(self.lag.at(0.99).unwrap_or_default()),
            timer_lag_max_ms: ms(self.lag_max),
            descriptors_peak: self.descriptors_peak,
            descriptors_limit: self.descriptors_limit,
            ports_exhausted: self.ports_exhausted,
            // The client counts its requests.
            requests: 0,
            requests_queued: 0,
            queued_max_ms: 0.0,
            rss_peak_mib: self.rss_peak_kib as f64 / 1024.0,
            seconds: self.all.took.as_secs_f64(),
        }
    }

    /// How many timers have fired.
    #[cfg(test)]
    pub(super) fn timers(&self) -> u64 {
        self.lag.count()
    }

    fn percent(&self, sample: CpuSample) -> f64 {
        let could = sample.took.as_secs_f64() * self.cores as f64;
        if could > 0.0 { 100.0 * sample.cpu.as_secs_f64() / could } else { 0.0 }
    }
}

impl CpuSample {
    fn add(&mut self, more: CpuSample) {
        self.took += more.took;
        self.cpu += more.cpu;
    }
}
