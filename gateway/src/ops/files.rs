//! Watches the files that are reloaded while the gateway runs, and tracks which of them are invalid.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::fleet::alarm::{Alarm, Level};
use crate::telemetry::labels::WatchedFile;

/// Interval of reads of a file.
const INTERVAL: Duration = Duration::from_secs(2);

/// Every watched file, with the problems of its present content.
#[derive(Debug, Default)]
pub struct WatchedFiles {
    /// Empty: the file's content is in force.
    problems: Mutex<BTreeMap<&'static str, Vec<String>>>,
    /// The number of hang-ups before the latest read of each file.
    read: watch::Sender<BTreeMap<&'static str, u64>>,
}

impl WatchedFiles {
    /// Reloads a file at an interval and at every hang-up, for as long as the process lives. `reload`
    /// returns whether the content changed; invalid content does not replace the one in force. A problem
    /// counts after this many reads in a row, and after a hang-up at once.
    pub async fn watch<T: Send + Sync + 'static>(
        self: Arc<Self>,
        file: WatchedFile,
        (target, mut hangups): (Arc<T>, watch::Receiver<u64>),
        reload: fn(&T) -> Result<bool, Vec<String>>,
        reads_min: u32,
    ) {
        let file = WatchedFile::NAMES[file as usize];
        self.set(file, Vec::new(), false);
        self.read.send_modify(|read| _ = read.insert(file, 0));
        let (mut found, mut reads) = (Vec::new(), 0);
        loop {
            let asked = tokio::time::timeout(INTERVAL, hangups.changed()).await;
            let is_asked = asked.is_ok_and(|asked| asked.is_ok());
            let hangups = *hangups.borrow_and_update();
            let target = target.clone();
            // A read that panicked is no statement about the file.
            let Ok(read) = tokio::task::spawn_blocking(move || reload(&target)).await else { continue };
            if read == Ok(true) {
                tracing::info!(file, "read again: the new content is in force");
            }
            let problems = read.err().unwrap_or_default();
            reads = if problems == found { reads + 1 } else { 1 };
            if problems.is_empty() || reads >= reads_min || is_asked {
                self.set(file, problems.clone(), is_asked);
            }
            self.read.send_modify(|read| _ = read.insert(file, hangups));
            found = problems;
        }
    }

    /// Waits until every file was read after this many hang-ups.
    pub async fn wait_until_read(&self, hangups: u64) {
        let is_read = |read: &BTreeMap<_, u64>| read.values().all(|at| *at >= hangups);
        // The sender is here, so the wait can't fail.
        let _ = self.read.subscribe().wait_for(is_read).await;
    }

    /// Each file, and whether its present content is invalid.
    pub fn rejected(&self) -> Vec<(&'static str, bool)> {
        self.lock().iter().map(|(file, problems)| (*file, !problems.is_empty())).collect()
    }

    /// An alarm for each file whose present content is invalid.
    pub fn alarms(&self) -> Vec<Alarm> {
        let files = self.lock();
        let rejected = files.iter().filter(|(_, problems)| !problems.is_empty());
        let alarm = |(file, problems): (&&'static str, &Vec<String>)| {
            let text = format!(
                "The changed file of --{file} is invalid; its former content stays in force: {}. Correct the file.",
                problems.join("; ")
            );
            Alarm::new(Level::Warning, "file-rejected", text)
        };
        rejected.map(alarm).collect()
    }

    /// Records the problems of a file, and logs them when they begin, end, or on request.
    fn set(&self, file: &'static str, problems: Vec<String>, is_asked: bool) {
        let before = self.lock().insert(file, problems.clone()).unwrap_or_default();
        match (before.is_empty(), problems.is_empty()) {
            (_, false) if before != problems || is_asked => {
                tracing::error!(file, ?problems, "the file is invalid; its former content stays in force");
            }
            (false, true) => tracing::info!(file, "the file is valid again"),
            _ => {}
        }
    }

    /// A panic while the lock is held leaves consistent data behind.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Vec<String>>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
