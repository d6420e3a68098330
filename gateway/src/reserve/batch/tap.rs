//! A tap while it waits: its deadlines, and the one decision that its caller gets.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::domain::decision::{Decision, ReserveCommand};
use crate::projection::read_model::PendingTap;
use crate::telemetry::request_id::{self, RequestId};

/// A tap in the queue or in a batch.
pub(crate) struct Tap {
    /// The request id for log lines, if any.
    pub(crate) request: Option<RequestId>,
    pub(crate) command: ReserveCommand,
    pub(crate) pending: PendingTap,
    pub(crate) deadlines: Deadlines,
    pub(crate) responder: Responder,
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

impl Tap {
    /// Makes a tap, and the future of its decision.
    pub(crate) fn new(
        command: ReserveCommand,
        pending: PendingTap,
        deadlines: Deadlines,
    ) -> (Self, PendingDecision) {
        let slot = Rc::new(Slot::default());
        let (request, responder) = (request_id::current(), Responder(slot.clone()));
        (Self { request, command, pending, deadlines, responder }, PendingDecision(slot))
    }
}

/// Delivers the decision.
pub(crate) struct Responder(Rc<Slot>);

impl Responder {
    /// Whether the tap has an answer already: that it was too late.
    pub(crate) fn is_answered(&self) -> bool {
        self.0.filled.get()
    }

    /// Answers once. A caller that is gone does not receive it; the ledger has it.
    pub(crate) fn answer(&self, decision: Decision) {
        if !self.0.filled.replace(true) {
            *self.0.decision.borrow_mut() = Some(decision);
            wake(&self.0.waiter);
        }
    }
}

/// Holds the one decision.
#[derive(Default)]
struct Slot {
    decision: RefCell<Option<Decision>>,
    filled: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

/// The future of a decision.
pub(crate) struct PendingDecision(Rc<Slot>);

impl Future for PendingDecision {
    type Output = Decision;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Decision> {
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
