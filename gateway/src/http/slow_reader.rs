//! Slow readers: hyper stops reading while a response waits, so they cost little, but it has no write
//! timeout, so they would cost it for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::head_timer::StreamTimer;

/// A stream that records in its timer when writes stop and resume, and what is read.
pub(super) struct SlowReaders<S> {
    stream: S,
    timer: StreamTimer,
}

impl<S> SlowReaders<S> {
    /// Records the writes to this stream.
    pub(super) fn new(stream: S, timer: StreamTimer) -> Self {
        Self { stream, timer }
    }

    /// The stream itself.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        if written.is_pending() {
            self.timer.start_write();
        } else {
            self.timer.stop_write();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SlowReaders<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if into.filled().len() > before {
            self.timer.note_read();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SlowReaders<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
