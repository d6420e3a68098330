//! Writes the request log: a line of JSON for each request that a buyer sent. `--replay` reads it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use serde::Serialize;

use crate::base::failure::Failure;
use crate::base::files;

/// A line; `plan/recording/request_log.rs` reads it.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// When it was sent, in µs after the opening.
    pub(crate) at_us: i64,
    /// The buyer's number in the run.
    pub(crate) buyer: usize,
    pub(crate) scenario: &'static str,
    /// As in the figures.
    pub(crate) name: &'static str,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) body: Option<String>,
    /// `None`: there was no answer.
    pub(crate) status: Option<u16>,
    pub(crate) took_us: u64,
}

/// A thread writes: a slow disk must not hold up the load.
pub(crate) struct RequestLog {
    writer: Mutex<Option<Writer>>,
    left_out: AtomicU64,
}

struct Writer {
    lines: SyncSender<Line>,
    thread: JoinHandle<std::io::Result<()>>,
}

/// So many lines may wait for the disk, some 50 MB.
const WAITING_MAX: usize = 100_000;

impl RequestLog {
    pub(crate) fn start(path: &Path) -> Result<RequestLog, Failure> {
        let file = BufWriter::new(File::create(path).map_err(files::unwritten(path))?);
        let (lines, received) = sync_channel(WAITING_MAX);
        let thread = Builder::new().name("request-log".to_owned()).spawn(move || write(file, &received));
        let thread = thread.map_err(files::unwritten(path))?;
        Ok(RequestLog { writer: Mutex::new(Some(Writer { lines, thread })), left_out: AtomicU64::new(0) })
    }

    pub(crate) fn push(&self, line: Line) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let is_taken = writer.as_ref().is_some_and(|writer| writer.lines.try_send(line).is_ok());
        if !is_taken {
            self.left_out.fetch_add(1, Relaxed);
        }
    }

    /// Waits until all is written. Returns what a reader of the log must know, if anything is missing.
    pub(crate) fn finish(&self) -> Option<String> {
        let Writer { lines, thread } = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        drop(lines);
        if let Ok(Err(error)) = thread.join() {
            return Some(format!("the request log is not complete: {error}"));
        }
        let left_out = self.left_out.load(Relaxed);
        (left_out > 0)
            .then(|| format!("the request log lacks {left_out} requests: the disk was too slow for it"))
    }
}

fn write(mut file: BufWriter<File>, lines: &Receiver<Line>) -> std::io::Result<()> {
    for line in lines {
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}
