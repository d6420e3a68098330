//! Waits for the first byte of a connection before any resources are spent on it.

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::http::drain::Drain;
use crate::http::lingering_close::end_idle;
use crate::telemetry::labels::Ended;

/// Waits for the first byte; the error is the end of a connection without one. A byte has precedence over the drain: a
/// request that was sent is answered.
pub(super) async fn first_byte(
    first: impl Future<Output = std::io::Result<usize>>,
    deadline: Duration,
    drain: &Drain,
) -> Result<(), Ended> {
    let opened = Instant::now();
    tokio::select! {
        biased;
        read = tokio::time::timeout(deadline, first) => match read {
            Ok(Ok(1..)) => Ok(()),
            // The client closed it.
            Ok(Ok(0) | Err(_)) => Err(Ended::Dropped),
            Err(_) => Err(Ended::NothingSent),
        },
        () = drain.closes_unused(opened) => Err(Ended::Stopped),
    }
}

/// Ends a connection without a byte; in a drain a client of HTTP/1.1 gets a response.
pub(super) async fn end_unused(
    how: Ended,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    is_http1: bool,
    linger_bytes_max: usize,
) -> Ended {
    if how == Ended::Stopped && is_http1 {
        end_idle(stream, linger_bytes_max).await;
    }
    how
}
