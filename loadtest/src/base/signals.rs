//! Handles SIGTERM and SIGHUP like Ctrl-C, which goose handles: they end a load, which is then
//! judged, and a wait after it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// Whether the program only waits, with its verdict.
static IS_LINGERING: AtomicBool = AtomicBool::new(false);
static LINGERED: Notify = Notify::const_new();

/// How many loads can be ended and judged; a search is one around its steps.
static LOADS: AtomicUsize = AtomicUsize::new(0);

/// A load is under way until this is dropped.
pub(crate) struct Loading(());

impl Loading {
    pub(crate) fn start() -> Loading {
        LOADS.fetch_add(1, Relaxed);
        Loading(())
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        LOADS.fetch_sub(1, Relaxed);
    }
}

/// Catches the signals from now on. The first one during a load ends the load; any other one ends
/// the program. SIGUSR1 and SIGUSR2 are ignored.
pub(crate) fn listen() -> io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind)?;
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if IS_LINGERING.load(Relaxed) {
                    LINGERED.notify_one();
                    continue;
                }
                if LOADS.load(Relaxed) == 0 || goose::is_killswitch_triggered() {
                    // As the shell shows a program that a signal has ended.
                    std::process::exit(128 + kind.as_raw_value());
                }
                goose::trigger_killswitch("a signal was received");
            }
        });
    }
    for kind in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
        // Caught is enough: what comes is not read.
        drop(signal(kind)?);
    }
    Ok(())
}

/// From now on a signal ends a wait: the program then ends with its verdict all the same.
pub(crate) struct Lingering(Signal);

impl Lingering {
    pub(crate) fn start() -> io::Result<Lingering> {
        // One that ended the load was handled: goose would end the program at the next one, with a code of its own.
        goose::reset_killswitch();
        let interrupts = signal(SignalKind::interrupt())?;
        IS_LINGERING.store(true, Relaxed);
        Ok(Lingering(interrupts))
    }

    /// Waits for so long, or for a signal.
    pub(crate) async fn wait(mut self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = LINGERED.notified() => {}
            _ = self.0.recv() => {}
        }
    }
}
