//! The signals of a serving gateway: end, reload, and those it ignores.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::ops::files::WatchedFiles;
use crate::serve::service_manager;

/// Signals that would end the process by default. SIGXFSZ arrives when the log file has reached its size
/// limit; SIGPIPE is ignored from the start.
const IGNORED: [(&str, SignalKind); 4] = [
    ("SIGUSR1", SignalKind::user_defined1()),
    ("SIGUSR2", SignalKind::user_defined2()),
    ("SIGALRM", SignalKind::alarm()),
    ("SIGXFSZ", SignalKind::from_raw(25)),
];

/// The signal handlers, until the process ends.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// The number of hang-ups so far.
    hangups: watch::Sender<u64>,
}

impl Signals {
    /// Installs the handlers. Needs a runtime that runs local tasks.
    pub(crate) fn listen() -> io::Result<Self> {
        for (name, kind) in IGNORED {
            let mut ignored = signal(kind)?;
            tokio::task::spawn_local(async move {
                while ignored.recv().await.is_some() {
                    tracing::info!(signal = name, "a signal was ignored");
                }
            });
        }
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            hangups: watch::channel(0).0,
        })
    }

    /// A receiver that changes with every SIGHUP.
    pub(crate) fn hangups(&self) -> watch::Receiver<u64> {
        self.hangups.subscribe()
    }

    /// Waits for SIGTERM or SIGINT. SIGHUP has these files read again, and systemd gets a report when that is done.
    pub(crate) async fn end(&mut self, files: &WatchedFiles) {
        let mut is_reloading = false;
        loop {
            let asked = *self.hangups.borrow();
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP: keys, tokens and certificates are read again");
                    service_manager::report_reloading();
                    is_reloading = true;
                    self.hangups.send_modify(|count| *count += 1);
                }
                () = files.wait_until_read(asked), if is_reloading => {
                    service_manager::report_reloaded();
                    is_reloading = false;
                }
            }
        }
    }
}
