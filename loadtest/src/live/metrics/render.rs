//! Lists the metrics with names, labels and buckets, and renders them for a scrape.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Error;
use std::sync::PoisonError;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::figures::{Figures, Latency, RequestFigures, Steps};
use crate::live::metrics::{Moments, Sources};
use crate::self_monitoring::Reading;

/// Every name begins so.
const PREFIX: &str = "launchgate_loadtest";
/// Upper bounds of a tap's duration, in ms: from an answer of the read model to minutes of retries.
const BOUNDS_MS: [u64; 15] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000];

impl Sources {
    /// In the text format of OpenMetrics.
    pub(crate) fn text(&self) -> String {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner).of_metrics();
        taps(&figures, &mut encoder)?;
        durations(&figures, &mut encoder)?;
        requests(&figures, self.requests, &mut encoder)?;
        counters(&figures, &mut encoder)?;
        gauges(self.gauges.now(), &mut encoder)?;
        moments(&self.moments, &mut encoder)
    }
}

fn taps(figures: &Figures, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let help = "Taps that came to their outcome, by scenario and outcome.";
    let mut taps = encoder.encode_descriptor("taps", help, None, MetricType::Counter)?;
    for scenario in Scenario::all() {
        for outcome in BTreeSet::from(Outcome::ALL) {
            let latency = figures.outcomes.get(&scenario).and_then(|outcomes| outcomes.get(&outcome));
            let labels = [("scenario", scenario.name()), ("outcome", outcome.name())];
            count(taps.encode_family(&labels)?, latency.map_or(0, Latency::count))?;
        }
    }
    Ok(())
}

/// Only of buyers: the waits of bots do not matter.
fn durations(figures: &Figures, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let help = "From the intended instant of a buyer's tap to its outcome, retries and waits included; bots left out.";
    let mut family = encoder.encode_descriptor("tap_duration_seconds", help, None, MetricType::Histogram)?;
    for outcome in BTreeSet::from(Outcome::ALL) {
        let latency = figures.honest(|own| own == outcome);
        let (mut below, mut buckets) = (0, Vec::new());
        for bound in BOUNDS_MS.map(Duration::from_millis) {
            let up_to = latency.up_to(bound);
            buckets.push((bound.as_secs_f64(), up_to - below));
            below = up_to;
        }
        let count = latency.count();
        buckets.push((f64::INFINITY, count - below));
        let sum = latency.mean().unwrap_or_default().as_secs_f64() * count as f64;
        let labels = [("outcome", outcome.name())];
        family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    Ok(())
}

/// Those that the run will make are there, at zero, before the first of them.
fn requests(figures: &Figures, expected: &[&str], encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let none = RequestFigures::default();
    let mut all: BTreeMap<&str, &RequestFigures> = expected.iter().map(|name| (*name, &none)).collect();
    all.extend(figures.requests.iter().map(|(name, requests)| (name.as_str(), requests)));

    let help = "Requests that ended, by name and result; lost ones got no answer.";
    let mut family = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
    for (name, requests) in &all {
        for (result, counted) in requests.by_result() {
            count(family.encode_family(&[("name", *name), ("result", result)])?, counted)?;
        }
    }
    let help = "Answers by the request's name and the status code.";
    let mut family = encoder.encode_descriptor("answers", help, None, MetricType::Counter)?;
    for (name, requests) in &all {
        for (status, counted) in &requests.by_status {
            let status = status.to_string();
            count(family.encode_family(&[("name", *name), ("status", status.as_str())])?, *counted)?;
        }
    }
    let help = "Steps that ended: requests with their retries; undecided ones have no answer that counts.";
    let mut family = encoder.encode_descriptor("steps", help, None, MetricType::Counter)?;
    for (name, requests) in &all {
        let Steps { done, refused, undecided } = requests.steps;
        for (end, counted) in [("done", done), ("refused", refused), ("undecided", undecided)] {
            count(family.encode_family(&[("name", *name), ("end", end)])?, counted)?;
        }
    }
    Ok(())
}

fn counters(figures: &Figures, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let counters = [
        ("starts_intended", "Work that was meant to start so far.", figures.intended()),
        ("starts_late", "Of these, started later than the profile allows.", figures.late),
        ("starts_unsent", "Of these, never started, because the deadline came first.", figures.unsent),
        ("retries", "Requests beyond each tap's first.", figures.retries),
    ];
    for (name, help, counted) in counters {
        count(encoder.encode_descriptor(name, help, None, MetricType::Counter)?, counted)?;
    }
    Ok(())
}

fn gauges(reading: Reading, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let Reading { cpu_ratio, timer_lag, open_fds } = reading;
    let lag = timer_lag.as_secs_f64();
    let gauges = [
        ("cpu_ratio", "Of all cores that the load generator may use, in the latest second.", cpu_ratio),
        ("timer_lag_seconds", "How late the latest of its timers was, in the latest second.", lag),
        ("open_fds", "Descriptors that it has open.", open_fds as f64),
    ];
    for (name, help, value) in gauges {
        encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
    }
    Ok(())
}

fn moments(moments: &Moments, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
    let help = "When the run started, the sale opened and the run ended, in Unix time by the server's clock; absent before.";
    let mut family = encoder.encode_descriptor("moment_timestamp_seconds", help, None, MetricType::Gauge)?;
    for (moment, at) in moments.come() {
        let seconds = at.as_millisecond() as f64 / 1000.0;
        family.encode_family(&[("moment", moment)])?.encode_gauge(&seconds)?;
    }
    Ok(())
}

fn count(mut encoder: MetricEncoder<'_>, counted: u64) -> Result<(), Error> {
    encoder.encode_counter::<NoLabelSet, _, f64>(&counted, None)
}
