//! Lists the metrics with names, labels and buckets, and renders them for a scrape.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::figures::{Figures, Latency};
use crate::live::metrics::Moment;
use crate::self_monitoring::Reading;

/// Every name begins so.
const PREFIX: &str = "launchgate_loadtest";
/// Upper bounds of a tap's duration, in ms: from an answer of the read model to minutes of retries.
const BOUNDS_MS: [u64; 15] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000];

/// What a scrape shows, copied in one step.
#[derive(Debug)]
pub(crate) struct Scrape {
    outcomes: BTreeMap<Scenario, BTreeMap<Outcome, u64>>,
    /// Only of buyers: the waits of bots do not matter.
    durations: BTreeMap<Outcome, Latency>,
    requests: BTreeMap<String, u64>,
    started: u64,
    late: u64,
    unsent: u64,
    retries: u64,
    reading: Reading,
    moments: Vec<(Moment, Timestamp)>,
}

impl Scrape {
    pub(crate) fn of(
        figures: &Figures,
        requests: &[&str],
        reading: Reading,
        moments: Vec<(Moment, Timestamp)>,
    ) -> Scrape {
        let of_outcome = |wanted: Outcome| {
            (wanted, figures.latency(|scenario, outcome| scenario.is_honest() && outcome == wanted))
        };
        let of_scenario = |scenario: Scenario| {
            let counted = |outcome: Outcome| {
                let latency = figures.outcomes.get(&scenario).and_then(|outcomes| outcomes.get(&outcome));
                (outcome, latency.map_or(0, Latency::count))
            };
            (scenario, Outcome::ALL.into_iter().map(counted).collect())
        };
        let mut all_requests: BTreeMap<String, u64> =
            requests.iter().map(|name| ((*name).to_owned(), 0)).collect();
        all_requests.extend(figures.requests.iter().map(|(name, latency)| (name.clone(), latency.count())));
        Scrape {
            outcomes: Scenario::ALL.into_iter().map(of_scenario).collect(),
            durations: Outcome::ALL.into_iter().map(of_outcome).collect(),
            requests: all_requests,
            started: figures.lateness.count(),
            late: figures.late,
            unsent: figures.unsent,
            retries: figures.retries,
            reading,
            moments,
        }
    }

    /// In the text format of OpenMetrics.
    pub(crate) fn text(self) -> String {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }

    fn taps(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Taps that came to their outcome, by scenario and outcome.";
        let mut taps = encoder.encode_descriptor("taps", help, None, MetricType::Counter)?;
        for (scenario, outcomes) in &self.outcomes {
            for (outcome, taken) in outcomes {
                let labels = [("scenario", scenario.name()), ("outcome", outcome.name())];
                count(taps.encode_family(&labels)?, *taken)?;
            }
        }
        Ok(())
    }

    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "From the intended instant of a buyer's tap to its outcome, retries and waits included; bots left out.";
        let mut family =
            encoder.encode_descriptor("tap_duration_seconds", help, None, MetricType::Histogram)?;
        for (outcome, latency) in &self.durations {
            let (mut below, mut buckets) = (0, Vec::new());
            for bound in BOUNDS_MS.map(Duration::from_millis) {
                let up_to = latency.up_to(bound);
                buckets.push((bound.as_secs_f64(), up_to - below));
                below = up_to;
            }
            buckets.push((f64::INFINITY, latency.count() - below));
            let sum = latency.mean().unwrap_or_default().as_secs_f64() * latency.count() as f64;
            let labels = [("outcome", outcome.name())];
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                sum,
                latency.count(),
                &buckets,
                None,
            )?;
        }
        Ok(())
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "Requests that were answered, by name.";
        let mut requests = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for (name, answered) in &self.requests {
            count(requests.encode_family(&[("name", name.as_str())])?, *answered)?;
        }
        Ok(())
    }

    fn counters(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let counters = [
            ("starts_intended", "Work that was meant to start so far.", self.started + self.unsent),
            ("starts_late", "Of these, started later than the profile allows.", self.late),
            ("starts_unsent", "Of these, never started, because the deadline came first.", self.unsent),
            ("retries", "Requests beyond each tap's first.", self.retries),
        ];
        for (name, help, counted) in counters {
            count(encoder.encode_descriptor(name, help, None, MetricType::Counter)?, counted)?;
        }
        Ok(())
    }

    fn gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let Reading { cpu_ratio, timer_lag, open_fds } = self.reading;
        let gauges = [
            ("cpu_ratio", "Of all cores that the load generator may use, in the latest second.", cpu_ratio),
            (
                "timer_lag_seconds",
                "How late the latest of its timers was, in the latest second.",
                timer_lag.as_secs_f64(),
            ),
            ("open_fds", "Descriptors that it has open.", open_fds as f64),
        ];
        for (name, help, value) in gauges {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn moments(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let help = "When the run started, the sale opened and the run ended, in Unix time by the server's clock; absent before.";
        let mut moments =
            encoder.encode_descriptor("moment_timestamp_seconds", help, None, MetricType::Gauge)?;
        for (moment, at) in &self.moments {
            let seconds = at.as_millisecond() as f64 / 1000.0;
            moments.encode_family(&[("moment", moment.name())])?.encode_gauge(&seconds)?;
        }
        Ok(())
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        self.taps(&mut encoder)?;
        self.durations(&mut encoder)?;
        self.requests(&mut encoder)?;
        self.counters(&mut encoder)?;
        self.gauges(&mut encoder)?;
        self.moments(&mut encoder)
    }
}

fn count(mut encoder: MetricEncoder<'_>, counted: u64) -> Result<(), Error> {
    encoder.encode_counter::<NoLabelSet, _, f64>(&counted, None)
}
