//! A stream whose reads and writes are observed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Sees what passes through the stream of a connection.
pub(super) trait Observer: Unpin {
    /// Bytes that arrived, none at the end; an error ends the connection.
    fn read(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// A write or a flush waits for the client (`None`), or is over and sent so many bytes.
    fn wrote(&mut self, bytes: Option<usize>);
}

/// A stream and its observer.
pub(super) struct ObservedIo<S, O> {
    stream: S,
    observer: O,
}

impl<S, O: Observer> ObservedIo<S, O> {
    pub(super) fn new(stream: S, observer: O) -> Self {
        Self { stream, observer }
    }

    /// The stream itself.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn note(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.observer.wrote(match &written {
            Poll::Pending => None,
            Poll::Ready(written) => Some(written.as_ref().map_or(0, |bytes| *bytes)),
        });
        written
    }
}

impl<S: AsyncRead + Unpin, O: Observer> AsyncRead for ObservedIo<S, O> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, into))?;
        Poll::Ready(this.observer.read(&into.filled()[before..]))
    }
}

impl<S: AsyncWrite + Unpin, O: Observer> AsyncWrite for ObservedIo<S, O> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(flushed.map_ok(|()| 0)).map_ok(drop)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
