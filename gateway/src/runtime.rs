//! The runtime of a thread: single-threaded, so that its tasks share data without locks.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};

/// The most ready sockets in one poll. The rest waits in the kernel, in order, and not as tasks:
/// those would delay a decided batch, and its successor.
const READY_MAX: usize = 64;

/// Runs a future, and the tasks that it spawns locally, on this thread.
pub fn run<F: Future>(future: F) -> io::Result<F::Output> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().max_io_events_per_tick(READY_MAX).event_interval(4 * READY_MAX as u32);
    Ok(builder.build_local(LocalOptions::default())?.block_on(future))
}

/// Shows other threads that a runtime turns: a count that goes up meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    beats: Arc<AtomicU64>,
    /// None: it is not observed, and costs nothing.
    every: Option<Duration>,
}

impl Pulse {
    /// One that goes up at this interval.
    pub fn every(interval: Duration) -> Self {
        Self { every: Some(interval), ..Self::default() }
    }

    /// How often it has gone up.
    pub fn count(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }
}

/// The same as [`run`], with a pulse.
pub fn run_observed<F: Future>(pulse: Pulse, future: F) -> io::Result<F::Output> {
    run(async move {
        if let Some(interval) = pulse.every {
            tokio::task::spawn_local(async move {
                loop {
                    pulse.beats.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(interval).await;
                }
            });
        }
        future.await
    })
}
