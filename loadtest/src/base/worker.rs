//! Runs work on a thread of its own until it is to end.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

/// Dropping it lets the work end, but does not wait for that.
pub(crate) struct Worker {
    /// Dropping it ends the work.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// The work is to end when the receiver has lost its sender.
    pub(crate) fn start(name: &str, work: impl FnOnce(&Receiver<()>) + Send + 'static) -> io::Result<Worker> {
        let (stop, stopped) = channel();
        let thread = Builder::new().name(name.to_owned()).spawn(move || work(&stopped))?;
        Ok(Worker { stop, thread })
    }

    /// Waits for the end of the work. If it panicked, what it did until then holds.
    pub(crate) fn finish(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}
