//! SIGTERM and SIGINT: the page is finished, the lease released.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether the program is to end.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Catches the signals from now on. The second one ends the program at once.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                let number = tokio::select! {
                    _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
                    _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
                };
                if sender.send_replace(true) {
                    // As the shell shows a program that a signal has ended.
                    std::process::exit(128 + number);
                }
                tracing::info!("a signal was received: the page is finished, then this ends");
            }
        });
        Ok(Self(receiver))
    }

    /// Whether to end.
    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is to end.
    pub(crate) async fn asked(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|asked| *asked).await.is_err() {
            // Its sender lives as long as the program.
            std::future::pending::<()>().await;
        }
    }

    /// As the sender says.
    #[cfg(test)]
    pub(crate) fn by(receiver: watch::Receiver<bool>) -> Self {
        Self(receiver)
    }
}
