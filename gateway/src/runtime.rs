//! The runtime of a thread: single-threaded, so that its tasks share data without locks.

use std::future::Future;
use std::io;

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
