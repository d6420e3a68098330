//! Makes the schedule from the seed: fault, level, instant, duration and target. A launch depends
//! only on seed, fault, level and round, so a failed one can be repeated alone.

use clap::ValueEnum;
use serde::Serialize;
use testkit::options::{Level, Named};

use crate::faults::Fault;

/// Gateways of each launch.
pub(crate) const GATEWAYS: usize = 3;
/// From the opening to the fault, in ms; load arrives for longer than the latest fault lasts.
const AT_MS: std::ops::Range<u64> = 200..2_500;
/// How long a fault lasts, in ms.
const LASTS_MS: std::ops::Range<u64> = 400..2_500;

/// One launch and its fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Launch {
    pub(crate) seed: u64,
    pub(crate) round: u64,
    pub(crate) fault: Fault,
    pub(crate) level: Level,
    /// After the opening.
    pub(crate) at_ms: u64,
    pub(crate) lasts_ms: u64,
    /// Which gateway or replica, where there are several.
    pub(crate) target: usize,
    /// A number for whatever else a fault has to choose.
    pub(crate) size: u64,
    /// What the buyers decide by.
    pub(crate) buyers: u64,
}

impl Launch {
    fn new(seed: u64, round: u64, fault: Fault, level: Level) -> Self {
        let mut rng =
            fastrand::Rng::with_seed(mix(&format!("{seed} {round} {} {}", fault.name(), level.name())));
        Self {
            seed,
            round,
            fault,
            level,
            at_ms: if fault == Fault::Rewrite { 0 } else { rng.u64(AT_MS) },
            lasts_ms: rng.u64(LASTS_MS),
            target: rng.usize(0..GATEWAYS),
            size: rng.u64(1..=1_000),
            buyers: rng.u64(1..1 << 32),
        }
    }

    /// For the printed schedule.
    pub(crate) fn line(&self) -> String {
        format!(
            "{:<16} {:<8} {:>5} ms after the opening, for {:>4} ms, target {}, size {:>4}, buyers {}",
            self.fault.name(),
            self.level.name(),
            self.at_ms,
            self.lasts_ms,
            self.target + 1,
            self.size,
            self.buyers
        )
    }
}

/// All launches of a round, in an order that the seed makes, too.
pub(crate) fn round(seed: u64, round: u64, faults: &[Fault], levels: &[Level]) -> Vec<Launch> {
    let all = Fault::value_variants().iter().flat_map(|fault| {
        Level::value_variants().iter().map(move |level| Launch::new(seed, round, *fault, *level))
    });
    let mut all: Vec<Launch> =
        all.filter(|launch| launch.fault.is_not_applicable_at(launch.level).is_none()).collect();
    fastrand::Rng::with_seed(mix(&format!("{seed} {round}"))).shuffle(&mut all);
    all.retain(|launch| faults.contains(&launch.fault) && levels.contains(&launch.level));
    all
}

/// FNV-1a: the same on every machine and with every version of Rust.
fn mix(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
