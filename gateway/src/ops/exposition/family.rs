//! Writes the series of a metric from its declaration.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet};

use crate::telemetry::list::Metric;
use crate::telemetry::record::Sums;

/// Writes metrics.
pub(crate) struct MetricWriter<'a>(pub(crate) DescriptorEncoder<'a>);

impl MetricWriter<'_> {
    /// Writes one metric.
    pub(crate) fn family(
        &mut self,
        metric: &'static Metric,
        write: impl FnOnce(&mut Family<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let encoder = self.0.encode_descriptor(metric.name, metric.help, None, metric.kind)?;
        write(&mut Family { metric, encoder })
    }

    /// Writes a metric without labels.
    pub(crate) fn one(&mut self, metric: &'static Metric, value: impl Value) -> fmt::Result {
        self.family(metric, |family| family.put(&[], value))
    }

    /// Writes a metric without labels, without a series while there is no value.
    pub(crate) fn one_if(&mut self, metric: &'static Metric, value: Option<impl Value>) -> fmt::Result {
        self.family(metric, |family| value.map_or(Ok(()), |value| family.put(&[], value)))
    }

    /// Writes a metric with one label, by the index of each of its values.
    pub(crate) fn each<V: Value>(
        &mut self,
        metric: &'static Metric,
        value: impl Fn(usize) -> V,
    ) -> fmt::Result {
        self.family(metric, |family| family.each(&[], value))
    }
}

/// One metric while its series are written.
pub(crate) struct Family<'a> {
    metric: &'static Metric,
    encoder: MetricEncoder<'a>,
}

impl Family<'_> {
    /// Writes one series, with the values of its labels.
    pub(crate) fn put(&mut self, values: &[&str], value: impl Value) -> fmt::Result {
        if values.is_empty() {
            return value.write(self.metric, &mut self.encoder);
        }
        let names = self.metric.labels.iter().map(|label| label.name);
        let labels: Vec<(&str, &str)> = names.zip(values.iter().copied()).collect();
        value.write(self.metric, &mut self.encoder.encode_family(&labels)?)
    }

    /// Writes a series for each value of the last label, by its index; `before` has those of the others.
    pub(crate) fn each<V: Value>(&mut self, before: &[&str], value: impl Fn(usize) -> V) -> fmt::Result {
        let last = self.metric.labels[before.len()].values.unwrap_or_default();
        last.iter().enumerate().try_for_each(|(n, name)| self.put(&[before, &[*name]].concat(), value(n)))
    }
}

/// The value of a series.
pub(crate) trait Value {
    fn write(&self, metric: &Metric, encoder: &mut MetricEncoder<'_>) -> fmt::Result;
}

impl<V: EncodeGaugeValue> Value for V {
    /// As a gauge even for a counter: the library would append `_total`, which the declared name has
    /// already.
    fn write(&self, _: &Metric, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(self)
    }
}

impl Value for Sums {
    fn write(&self, metric: &Metric, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let bounds = metric.buckets.iter().copied().chain([f64::INFINITY]);
        let counts = self.counts.iter().copied().chain(std::iter::repeat(0));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        // Durations are counted in nanoseconds.
        let unit = if metric.unit == "seconds" { 1e9 } else { 1.0 };
        encoder.encode_histogram::<NoLabelSet>(self.sum as f64 / unit, self.count(), &buckets, None)
    }
}
