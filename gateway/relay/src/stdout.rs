//! Prints changes to standard output, one JSON object a line; after a fork the lost ones again, as `rescinded`.

use std::collections::{HashSet, VecDeque};
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::Value;

use crate::change::{Change, Page, position_of};
use crate::failure::Failure;
use crate::sink::{Sink, SinkError};
use crate::status::Status;

/// The newest changes that a fork can take back.
const REMEMBERED_MAX: usize = 10_000;

/// Standard output. It keeps no cursor: a new process starts from `--from`.
pub(crate) struct Stdout<W = io::Stdout> {
    out: W,
    status: Arc<Status>,
    /// After which change this goes on; `None`: nothing was printed yet.
    cursor: Option<String>,
    /// What was printed last, for a fork.
    printed: VecDeque<Change>,
    /// What is not after this place is not remembered: an earlier process printed it, or it is too old.
    forgotten: (u64, u64),
}

impl Stdout {
    pub(crate) fn new(from: Option<&str>, status: Arc<Status>) -> Result<Self, Failure> {
        Self::on(io::stdout(), from, status)
    }
}

impl<W: Write> Stdout<W> {
    fn on(out: W, from: Option<&str>, status: Arc<Status>) -> Result<Self, Failure> {
        let forgotten = from.map_or(Ok((0, 0)), position_of)?;
        Ok(Self { out, status, cursor: None, printed: VecDeque::new(), forgotten })
    }

    /// Prints lines, so that the reader has all of them at once.
    fn print<'l>(&mut self, lines: impl Iterator<Item = &'l Value>) -> Result<(), SinkError> {
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        let printed = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        printed.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => SinkError::ReaderGone,
            // How much of it the reader has got cannot be found out.
            _ => Failure::Outside(format!("standard output can't be written: {error}")).into(),
        })
    }
}

impl<W: Write> Sink for Stdout<W> {
    async fn position(&mut self) -> Result<Option<String>, SinkError> {
        Ok(self.cursor.clone())
    }

    async fn deliver(&mut self, page: &Page, _fence: u64) -> Result<(), SinkError> {
        self.print(page.changes.iter().map(|change| &change.line))?;
        self.status.delivered.fetch_add(page.changes.len() as u64, Relaxed);
        self.printed.extend(page.changes.iter().cloned());
        let surplus = self.printed.len().saturating_sub(REMEMBERED_MAX);
        if let Some(last) = self.printed.drain(..surplus).next_back() {
            self.forgotten = last.position();
        }
        self.cursor = Some(page.cursor.clone());
        Ok(())
    }

    async fn last_known(&mut self, changes: &[Change]) -> Result<Option<usize>, SinkError> {
        let printed: HashSet<&str> = self.printed.iter().map(|change| &*change.cursor).collect();
        Ok(changes.iter().rposition(|change| printed.contains(&*change.cursor)))
    }

    async fn rescind(&mut self, common: &str, _fence: u64) -> Result<(), SinkError> {
        let place = position_of(common)?;
        let kept = self.printed.partition_point(|change| change.position() <= place);
        let lost = self.printed.split_off(kept);
        let lines: Vec<Value> = lost.into_iter().rev().map(rescinded).collect();
        self.print(lines.iter())?;
        self.status.rescinded.fetch_add(lines.len() as u64, Relaxed);
        if place < self.forgotten {
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
