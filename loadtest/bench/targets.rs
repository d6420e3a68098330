//! Checks the targets: each a ratio or a figure of one round, judged by the median of all rounds.

use clap::ValueEnum;
use serde::Serialize;

use crate::cases::{CONNECTIONS, Case, MOST_CONNECTIONS};
use crate::figures::{Figures, Round, Side, Spread};

/// A target and what was measured.
#[derive(Serialize)]
pub(crate) struct Target {
    /// What is compared.
    pub(crate) name: &'static str,
    pub(crate) bound: f64,
    /// Whether the figure shall be at least, and not at most, the bound.
    pub(crate) at_least: bool,
    /// `None`: not measured in this run.
    pub(crate) measured: Option<Spread>,
}

impl Target {
    /// Whether it is met; `None` if it was not measured.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let median = self.measured?.median;
        Some(if self.at_least { median >= self.bound } else { median <= self.bound })
    }
}

/// With one worker.
fn row<'a>(round: &'a Round, side: Side, case: &str, connections: usize, level: &str) -> Option<&'a Figures> {
    let mut rows = round.rows.iter();
    let found = rows.find(|(row, _)| {
        let here = (row.side, row.case.as_str(), row.connections, row.workers, row.level);
        here == (side, case, connections, 1, level)
    });
    found.map(|(_, figures)| figures)
}

fn floor<'a>(round: &'a Round, case: &str) -> Option<&'a Figures> {
    row(round, Side::Floor, case, CONNECTIONS, "none")
}

fn gateway<'a>(round: &'a Round, case: &str) -> Option<&'a Figures> {
    row(round, Side::Gateway, case, CONNECTIONS, "none")
}

fn peer(round: &Round) -> Option<&Figures> {
    row(round, Side::Peer, "won", CONNECTIONS, "none")
}

/// Gateway's CPU per request of a case ÷ the floor's.
fn above_floor(round: &Round, case: &str, floor_case: &str) -> Option<f64> {
    Some(gateway(round, case)?.server_us / floor(round, floor_case)?.server_us)
}

fn both(figures: &Figures) -> f64 {
    figures.server_us + figures.redis_us
}

fn redis_floor(round: &Round, batch: u64, figure: &str) -> Option<f64> {
    round.redis_floor.iter().find(|reply| reply["batch"] == batch)?[figure].as_f64()
}

type Measure = fn(&Round) -> Option<f64>;

/// The targets (issue 3, of refusals issue 4, of recording issue 6): name, bound, whether at least,
/// and the measurement.
const TARGETS: &[(&str, f64, bool, Measure)] = &[
    ("gateway CPU per won reservation ÷ floor", 1.25, false, |r| above_floor(r, "won", "POST")),
    ("gateway CPU per refusal, sold out ÷ floor", 1.15, false, |r| above_floor(r, "sold out", "POST")),
    ("gateway CPU per refusal, not open ÷ floor", 1.15, false, |r| above_floor(r, "not open", "POST")),
    ("gateway CPU per status read ÷ floor", 1.05, false, |r| above_floor(r, "status", "GET")),
    ("requests/s won ÷ floor", 0.65, true, |r| {
        Some(gateway(r, "won")?.per_second / floor(r, "POST")?.per_second)
    }),
    ("gateway + Redis CPU per won ÷ peer's", 0.25, false, |r| {
        Some(both(gateway(r, "won")?) / both(peer(r)?))
    }),
    ("requests/s won with fsync ÷ peer without a file", 1.5, true, |r| {
        let synced = row(r, Side::Gateway, "won", CONNECTIONS, "fsync")?;
        Some(synced.per_second / peer(r)?.per_second)
    }),
    ("Redis CPU per won reservation, µs", 4.5, false, |r| Some(gateway(r, "won")?.redis_us)),
    ("Redis CPU, one script call a reservation ÷ won", 4.0, true, |r| {
        Some(redis_floor(r, 1, "redis_cpu_us")? / gateway(r, "won")?.redis_us)
    }),
    ("memory per idle connection, KiB", 12.0, false, |r| Some(r.idle_connection? / 1024.0)),
    ("ledger bytes per reservation", 300.0, false, |r| Some(gateway(r, "won")?.redis_bytes)),
    ("p99 won at 70 % of capacity ÷ floor at that rate", 3.0, false, |r| {
        let won = gateway(r, "won at 70 %")?.p99_us as f64;
        Some(won / floor(r, "POST at 70 %")?.p99_us as f64)
    }),
    ("p99 with 10,000 connections ÷ with 128, that rate", 2.0, false, |r| {
        let many = row(r, Side::Gateway, "won at 70 %", MOST_CONNECTIONS, "none")?.p99_us as f64;
        Some(many / gateway(r, "won at 70 %")?.p99_us as f64)
    }),
    ("the dearest refusal ÷ won, gateway + Redis CPU", 1.0, false, |r| {
        let refusals = Case::value_variants()
            .iter()
            .filter(|case| case.is_refusal() || case.admission_refusal().is_some());
        let dearest = refusals.filter_map(|case| gateway(r, &case.title())).map(both).reduce(f64::max)?;
        Some(dearest / both(gateway(r, "won")?))
    }),
    ("recording ÷ gateway CPU per won reservation", 0.03, false, |r| {
        Some(r.recording.as_ref()?["recording_us"].as_f64()? / gateway(r, "won")?.server_us)
    }),
    ("the generator's requests/s ÷ wrk's, on the floor", 0.9, true, |r| {
        Some(floor(r, "GET")?.per_second / r.wrk_per_second?)
    }),
];

/// Judges all rounds.
pub(crate) fn judge(rounds: &[Round]) -> Vec<Target> {
    let target = |&(name, bound, at_least, measure): &(&'static str, f64, bool, Measure)| {
        let measured = Spread::of(rounds.iter().filter_map(measure));
        Target { name, bound, at_least, measured }
    };
    TARGETS.iter().map(target).collect()
}
