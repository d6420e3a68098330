//! Writes the series of one metric from its declaration.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::telemetry::list::{Metric, MetricKind};
use crate::telemetry::record::Sums;

/// One metric while its series are written.
pub(crate) struct Family<'a> {
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

    /// Writes an integer.
    pub(crate) fn put(&mut self, values: &[&str], n: i64) -> fmt::Result {
        // As a gauge even for a counter: the library would append `_total`, which the declared name has
        // already.
        self.series(values, |encoder| encoder.encode_gauge(&n))
    }

    pub(crate) fn count(&mut self, values: &[&str], n: u64) -> fmt::Result {
        self.put(values, i64::try_from(n).unwrap_or(i64::MAX))
    }

    pub(crate) fn flag(&mut self, values: &[&str], is_so: bool) -> fmt::Result {
        self.put(values, i64::from(is_so))
    }

    pub(crate) fn real(&mut self, values: &[&str], x: f64) -> fmt::Result {
        self.series(values, |encoder| encoder.encode_gauge(&x))
    }

    /// `unit` is the number of units of the sum in one of the metric.
    pub(crate) fn histogram(&mut self, values: &[&str], sums: &Sums, unit: f64) -> fmt::Result {
        let bounds = self.metric.buckets.iter().copied().chain([f64::INFINITY]);
        let mut counts = sums.counts.clone();
        counts.resize(self.metric.buckets.len() + 1, 0);
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let (sum, count) = (sums.sum as f64 / unit, sums.count());
        self.series(values, |encoder| encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None))
    }
}

/// Writes one metric.
pub(crate) fn family(
    encoder: &mut DescriptorEncoder<'_>,
    metric: &'static Metric,
    write: impl FnOnce(&mut Family<'_>) -> fmt::Result,
) -> fmt::Result {
    let kind = match metric.kind {
        MetricKind::Counter => MetricType::Counter,
        MetricKind::Gauge => MetricType::Gauge,
        MetricKind::Histogram => MetricType::Histogram,
    };
    let encoder = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
    write(&mut Family { metric, encoder })
}
