//! Waits for the first byte of a connection before any resources are spent on it.

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::http::drain::Drain;
use crate::http::lingering_close::end_idle;
use crate::telemetry::labels::Ended;

/// The first event of a connection.
#[derive(PartialEq, Eq)]
pub(super) enum FirstByte {
    /// At least one byte arrived.
    Byte,
    /// The client closed it.
    Hangup,
    /// No byte arrived in time.
    Nothing,
    /// The drain ended before a byte arrived.
    Stop,
}

impl FirstByte {
    /// Ends a connection without a byte; in a drain a client of HTTP/1.1 gets a response.
    pub(super) async fn end(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        is_http1: bool,
        linger_bytes_max: usize,
    ) -> Ended {
        if self == Self::Stop && is_http1 {
            end_idle(stream, linger_bytes_max).await;
        }
        self.ended()
    }

    /// The cause that a connection without a byte is counted under.
    fn ended(&self) -> Ended {
        match self {
            Self::Byte | Self::Hangup => Ended::Dropped,
            Self::Nothing => Ended::NothingSent,
            Self::Stop => Ended::Stopped,
        }
    }
}

/// Waits for the first byte. A byte has precedence over the drain: a request that was sent is answered.
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
