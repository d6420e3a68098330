//! The runtime of a thread: single-threaded, so that what runs on it shares memory without locks.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, LocalOptions};

/// Runs a future, and whatever it spawns locally, on this thread.
pub fn run<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    Ok(runtime.block_on(future))
}
