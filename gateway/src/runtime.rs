//! The runtime of a thread: single-threaded, so that what runs on it shares memory without locks.

use std::future::Future;
use std::io;

use tokio::task::LocalSet;

/// Runs a future, and whatever it spawns locally, on this thread.
pub fn run<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(LocalSet::new().block_on(&runtime, future))
}
