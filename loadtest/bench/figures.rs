//! Figures of one load, of one round, and what several rounds come to: medians and spreads.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::generator::Outcome;

/// What one load came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// Answers.
    pub(crate) requests: u64,
    /// Answers a second.
    pub(crate) per_second: f64,
    /// Latencies in microseconds.
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    /// Microseconds of the server's CPU time a request.
    pub(crate) server_us: f64,
    /// Microseconds of Redis's CPU time a request.
    pub(crate) redis_us: f64,
    /// Commands that Redis was sent, a request.
    pub(crate) redis_commands: f64,
    /// By how much Redis's RAM grew, a request.
    pub(crate) redis_bytes: f64,
    /// Share of one core that the generator took: near 1, it was the limit.
    pub(crate) generator_busy: f64,
    /// How often each status came.
    pub(crate) statuses: BTreeMap<u16, u64>,
}

impl Figures {
    pub(crate) fn new(outcome: Outcome, server: Duration, redis: Duration, used: [u64; 2]) -> Self {
        let requests = outcome.requests as f64;
        let each_us = |time: Duration| time.as_secs_f64() * 1e6 / requests;
        let [redis_commands, redis_bytes] = used.map(|n| n as f64 / requests);
        let at = |quantile| outcome.quantile(quantile, |_| true);
        Self {
            requests: outcome.requests,
            per_second: requests / outcome.elapsed.as_secs_f64(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            server_us: each_us(server),
            redis_us: each_us(redis),
            redis_commands,
            redis_bytes,
            generator_busy: outcome.cpu.as_secs_f64() / outcome.elapsed.as_secs_f64(),
            statuses: outcome.statuses(),
        }
    }
}

/// The measured server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    /// Bare hyper.
    Floor,
    /// The gateway.
    Gateway,
    /// nginx, Lua and Redis.
    Peer,
}

/// What is measured: a row of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    pub(crate) side: Side,
    pub(crate) case: String,
    pub(crate) connections: usize,
    pub(crate) workers: usize,
    pub(crate) level: &'static str,
}

/// The figures of one round.
#[derive(Default, Serialize)]
pub(crate) struct Round {
    pub(crate) rows: Vec<(Row, Figures)>,
    /// What `redis_floor` printed, one a batch size.
    pub(crate) redis_floor: Vec<serde_json::Value>,
    /// What `recording` printed.
    pub(crate) recording: Option<serde_json::Value>,
    /// Bytes of RAM an idle connection.
    pub(crate) idle_connection: Option<f64>,
    /// Likewise, of bare hyper.
    pub(crate) idle_connection_floor: Option<f64>,
    /// Answers a second that wrk gets of the floor: what our generator is checked against.
    pub(crate) wrk_per_second: Option<f64>,
}

/// The middle of several values, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, least, most })
    }

    /// The middle of values; of none, not a number.
    pub(crate) fn median_of(values: impl IntoIterator<Item = f64>) -> f64 {
        Self::of(values).map_or(f64::NAN, |spread| spread.median)
    }
}

/// The median, and in brackets the least and the most; with two digits, or as many as asked for.
impl Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$}–{:.digits$})", self.median, self.least, self.most)
    }
}

#[cfg(test)]
mod tests;
