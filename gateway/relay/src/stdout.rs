//! Prints changes to standard output, one JSON object a line; after a fork the lost ones again, as `rescinded`.

use std::collections::{HashSet, VecDeque};
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::change::{Change, Page, START, position_of};
use crate::failure::Failure;
use crate::sink::{Sink, SinkError};
use crate::status::Status;
use crate::stop::Stop;

/// The newest changes that a fork can take back.
const REMEMBERED_MAX: usize = 10_000;
/// A reader that takes nothing for so long does not keep the program from its end.
const LAST_PAGE: Duration = Duration::from_secs(5);

/// Standard output. It keeps no cursor: a new process starts from `--from`.
pub(crate) struct Stdout<W = io::Stdout> {
    out: Arc<Mutex<W>>,
    status: Arc<Status>,
    stop: Stop,
    /// After which change this goes on; `None`: nothing was printed yet.
    cursor: Option<String>,
    /// What was printed last, for a fork.
    printed: VecDeque<Change>,
    /// The last cursor before what is remembered: of a line that is too old, or of `--from`.
    forgotten: String,
}

impl Stdout {
    pub(crate) fn new(from: Option<&str>, status: Arc<Status>, stop: Stop) -> Result<Self, Failure> {
        Self::on(io::stdout(), from, status, stop)
    }
}

impl<W: Write + Send + 'static> Stdout<W> {
    fn on(out: W, from: Option<&str>, status: Arc<Status>, stop: Stop) -> Result<Self, Failure> {
        let forgotten = from.unwrap_or(START).to_owned();
        position_of(&forgotten)?;
        let out = Arc::new(Mutex::new(out));
        Ok(Self { out, status, stop, cursor: None, printed: VecDeque::new(), forgotten })
    }

    /// Prints lines, so that the reader has all of them at once.
    async fn print<'l>(&mut self, lines: impl Iterator<Item = &'l Value>) -> Result<(), SinkError> {
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        let out = self.out.clone();
        let (sender, written) = oneshot::channel();
        // The runtime would wait for its own threads at the end, and a reader may never go on.
        let print = move || {
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = sender.send(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
        };
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::BrokenPipe => SinkError::ReaderGone,
            // How much of it the reader has got cannot be found out.
            _ => Failure::Outside(format!("standard output can't be written: {error}")).into(),
        };
        thread::Builder::new().spawn(print).map_err(failed)?;
        let given_up = async {
            self.stop.asked().await;
            tokio::time::sleep(LAST_PAGE).await;
        };
        tokio::select! {
            written = written => written.unwrap_or_else(|_| Err(io::Error::other("its thread has ended"))).map_err(failed),
            () = given_up => {
                tracing::warn!("the reader of standard output takes nothing: its last page may be cut");
                Err(SinkError::ReaderGone)
            }
        }
    }
}

impl<W: Write + Send + 'static> Sink for Stdout<W> {
    async fn position(&mut self) -> Result<Option<String>, SinkError> {
        Ok(self.cursor.clone())
    }

    async fn deliver(&mut self, page: &Page, _fence: u64) -> Result<(), SinkError> {
        self.print(page.changes.iter().map(|change| &change.line)).await?;
        self.status.delivered.fetch_add(page.changes.len() as u64, Relaxed);
        self.printed.extend(page.changes.iter().cloned());
        let surplus = self.printed.len().saturating_sub(REMEMBERED_MAX);
        if let Some(last) = self.printed.drain(..surplus).next_back() {
            self.forgotten = last.cursor;
        }
        self.cursor = Some(page.cursor.clone());
        Ok(())
    }

    async fn last_known(&mut self, changes: &[Change]) -> Result<Option<usize>, SinkError> {
        let remembered = self.printed.iter().map(|change| &*change.cursor);
        let printed: HashSet<&str> = remembered.chain([&*self.forgotten]).collect();
        Ok(changes.iter().rposition(|change| printed.contains(&*change.cursor)))
    }

    async fn rescind(&mut self, common: &str, _fence: u64) -> Result<(), SinkError> {
        let place = position_of(common)?;
        let kept = self.printed.partition_point(|change| change.position() <= place);
        let lost = self.printed.split_off(kept);
        let lines: Vec<Value> = lost.into_iter().rev().map(rescinded).collect();
        self.print(lines.iter()).await?;
        self.status.rescinded.fetch_add(lines.len() as u64, Relaxed);
        if place < position_of(&self.forgotten)? {
            return Err(Failure::No(format!(
                "the ledger lost changes that were printed earlier than those that were just rescinded, and this process \
                 does not remember them: take back in your system what comes after {common}, then go on with --from {common}"
            ))
            .into());
        }
        self.cursor = Some(common.to_owned());
        Ok(())
    }
}

/// The line that takes a lost one back.
fn rescinded(lost: Change) -> Value {
    let mut line = lost.line;
    line["rescinded"] = line["kind"].take();
    line["kind"] = "rescinded".into();
    line
}

#[cfg(test)]
mod tests;
