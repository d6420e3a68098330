//! The runtime of a thread: single-threaded, so that what runs on it shares memory without locks.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, LocalOptions};

/// Sockets that are taken up at once. When very many are ready, the rest waits in the kernel, in order, and not as tasks:
/// a batch that Redis has answered would wait behind all of those, and so would its next one.
const READY_MAX: usize = 64;

/// Runs a future, and whatever it spawns locally, on this thread.
pub fn run<F: Future>(future: F) -> io::Result<F::Output> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().max_io_events_per_tick(READY_MAX).event_interval(4 * READY_MAX as u32);
    Ok(builder.build_local(LocalOptions::default())?.block_on(future))
}
