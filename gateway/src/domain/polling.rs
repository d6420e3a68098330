//! How often apps look at a sale: `poll_after_ms`, and the factor by which load stretches it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::domain::sale::Phase;

/// The values of `poll_after_ms`: few, since each change of it is a change of the page.
const STEPS_MS: [u64; 8] = [1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000];
/// The share of the distance to the opening after which a client looks again.
const SHARE_OF_DISTANCE: u64 = 4;
/// The longest interval without load.
const CALM_MS_MAX: u64 = 60_000;

/// `poll_after_ms`: clients wait a random half to all of it.
///
/// Before the opening it is a quarter of the distance: from 60 s down to 1 s. Load multiplies it, but no client sleeps
/// through the opening: it is never longer than the distance, or a second. So clients look again at random instants
/// before the opening, and each of them at most a second after it.
///
/// ```
/// use gateway::domain::polling::poll_after_ms;
/// use gateway::domain::sale::Phase;
/// assert_eq!(poll_after_ms(Phase::Upcoming, 3_600_000, 1), 60_000);
/// assert_eq!(poll_after_ms(Phase::Upcoming, 20_000, 1), 5_000);
/// assert_eq!(poll_after_ms(Phase::Upcoming, 20_000, 8), 20_000);
/// assert_eq!(poll_after_ms(Phase::Open, -5_000, 2), 2_000);
/// assert_eq!(poll_after_ms(Phase::Upcoming, -5_000, 2), 10_000);
/// ```
pub fn poll_after_ms(phase: Phase, until_open_ms: i64, load: u32) -> u64 {
    let until = until_open_ms.max(0).unsigned_abs();
    let (calm, most) = match phase {
        // Of a draw whose allocation is not over.
        Phase::Upcoming if until == 0 => (5_000, u64::MAX),
        Phase::Upcoming => ((until / SHARE_OF_DISTANCE).min(CALM_MS_MAX), until),
        Phase::Open => (1_000, u64::MAX),
        Phase::Paused | Phase::SoldOut => (5_000, u64::MAX),
        Phase::Closed => (CALM_MS_MAX, u64::MAX),
    };
    let wanted = (calm.max(STEPS_MS[0]) * u64::from(load)).min(most);
    STEPS_MS.into_iter().rev().find(|step| *step <= wanted).unwrap_or(STEPS_MS[0])
}

/// How long looks are counted before the factor changes.
const WINDOW: Duration = Duration::from_secs(2);
/// Looks at sales in a second and per worker that need no longer interval: a tenth of a core at most.
const LOOKS_PER_SECOND: u64 = 10_000;
/// The greatest factor.
const LOAD_MAX: u32 = 8;

/// The looks at sales at this gateway, as a factor of their interval: a power of two, so that it rarely changes.
#[derive(Debug)]
pub struct PollLoad {
    since: Instant,
    /// Looks in a window that need no longer interval.
    enough: u64,
    window: AtomicU64,
    looks: AtomicU64,
    factor: AtomicU32,
}

impl PollLoad {
    /// Without load, for so many workers.
    pub fn new(since: Instant, workers: usize) -> Self {
        let enough = LOOKS_PER_SECOND * WINDOW.as_secs() * workers.max(1) as u64;
        Self { since, enough, window: 0.into(), looks: 0.into(), factor: 1.into() }
    }

    /// Counts a look; the factor at this instant.
    pub fn note(&self, now: Instant) -> u32 {
        let window = now.saturating_duration_since(self.since).as_secs() / WINDOW.as_secs();
        let before = self.window.load(Ordering::Relaxed);
        // One look closes a window, whichever worker has it.
        if window > before
            && self.window.compare_exchange(before, window, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let looks = self.looks.swap(0, Ordering::Relaxed);
            let factor = self.factor.load(Ordering::Relaxed);
            let looks = if window == before + 1 { looks } else { 0 };
            self.factor.store(next_factor(factor, looks, self.enough), Ordering::Relaxed);
        }
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.factor.load(Ordering::Relaxed)
    }
}

/// Doubles above the limit. Halves where twice as many looks stay well below it, so that it does not swing.
fn next_factor(factor: u32, looks: u64, enough: u64) -> u32 {
    if looks > enough {
        (factor * 2).min(LOAD_MAX)
    } else if looks < enough / 3 {
        (factor / 2).max(1)
    } else {
        factor
    }
}

#[cfg(test)]
mod tests;
