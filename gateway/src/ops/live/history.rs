//! The history of the live stream: a ring of the last quarter of an hour.

use std::collections::VecDeque;

use crate::ops::live::frame::{History, Now};
use crate::ops::live::taps::{Groups, Latency};

/// Seconds that are kept.
pub(super) const KEPT: usize = 900;
/// Models with a history of their own.
const MODELS: usize = 8;

/// One second of the charts.
#[derive(Debug, Clone)]
struct Point {
    time: i64,
    /// Rates of won, lost, early, away and unknown taps; p50 and p99 of winners, then of losers.
    taps: [Option<f64>; 9],
    left: Option<i64>,
    left_of: Vec<Option<i64>>,
}

/// The latest seconds.
#[derive(Debug, Default)]
pub(super) struct HistoryRing(VecDeque<Point>);

impl HistoryRing {
    /// Records the line of this time (ms).
    pub(super) fn push(&mut self, time: i64, now: &Now, models: usize) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        let rate = |of: fn(&Groups) -> f64| now.taps.as_ref().map(|taps| of(&taps.per_second));
        let Latency { winners, losers } = &now.latency;
        let items = now.sale.as_ref().map(|sale| sale.items.as_slice()).unwrap_or_default();
        self.0.push_back(Point {
            time,
            taps: [
                rate(|groups| groups.won),
                rate(|groups| groups.lost),
                rate(|groups| groups.early),
                rate(|groups| groups.away),
                rate(|groups| groups.unknown),
                winners.p50_ms,
                winners.p99_ms,
                losers.p50_ms,
                losers.p99_ms,
            ],
            left: now.sale.as_ref().and_then(|sale| sale.ledger.free),
            left_of: items.iter().take(models.min(MODELS)).map(|item| item.free).collect(),
        });
    }

    /// As columns.
    pub(super) fn columns(&self) -> History {
        let time = self.0.iter().map(|point| point.time).collect();
        let [won, lost, early, away, unknown, won_p50, won_p99, lost_p50, lost_p99] =
            std::array::from_fn(|n| self.0.iter().map(|point| point.taps[n]).collect());
        let left = self.0.iter().map(|point| point.left).collect();
        let models = self.0.iter().map(|point| point.left_of.len()).max().unwrap_or_default();
        let left_of = |n: usize| self.0.iter().map(|point| point.left_of.get(n).copied().flatten()).collect();
        let left_of = (0..models).map(left_of).collect();
        History { time, won, lost, early, away, unknown, won_p50, won_p99, lost_p50, lost_p99, left, left_of }
    }
}
