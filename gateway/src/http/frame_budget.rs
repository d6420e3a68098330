//! The frame budget of an HTTP/2 connection: control frames cost, requests and response bytes earn.
//!
//! h2 answers PING and SETTINGS, applies WINDOW_UPDATE and drops unknown frames without a limit. It
//! bounds rapid resets (CVE-2023-44487) only before a handler has the request. So every frame costs, and
//! progress earns. See `http2.rs` for the limits of h2 itself.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use crate::http::observed_io::Observer;

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

/// Pays for the frames of a connection; its reader gets an error once the budget is exhausted.
pub(super) struct FrameObserver {
    budget: Rc<Budget>,
    frames: Frames,
    written: usize,
}

impl FrameObserver {
    pub(super) fn new(budget: Rc<Budget>) -> Self {
        Self { budget, frames: Frames::new(), written: 0 }
    }
}

impl Observer for FrameObserver {
    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_paid = self.frames.pay(bytes, &self.budget);
        if is_paid { Ok(()) } else { Err(io::Error::other("more frames than requests warrant")) }
    }

    fn wrote(&mut self, bytes: Option<usize>) {
        self.written += bytes.unwrap_or(0);
        let earned = self.written / BYTES_EARN_ONE;
        if earned > 0 {
            self.written %= BYTES_EARN_ONE;
            self.budget.earn(u32::try_from(earned).unwrap_or(BUDGET_MAX));
        }
    }
}

#[cfg(test)]
mod tests;
