//! What a connection begins with, before it costs anything.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::http::drain::Drain;
use crate::telemetry::labels::Ended;

/// What a connection begins with.
#[derive(PartialEq, Eq)]
pub(super) enum FirstByte {
    /// A byte, or more.
    Byte,
    /// It was dropped.
    Hangup,
    /// Nothing in time.
    Nothing,
    /// Nothing before the end of a drain.
    Stop,
}

impl FirstByte {
    /// How a connection ended that did not begin.
    pub(super) fn ended(&self) -> Ended {
        match self {
            Self::Byte | Self::Hangup => Ended::Dropped,
            Self::Nothing => Ended::NothingSent,
            Self::Stop => Ended::Stopped,
        }
    }
}

/// Waits for the first byte. A byte that is there goes before the stop: a request that was sent is answered.
pub(super) async fn first_byte(
    first: impl Future<Output = std::io::Result<usize>>,
    deadline: Duration,
    drain: &Drain,
) -> FirstByte {
    let opened = Instant::now();
    tokio::select! {
        biased;
        read = tokio::time::timeout(deadline, first) => match read {
            Ok(Ok(1..)) => FirstByte::Byte,
            Ok(Ok(0) | Err(_)) => FirstByte::Hangup,
            Err(_) => FirstByte::Nothing,
        },
        () = drain.closes_unused(opened) => FirstByte::Stop,
    }
}
