//! Counts the requests that are in flight, for progress and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many there are now; cheap to clone for readers.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<AtomicU64>);

/// One request, until it is dropped.
pub(super) struct Counted<'a>(&'a AtomicU64);

impl InFlight {
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn count(&self) -> Counted<'_> {
        self.0.fetch_add(1, Relaxed);
        Counted(&self.0)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
