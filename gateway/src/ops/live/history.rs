//! The history of the live stream: a ring of the last quarter of an hour.

use std::collections::VecDeque;

use crate::ops::live::frame::{History, Now};

/// Seconds that are kept.
pub(super) const KEPT: usize = 900;
/// Models with a history of their own.
const MODELS: usize = 8;

/// One second of the charts.
#[derive(Debug, Clone)]
struct Point {
    time: i64,
    taps: Option<[f64; 5]>,
    latency: [Option<f64>; 4],
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
        let sale = now.sale.as_ref();
        let latency = &now.latency;
        self.0.push_back(Point {
            time,
            taps: now.taps.as_ref().map(|taps| {
                let groups = taps.per_second;
                [groups.won, groups.lost, groups.early, groups.away, groups.unknown]
            }),
            latency: [
                latency.winners.p50_ms,
                latency.winners.p99_ms,
                latency.losers.p50_ms,
                latency.losers.p99_ms,
            ],
            left: sale.and_then(|sale| sale.ledger.free),
            left_of: sale
                .map(|sale| sale.items.iter().take(models.min(MODELS)).map(|item| item.free).collect())
                .unwrap_or_default(),
        });
    }

    /// As columns.
    pub(super) fn columns(&self) -> History {
        let taps = |n: usize| self.0.iter().map(|point| point.taps.map(|taps| taps[n])).collect();
        let latency = |n: usize| self.0.iter().map(|point| point.latency[n]).collect();
        let models = self.0.iter().map(|point| point.left_of.len()).max().unwrap_or_default();
        let left_of = |n: usize| self.0.iter().map(|point| point.left_of.get(n).copied().flatten()).collect();
        History {
            time: self.0.iter().map(|point| point.time).collect(),
            won: taps(0),
            lost: taps(1),
            early: taps(2),
            away: taps(3),
            unknown: taps(4),
            won_p50: latency(0),
            won_p99: latency(1),
            lost_p50: latency(2),
            lost_p99: latency(3),
            left: self.0.iter().map(|point| point.left).collect(),
            left_of: (0..models).map(left_of).collect(),
        }
    }
}
