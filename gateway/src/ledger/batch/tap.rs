//! A tap while it waits: its place in the queue, its deadline, and the one answer that its caller gets.
//!
//! All on one thread, so there are no locks; and since all taps wait equally long at most, the first
//! of the queue is the first to be late, and one timer serves them all.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::{Decision, Wanted};
use crate::ledger::memory::PendingTap;

/// A tap in the queue or in a batch.
pub(super) struct Tap {
    pub(super) wanted: Wanted,
    pub(super) pending: PendingTap,
    pub(super) deadlines: Deadlines,
    pub(super) caller: Caller,
}

/// How long a tap waits. All taps of a queue wait equally long.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From then on it is not sent any more: its caller is told that nothing was taken.
    pub send: Instant,
    /// By then its caller has an answer, if only that the outcome is unknown.
    pub answer: Instant,
}

impl Tap {
    /// A tap, and what its caller waits for.
    pub(super) fn new(wanted: Wanted, pending: PendingTap, deadlines: Deadlines) -> (Self, Waiting) {
        let slot = Rc::new(Slot::default());
        (Self { wanted, pending, deadlines, caller: Caller(slot.clone()) }, Waiting(slot))
    }
}

/// Who gets the answer.
pub(super) struct Caller(Rc<Slot>);

impl Caller {
    /// Whether it was told something already: that it was too late.
    pub(super) fn is_answered(&self) -> bool {
        self.0.filled.get()
    }

    /// Answers, unless that was done before. A caller that is gone does not hear it; the ledger has it.
    pub(super) fn answer(&self, decision: Decision) {
        if !self.0.filled.replace(true) {
            *self.0.decision.borrow_mut() = Some(decision);
            wake(&self.0.waiter);
        }
    }
}

/// Room for the one answer.
#[derive(Default)]
struct Slot {
    decision: RefCell<Option<Decision>>,
    filled: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

/// What a caller waits for.
pub(super) struct Waiting(Rc<Slot>);

impl Future for Waiting {
    type Output = Decision;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Decision> {
        if let Some(decision) = self.0.decision.borrow_mut().take() {
            return Poll::Ready(decision);
        }
        register(&self.0.waiter, cx);
        Poll::Pending
    }
}

fn register(waiter: &RefCell<Option<Waker>>, cx: &Context<'_>) {
    let mut waiter = waiter.borrow_mut();
    match &mut *waiter {
        Some(known) => known.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

fn wake(waiter: &RefCell<Option<Waker>>) {
    // Taken out first: who is woken may register again at once.
    let waker = waiter.borrow_mut().take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The taps that wait for the next batch, first come first served.
pub(super) struct Line {
    taps: RefCell<VecDeque<Tap>>,
    taps_max: usize,
    delay_max: Duration,
    closed: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Line {
    /// Room for so many, who wait so long.
    pub(super) fn new(taps_max: usize, delay_max: Duration) -> Self {
        Self {
            taps: RefCell::default(),
            taps_max,
            delay_max,
            closed: Cell::new(false),
            waiter: RefCell::new(None),
        }
    }

    /// Lets a tap in at the end, or turns it away if there is no room, or if the first one already waits for half of
    /// what anybody may wait: more would come in than go out, and who comes now is better told so at once.
    pub(super) fn push(&self, tap: Tap) {
        let mut taps = self.taps.borrow_mut();
        let waits_long = |first: &Tap| tap.deadlines.send - first.deadlines.send > self.delay_max / 2;
        if taps.len() >= self.taps_max || taps.front().is_some_and(waits_long) {
            return tap.caller.answer(Decision::NotTaken);
        }
        taps.push_back(tap);
        drop(taps);
        wake(&self.waiter);
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.taps.borrow().is_empty()
    }

    /// No more taps will come.
    pub(super) fn close(&self) {
        self.closed.set(true);
        wake(&self.waiter);
    }

    /// Waits for taps, and moves up to `most` into the batch; `false` once none will come any more.
    pub(super) async fn take(&self, batch: &mut Vec<Tap>, most: usize) -> bool {
        std::future::poll_fn(|cx| {
            let mut taps = self.taps.borrow_mut();
            if taps.is_empty() && !self.closed.get() {
                register(&self.waiter, cx);
                return Poll::Pending;
            }
            let few = taps.len().min(most);
            batch.extend(taps.drain(..few));
            Poll::Ready(few > 0)
        })
        .await
    }

    /// When the first one will have waited too long, or whoever comes next, at the soonest.
    pub(super) fn first_deadline(&self) -> Instant {
        let first = self.taps.borrow().front().map(|tap| tap.deadlines.send);
        first.unwrap_or_else(|| Instant::now() + self.delay_max)
    }

    /// Turns away those who have waited too long: they were never sent.
    pub(super) fn turn_away_late(&self, now: Instant) {
        let mut taps = self.taps.borrow_mut();
        while taps.front().is_some_and(|tap| tap.deadlines.send <= now) {
            if let Some(tap) = taps.pop_front() {
                tap.caller.answer(Decision::NotTaken);
            }
        }
    }
}
