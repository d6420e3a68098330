//! Pauses between tries: exponential, with full jitter.

use std::time::Duration;

/// The longest first pause, and the longest of all.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);

/// The pauses of one row of failures.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        let longest = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // Never nothing: a cause that fails at once must not take a core.
        longest.mul_f64(0.1 + 0.9 * fastrand::f64())
    }

    /// It worked: the next row starts anew. Whether there was one.
    pub(crate) fn reset(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, FIRST, LONGEST};

    #[test]
    fn pauses_grow_up_to_the_longest_and_start_anew() {
        let mut backoff = Backoff::default();
        assert!(!backoff.reset());
        assert!(backoff.pause() <= FIRST);
        let pauses: Vec<_> = (0..10_000).map(|_| backoff.pause()).collect();
        assert!(pauses.iter().all(|pause| !pause.is_zero() && *pause <= LONGEST));
        assert!(pauses.iter().any(|pause| *pause > LONGEST / 2));
        assert!(backoff.reset());
        assert!(backoff.pause() <= FIRST);
    }
}
