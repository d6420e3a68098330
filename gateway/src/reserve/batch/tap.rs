//! A request while it waits: its deadlines, and the one decision that its caller gets.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::reserve::batch::Batched;
use crate::telemetry::request_id::{self, RequestId};

/// A tap in the queue or in a batch, or another request that scripts decide in batches.
pub(crate) struct Tap<C: Batched> {
    /// The request id for log lines, if any.
    pub(crate) request: Option<RequestId>,
    pub(crate) command: C,
    pub(crate) deadlines: Deadlines,
    pub(crate) responder: Responder<C::Decision>,
}

/// The deadlines of a tap. All taps of a queue wait equally long.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// When it was queued.
    pub queued: Instant,
    /// After this it is not sent any more, and is shed.
    pub send: Instant,
    /// By then its caller has an answer, at worst "outcome unknown".
    pub answer: Instant,
}

impl<C: Batched> Tap<C> {
    /// Makes a tap, and the future of its decision.
    pub(crate) fn new(command: C, deadlines: Deadlines) -> (Self, PendingDecision<C::Decision>) {
        let slot = Rc::new(Slot::default());
        let (request, responder) = (request_id::current(), Responder(slot.clone()));
        (Self { request, command, deadlines, responder }, PendingDecision(slot))
    }
}

/// Delivers the decision.
pub(crate) struct Responder<A>(Rc<Slot<A>>);

impl<A> Responder<A> {
    /// Whether the tap has an answer already: that it was too late.
    pub(crate) fn is_answered(&self) -> bool {
        self.0.filled.get()
    }

    /// Answers once. A caller that is gone does not receive it; the ledger has it.
    pub(crate) fn answer(&self, decision: A) {
        if !self.0.filled.replace(true) {
            *self.0.decision.borrow_mut() = Some(decision);
            wake(&self.0.waiter);
        }
    }
}

/// Holds the one decision.
struct Slot<A> {
    decision: RefCell<Option<A>>,
    filled: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl<A> Default for Slot<A> {
    fn default() -> Self {
        Self { decision: RefCell::new(None), filled: Cell::new(false), waiter: RefCell::new(None) }
    }
}

/// The future of a decision.
pub(crate) struct PendingDecision<A>(Rc<Slot<A>>);

impl<A> Future for PendingDecision<A> {
    type Output = A;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A> {
        if let Some(decision) = self.0.decision.borrow_mut().take() {
            return Poll::Ready(decision);
        }
        register(&self.0.waiter, cx);
        Poll::Pending
    }
}

pub(crate) fn register(waiter: &RefCell<Option<Waker>>, cx: &Context<'_>) {
    let mut waiter = waiter.borrow_mut();
    match &mut *waiter {
        Some(known) => known.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

pub(crate) fn wake(waiter: &RefCell<Option<Waker>>) {
    // Removed first: the woken task may register again at once.
    let waker = waiter.borrow_mut().take();
    if let Some(waker) = waker {
        waker.wake();
    }
}
