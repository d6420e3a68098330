//! Lingering close: a connection's last response arrives, within a bound of time and bytes.

use std::rc::Rc;
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::domain::problem;
use crate::http::connection_caps::CapExceeded;
use crate::http::listener::Listening;
use crate::http::respond::Refused;
use crate::http::server::Handler;
use crate::telemetry::labels::{Ended, Outcome};
use crate::telemetry::record::{AnswerClass, Why};
use crate::telemetry::request_id::RequestId;

/// How long a closing connection may take to send its last response and to be drained.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// Connections over the cap that may get their 503 at the same time, of one listener; more are closed
/// without one, so that a flood costs no more than that.
const TURNED_AWAY_MAX: usize = 256;
/// Bytes that are read of a connection over the cap: a request.
const TURNED_AWAY_BYTES_MAX: usize = 64 * 1024;

/// Closes a connection so that the last response arrives: closing with unread input sends a reset, at
/// which many clients drop what they have not read yet. So the connection is read for a moment, until the
/// client closes it. Returns whether any bytes arrived.
pub(super) async fn close(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    linger: Duration,
    bytes_max: usize,
) -> bool {
    // On the heap: in the future it would be kept for every open connection.
    let mut unread = vec![0; 4096];
    let mut has_come = false;
    let drain = async {
        // With TLS this waits for the last record.
        let _ = stream.shutdown().await;
        let mut left = bytes_max;
        while let Ok(read @ 1..) = stream.read(&mut unread).await
            && left > read
        {
            left -= read;
            has_come = true;
        }
    };
    let _ = tokio::time::timeout(linger, drain).await;
    has_come
}

/// Closes an idle HTTP/1.1 connection. A request may be in transit, and no response can follow the close;
/// so a 408 goes first, which means that it was not carried out (RFC 9110, section 15.5.9).
pub(super) async fn end_idle(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes_max: usize) -> bool {
    let late = Refused::new(
        problem::REQUEST_TIMEOUT,
        "The connection was idle and is closed. A request in transit was not carried out: send it again.",
    );
    let _ = tokio::time::timeout(LINGER, stream.write_all(&raw(late).await)).await;
    close(stream, LINGER, bytes_max).await
}

/// Ends a connection without a request; in a drain a client of HTTP/1.1 gets a response.
pub(super) async fn end_unused(
    how: Ended,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    is_http1: bool,
    bytes_max: usize,
) -> Ended {
    if how == Ended::Stopped && is_http1 {
        end_idle(stream, bytes_max).await;
    }
    how
}

/// Refuses a connection over a cap. In plain text it gets a 503, without a permit. With TLS there is no
/// response, because a handshake costs more than the cap saves.
pub(super) fn refuse<H: Handler>(
    listening: &Rc<Listening<H>>,
    mut stream: TcpStream,
    over: CapExceeded,
) -> Ended {
    let CapExceeded { shed, ended } = over;
    let (listening, turned_away) = (listening.clone(), listening.turned_away.get());
    if listening.settings.tls.is_some() || turned_away >= TURNED_AWAY_MAX {
        listening.handler.refused(Err(shed));
        return ended;
    }
    let outcome = Outcome::of(&problem::TEMPORARY_REDUCED_CAPACITY);
    listening.handler.refused(Ok(AnswerClass { outcome, why: Why::Shed(shed) }));
    listening.turned_away.set(turned_away + 1);
    tokio::task::spawn_local(async move {
        let answer = raw(Refused::not_taken(shed)).await;
        if let Ok(Ok(())) = tokio::time::timeout(LINGER, stream.write_all(&answer)).await {
            // Shorter than `LINGER`: there may be a flood of them.
            close(stream, LINGER / 10, TURNED_AWAY_BYTES_MAX).await;
        }
        listening.turned_away.set(listening.turned_away.get() - 1);
    });
    ended
}

/// A response as bytes, for connections that hyper does not serve.
pub(super) async fn raw(refused: Refused) -> Vec<u8> {
    let mut answer = refused.into_answer();
    RequestId::new().mark(answer.headers_mut());
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let reason = parts.status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", parts.status.as_u16()).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
        .extend_from_slice(format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    bytes
}
