//! Records latencies in an HDR histogram that is cheap while empty, adds up and can be written.

mod packed;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{
    DeserializeError, Deserializer as HdrReader, Serializer as _, V2DeflateSerializer, V2SerializeError,
    V2Serializer,
};
pub(crate) use packed::PackedLatency;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longer than any run, in µs.
const HIGHEST_US: u64 = 24 * 3600 * 1_000_000;
/// Two digits: a quantile is within 1 % of what was measured, which is more than a shared machine is steady to.
const DIGITS: u8 = 2;
/// Points of a distribution in each half of what is left up to 1, as other tools of HDR histograms write it.
const TICKS_PER_HALF: u32 = 5;

/// Latencies, in µs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency(Option<Box<Histogram<u32>>>);

impl Latency {
    pub(crate) fn record(&mut self, took: Duration) {
        if self.0.is_none() {
            // It grows as far as it has to.
            let Ok(mut histogram) = Histogram::new_with_bounds(1, 2_000, DIGITS) else { return };
            histogram.auto(true);
            self.0 = Some(Box::new(histogram));
        }
        if let Some(histogram) = &mut self.0 {
            let us = u64::try_from(took.as_micros()).unwrap_or(HIGHEST_US).min(HIGHEST_US);
            let _ = histogram.record(us);
        }
    }

    pub(crate) fn add(&mut self, other: &Latency) {
        match (&mut self.0, &other.0) {
            (_, None) => {}
            (None, Some(_)) => self.0.clone_from(&other.0),
            (Some(own), Some(more)) => {
                let _ = own.add(more.as_ref());
            }
        }
    }

    /// What was recorded since this was as `earlier` is; nothing if it never was.
    pub(crate) fn since(&self, earlier: &Latency) -> Latency {
        let Some(less) = &earlier.0 else { return self.clone() };
        let Some(mut own) = self.0.clone() else { return Latency::default() };
        match own.subtract(less.as_ref()) {
            Ok(()) => Latency(Some(own)),
            Err(_) => Latency::default(),
        }
    }

    /// How many took no longer than this, to the histogram's resolution.
    pub(crate) fn up_to(&self, bound: Duration) -> u64 {
        let us = u64::try_from(bound.as_micros()).unwrap_or(HIGHEST_US);
        self.0.as_ref().map_or(0, |histogram| histogram.count_between(0, us))
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, |histogram| histogram.len())
    }

    /// `None` without a single value. `quantile` is 0 to 1.
    pub(crate) fn at(&self, quantile: f64) -> Option<Duration> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(Duration::from_micros(histogram.value_at_quantile(quantile)))
    }

    pub(crate) fn max(&self) -> Option<Duration> {
        self.at(1.0)
    }

    pub(crate) fn mean(&self) -> Option<Duration> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(Duration::from_secs_f64(histogram.mean() / 1e6))
    }

    /// The distribution by quantiles, ever closer to 1: a value, its quantile, and how many are at most so long.
    pub(crate) fn distribution(&self) -> Vec<(Duration, f64, u64)> {
        let Some(histogram) = &self.0 else { return Vec::new() };
        let mut count = 0;
        let points = histogram.iter_quantiles(TICKS_PER_HALF).map(|point| {
            count += point.count_since_last_iteration();
            (Duration::from_micros(point.value_iterated_to()), point.quantile_iterated_to(), count)
        });
        points.collect()
    }

    pub(crate) fn deviation(&self) -> Duration {
        Duration::from_secs_f64(self.0.as_ref().map_or(0.0, |histogram| histogram.stdev()) / 1e6)
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |histogram| histogram.distinct_values() * size_of::<u32>())
    }

    /// In the HDR format V2, uncompressed; nothing of none.
    fn to_bytes(&self) -> Result<Vec<u8>, V2SerializeError> {
        let mut bytes = Vec::new();
        if let Some(histogram) = &self.0 {
            V2Serializer::new().serialize(histogram, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// Reads the HDR format V2, compressed or not.
    fn from_bytes(mut bytes: &[u8]) -> Result<Latency, DeserializeError> {
        if bytes.is_empty() {
            return Ok(Latency::default());
        }
        let mut histogram: Histogram<u32> = HdrReader::new().deserialize(&mut bytes)?;
        histogram.auto(true);
        Ok(Latency(Some(Box::new(histogram))))
    }
}

/// Written as the HDR histogram library's compressed format (V2) in base64, which its tools read, too.
impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        if let Some(histogram) = &self.0 {
            V2DeflateSerializer::new().serialize(histogram, &mut bytes).map_err(S::Error::custom)?;
        }
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Latency, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        Latency::from_bytes(&bytes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
