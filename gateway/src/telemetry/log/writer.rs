//! Writes log lines to standard error on its own thread, so that a slow reader delays no other thread.

use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes of queued lines; beyond it lines are dropped and counted.
pub(crate) const WAITING_BYTES_MAX: usize = 1 << 20;
/// Delay before a write to a full non-blocking descriptor is repeated.
const FULL_RETRY: Duration = Duration::from_millis(20);

static QUEUE: LogQueue = LogQueue::new();
static HAS_WRITER: AtomicBool = AtomicBool::new(false);

/// Starts the writer thread.
pub(crate) fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let started = thread::Builder::new().name("log".to_owned()).spawn(|| QUEUE.write_to(io::stderr()));
        // Without the thread all lines are dropped, and counted once the queue is full.
        HAS_WRITER.store(started.is_ok(), Ordering::Relaxed);
    });
}

/// Queues a line, line end included.
pub(crate) fn push(line: &[u8]) {
    QUEUE.push(line);
}

/// Waits until all queued lines are written, at most this long.
pub(crate) fn flush(most: Option<Duration>) {
    if HAS_WRITER.load(Ordering::Relaxed) {
        QUEUE.flush(most);
    }
}

/// Lines dropped so far.
pub(crate) fn dropped() -> u64 {
    QUEUE.dropped.load(Ordering::Relaxed)
}

/// The writer of a log layer: each event is one write.
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The queue of one output.
struct LogQueue {
    state: Mutex<WriterState>,
    changed: Condvar,
    dropped: AtomicU64,
}

struct WriterState {
    waiting: Vec<u8>,
    is_writing: bool,
}

impl LogQueue {
    const fn new() -> Self {
        let state = WriterState { waiting: Vec::new(), is_writing: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), dropped: AtomicU64::new(0) }
    }

    /// A panicking thread leaves whole lines behind.
    fn state(&self) -> MutexGuard<'_, WriterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > WAITING_BYTES_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.waiting.extend_from_slice(line);
        drop(state);
        self.changed.notify_all();
    }

    fn flush(&self, most: Option<Duration>) {
        let is_busy = |state: &mut WriterState| !state.waiting.is_empty() || state.is_writing;
        let state = self.state();
        match most {
            Some(most) => drop(self.changed.wait_timeout_while(state, most, is_busy)),
            None => drop(self.changed.wait_while(state, is_busy)),
        }
    }

    /// Writes queued lines, for ever.
    fn write_to(&self, mut out: impl Write) {
        let mut reported = 0;
        loop {
            reported = self.write_once(&mut out, reported);
        }
    }

    /// Waits for lines, writes them, and logs the number of dropped ones once possible. Returns the
    /// number logged so far.
    fn write_once(&self, out: &mut impl Write, reported: u64) -> u64 {
        let is_empty = |state: &mut WriterState| state.waiting.is_empty();
        let waited = self.changed.wait_while(self.state(), is_empty);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let lines = mem::take(&mut state.waiting);
        state.is_writing = true;
        drop(state);
        let lost = write_all(out, &lines);
        let dropped = self.dropped.fetch_add(lost, Ordering::Relaxed) + lost;
        let is_news = lost == 0 && dropped > reported;
        if is_news {
            let lines = dropped - reported;
            tracing::warn!(lines, "log lines were dropped: standard error was not read, or a write failed");
        }
        self.state().is_writing = false;
        self.changed.notify_all();
        if is_news { dropped } else { reported }
    }
}

/// Returns the number of lines that were not written.
fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> u64 {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(written) if written > 0 => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(FULL_RETRY),
            Ok(_) | Err(_) => return memchr::memchr_iter(b'\n', bytes).count() as u64,
        }
    }
    0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
