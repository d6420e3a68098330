//! Describes latencies by their quantiles.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::span;
use crate::figures::Latency;

/// Quantiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many samples.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    pub(crate) fn of(latency: &Latency) -> Quantiles {
        let ms = |span: Option<Duration>| span.map_or(0.0, |span| span.as_micros() as f64 / 1000.0);
        Quantiles {
            count: latency.count(),
            mean: ms(latency.mean()),
            p50: ms(latency.at(0.5)),
            p90: ms(latency.at(0.9)),
            p99: ms(latency.at(0.99)),
            p999: ms(latency.at(0.999)),
            max: ms(latency.max()),
        }
    }

    /// For the terminal.
    pub(crate) fn words(&self) -> String {
        if self.count == 0 {
            return "none".to_owned();
        }
        let [p50, p99, p999, max] = [self.p50, self.p99, self.p999, self.max].map(span::words_of_ms);
        format!("p50 {p50}, p99 {p99}, p99.9 {p999}, max {max}")
    }
}
