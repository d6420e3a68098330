//! Takes the instants of an exchange at the socket, so that a gateway's time excludes the work of
//! this program before the write and after the read.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::rt::{Read, ReadBufCursor, Write};

/// When the first byte was about to go out, and when the last one had come in.
#[derive(Clone, Default)]
pub(super) struct Stamps(Arc<Mutex<(Option<Instant>, Option<Instant>)>>);

impl Stamps {
    /// Another exchange begins.
    pub(super) fn clear(&self) {
        *self.instants() = (None, None);
    }

    /// Of the exchange that has ended.
    pub(super) fn taken(&self) -> (Option<Instant>, Option<Instant>) {
        *self.instants()
    }

    fn instants(&self) -> MutexGuard<'_, (Option<Instant>, Option<Instant>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that stamps what goes over it.
pub(super) struct Stamped<S> {
    stream: S,
    stamps: Stamps,
}

impl<S> Stamped<S> {
    pub(super) fn new(stream: S, stamps: Stamps) -> Stamped<S> {
        Stamped { stream, stamps }
    }
}

impl<S: Read + Unpin> Read for Stamped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.stamps.instants().1 = Some(Instant::now());
        }
        read
    }
}

impl<S: Write + Unpin> Write for Stamped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stamps.instants().0.get_or_insert_with(Instant::now);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
