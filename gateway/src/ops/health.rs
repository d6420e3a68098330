//! Whether this gateway shall get traffic, and if not, why.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use deadpool_redis::Pool;

use crate::ledger::checkout;
use crate::ledger::follow::CaughtUp;

/// The follower may be this far behind before we call ourselves not ready. Longer than the longest
/// age at which memory decides, so that a short stall does not take all gateways out at once.
const BEHIND_MAX: Duration = Duration::from_secs(3);

/// What readiness depends on.
pub struct Health {
    /// For a `PING`.
    pub pool: Pool,
    /// Whether the scripts were loaded at the start.
    pub scripts_loaded: Arc<AtomicBool>,
    /// How far the follower is.
    pub caught_up: Arc<CaughtUp>,
    /// Whether we are on the way out.
    pub draining: Arc<AtomicBool>,
}

/// Why this gateway is not ready, as it was found last: for other threads, and for whoever can't wait.
#[derive(Debug)]
pub struct Readiness(ArcSwap<Vec<String>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(vec!["it has just been started".to_owned()]))
    }
}

impl Readiness {
    /// Empty when it is ready.
    #[must_use]
    pub fn reasons(&self) -> Arc<Vec<String>> {
        self.0.load_full()
    }

    /// Notes what was found.
    pub fn set(&self, reasons: Vec<String>) {
        if **self.0.load() != reasons {
            self.0.store(Arc::new(reasons));
        }
    }
}

impl Health {
    /// Why this gateway is not ready; empty when it is.
    pub async fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.draining.load(Ordering::Relaxed) {
            reasons.push("draining".to_owned());
        }
        if let Err(failure) = checkout(&self.pool).await {
            reasons.push(failure.to_string());
        }
        if !self.scripts_loaded.load(Ordering::Relaxed) {
            reasons.push("the scripts are not loaded".to_owned());
        }
        match self.caught_up.age() {
            None => reasons.push("the journal has not been read to its end yet".to_owned()),
            Some(age) if age > BEHIND_MAX => {
                reasons.push(format!("the journal was last read to its end {} ms ago", age.as_millis()));
            }
            Some(_) => {}
        }
        reasons
    }
}
