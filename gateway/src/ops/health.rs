//! Whether this gateway shall get traffic, and if not, why.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::ConnectionLike;

use crate::ledger::durability::{Durability, Setting, is_replica};
use crate::ledger::follow::CaughtUp;
use crate::ledger::outage::Outage;
use crate::ledger::scripts::Failure;
use crate::ledger::{Pool, checkout};

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
    /// Whether Redis keeps what an acknowledgement promises.
    pub durability: Durable,
}

/// Looks whether Redis is set as safe as was asked for, and says in the log when that changes.
pub struct Durable {
    level: Durability,
    short: Outage,
    is_hidden: Cell<bool>,
}

impl Durable {
    /// At this level.
    #[must_use]
    pub fn new(level: Durability) -> Self {
        let short = Outage::of("acknowledged changes are less safe than was asked for");
        Self { level, short, is_hidden: Cell::new(false) }
    }

    /// What falls short, in words.
    async fn problem(&self, conn: &mut impl ConnectionLike) -> Option<String> {
        let problem = match self.level.check(conn).await {
            Ok(Setting::Kept) => None,
            Ok(Setting::Hidden(why)) => {
                if !self.is_hidden.replace(true) {
                    let level = self.level;
                    tracing::warn!(%level, why, "whether Redis is set so can't be seen: ask whoever runs it");
                }
                None
            }
            Ok(Setting::Short(what)) => Some(format!("durability {} is asked for, and {what}", self.level)),
            Err(error) => Some(format!("whether durability {} is kept is not known: {error}", self.level)),
        };
        match &problem {
            Some(problem) => self.short.goes_on(problem),
            None => self.short.is_over(),
        }
        problem
    }
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
        match checkout(&self.pool).await {
            Ok(mut conn) => {
                reasons.extend(is_replica(&mut *conn).await);
                reasons.extend(self.durability.problem(&mut *conn).await);
            }
            Err(Failure::NotDone(why)) => reasons.push(why),
            Err(failure) => reasons.push(failure.to_string()),
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
