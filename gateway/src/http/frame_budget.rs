//! The frame budget of an HTTP/2 connection: control frames cost, requests and response bytes earn.
//!
//! h2 answers PING and SETTINGS, applies WINDOW_UPDATE and drops unknown frames without a limit. It
//! bounds rapid resets (CVE-2023-44487) only before a handler has the request. So every frame costs, and
//! progress earns. See `http2.rs` for the limits of h2 itself.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The initial and the largest budget: a burst of this many control frames.
const BUDGET_MAX: u32 = 4_096;
/// Cost of a frame that is not DATA (h2 bounds small and empty DATA).
const FRAME_COST: u32 = 1;
/// Cost of RST_STREAM: a client may cancel about 100 requests at once, or every other one for ever.
const RESET_COST: u32 = 32;
/// Earned by a request that reaches a handler: its HEADERS, some WINDOW_UPDATEs, a PING or two.
const REQUEST_EARNS: u32 = 16;
/// Response bytes that earn a frame: a client that reads them sends WINDOW_UPDATEs.
const BYTES_EARN_ONE: usize = 4_096;

/// The client's preface (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;
/// A frame header (section 4.1): length, type, flags, stream.
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const RST_STREAM: u8 = 3;

/// The remaining budget, shared by the reader of frames and the handler of requests.
pub(super) struct Budget(Cell<u32>);

impl Budget {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self(Cell::new(BUDGET_MAX)))
    }

    /// Earns for a request that reached a handler.
    pub(super) fn request(&self) {
        self.earn(REQUEST_EARNS);
    }

    fn earn(&self, frames: u32) {
        self.0.set(self.0.get().saturating_add(frames).min(BUDGET_MAX));
    }

    /// Spends from the budget; `false` if it is exhausted.
    fn spend(&self, cost: u32) -> bool {
        let left = self.0.get().checked_sub(cost);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// Finds the frames in a byte stream.
struct Frames {
    /// Bytes of the preface or of a payload that are still to come.
    skip: usize,
    head: [u8; HEAD_BYTES],
    /// How many bytes of the header have arrived.
    there: usize,
}

impl Frames {
    fn new() -> Self {
        Self { skip: PREFACE_BYTES, head: [0; HEAD_BYTES], there: 0 }
    }

    /// Spends for the frames that begin in these bytes; `false` if the budget is exhausted.
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

/// A connection's stream, whose reader gets an error once the budget is exhausted. The creator keeps the
/// stream, to close it in good order.
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
