//! What a connection of HTTP/2 may send besides requests and their bodies: counted where its bytes come in.
//!
//! h2 answers PING and SETTINGS, applies WINDOW_UPDATE, and drops what it does not know, one frame at a
//! time and without end; each costs the sender nothing and us a little. So does a request that is taken
//! back at once, over and over (rapid reset, CVE-2023-44487): h2 bounds only those that it has not
//! handed on yet. So every frame costs, and what brings a connection forward earns. What h2 bounds
//! itself stays with it; see the limits in `http2.rs`.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a connection begins with, and can have at most: a burst of as many control frames.
const BUDGET_MAX: u32 = 4_096;
/// What a frame costs that is not DATA (h2 bounds small and empty ones).
const FRAME_COST: u32 = 1;
/// What an RST_STREAM costs: somebody may take back a good 100 requests at once, or every other one for ever.
const RESET_COST: u32 = 32;
/// What a request earns that has come to a handler: with its HEADERS, some WINDOW_UPDATEs, a PING or two.
const REQUEST_EARNS: u32 = 16;
/// Bytes of answers that earn a frame: whoever reads them sends WINDOW_UPDATEs.
const BYTES_EARN_ONE: usize = 4_096;

/// The client's preface (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;
/// A frame's head (section 4.1): length, type, flags, stream.
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const RST_STREAM: u8 = 3;

/// What is left; shared with whoever sees the requests.
pub(super) struct Budget(Cell<u32>);

impl Budget {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self(Cell::new(BUDGET_MAX)))
    }

    /// A request has come to a handler.
    pub(super) fn request(&self) {
        self.earn(REQUEST_EARNS);
    }

    fn earn(&self, frames: u32) {
        self.0.set(self.0.get().saturating_add(frames).min(BUDGET_MAX));
    }

    /// Whether there was enough.
    fn spend(&self, cost: u32) -> bool {
        let left = self.0.get().checked_sub(cost);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// Finds the frames in a stream of bytes.
struct Frames {
    /// Bytes of the preface or of a payload that are still to come.
    skip: usize,
    head: [u8; HEAD_BYTES],
    /// How much of the head is there.
    there: usize,
}

impl Frames {
    fn new() -> Self {
        Self { skip: PREFACE_BYTES, head: [0; HEAD_BYTES], there: 0 }
    }

    /// Pays for the frames that begin in these bytes; whether that was possible.
    fn pay(&mut self, mut bytes: &[u8], budget: &Budget) -> bool {
        loop {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = &bytes[passed..];
            let wanted = (HEAD_BYTES - self.there).min(bytes.len());
            self.head[self.there..self.there + wanted].copy_from_slice(&bytes[..wanted]);
            self.there += wanted;
            bytes = &bytes[wanted..];
            if self.there < HEAD_BYTES {
                return true;
            }
            self.there = 0;
            let [high, middle, low, kind, ..] = self.head;
            self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            let cost = match kind {
                DATA => 0,
                RST_STREAM => RESET_COST,
                _ => FRAME_COST,
            };
            if !budget.spend(cost) {
                return false;
            }
        }
    }
}

/// A connection's stream, whose reader gets an error once the budget is spent. The stream stays with
/// whoever made it, to be closed in good order.
pub(super) struct BudgetedIo<IO> {
    stream: Rc<RefCell<IO>>,
    budget: Rc<Budget>,
    frames: Frames,
    written: usize,
}

impl<IO> BudgetedIo<IO> {
    pub(super) fn new(stream: Rc<RefCell<IO>>, budget: Rc<Budget>) -> Self {
        Self { stream, budget, frames: Frames::new(), written: 0 }
    }

    fn count(&mut self, written: usize) {
        self.written += written;
        let earned = self.written / BYTES_EARN_ONE;
        if earned > 0 {
            self.written %= BYTES_EARN_ONE;
            self.budget.earn(u32::try_from(earned).unwrap_or(BUDGET_MAX));
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for BudgetedIo<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut *this.stream.borrow_mut()).poll_read(cx, buf))?;
        let is_paid = this.frames.pay(&buf.filled()[before..], &this.budget);
        Poll::Ready(if is_paid { Ok(()) } else { Err(io::Error::other("more frames than requests warrant")) })
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for BudgetedIo<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut *this.stream.borrow_mut()).poll_write(cx, buf))?;
        this.count(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut *this.stream.borrow_mut()).poll_write_vectored(cx, bufs))?;
        this.count(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
