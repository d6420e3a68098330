//! Limits the lines of each call site: a peer or a loop that fails repeatedly must not fill the disk.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines of a call site in each window.
const LINES_MAX: u32 = 200;
/// The same for debug and trace, which an operator has enabled.
const DEBUG_LINES_MAX: u32 = 6_000;
/// The length of a window.
const WINDOW: Duration = Duration::from_secs(60);

static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Number of lines left out before the one that is being written.
    static BEFORE: Cell<u64> = const { Cell::new(0) };
}

/// Lines left out so far.
pub(crate) fn left_out() -> u64 {
    LEFT_OUT.load(Ordering::Relaxed)
}

/// Lines left out before the one that is being written; resets the number.
pub(crate) fn left_out_before() -> u64 {
    BEFORE.take()
}

/// A layer that disables events of a call site over its limit.
#[derive(Default)]
pub(crate) struct Limit {
    /// One entry for each call site.
    call_sites: Mutex<HashMap<Identifier, CallSite>>,
}

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let most = if *event.metadata().level() > Level::INFO { DEBUG_LINES_MAX } else { LINES_MAX };
        let mut call_sites = self.call_sites.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let call_site = call_sites.entry(event.metadata().callsite()).or_insert(CallSite::new(now));
        let admitted = call_site.admit(now, most);
        match admitted {
            Some(before) => BEFORE.set(before),
            None => drop(LEFT_OUT.fetch_add(1, Ordering::Relaxed)),
        }
        admitted.is_some()
    }
}

/// The window of a call site.
struct CallSite {
    since: Instant,
    written: u32,
    left_out: u64,
}

impl CallSite {
    fn new(now: Instant) -> Self {
        Self { since: now, written: 0, left_out: 0 }
    }

    /// Admits a line: then with the number of those left out before it.
    fn admit(&mut self, now: Instant, most: u32) -> Option<u64> {
        if now.saturating_duration_since(self.since) >= WINDOW {
            (self.since, self.written) = (now, 0);
        }
        if self.written == most {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests;
