//! Requests of one worker that the read model would refuse, while they wait for a round.
//!
//! All on one thread, so it has no locks. A request costs one list entry. The round's end wakes one task of the
//! worker, which releases them a few at a time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::projection::read_model::Sale;
use crate::reserve::batch::{register, wake};

/// The longest wait for a round; after it the request goes to the ledger.
pub const REFUSAL_WAIT_MAX: Duration = Duration::from_millis(100);
/// The most requests that wait at one worker for one sale; more go to the ledger.
const REFUSALS_MAX: usize = 16_384;
/// The most requests to release before other tasks run: winners must not wait behind thousands of
/// refusals.
const RELEASE_MAX: usize = 64;

/// The waiting requests for one sale at one worker.
pub struct RoundWaiters {
    sale: Arc<Sale>,
    list: Rc<WaitList>,
    task: JoinHandle<()>,
}

impl RoundWaiters {
    /// Nothing waits yet.
    pub fn start(sale: Arc<Sale>) -> Self {
        let list = Rc::new(WaitList::default());
        let task = tokio::task::spawn_local(release(sale.clone(), list.clone()));
        Self { sale, list, task }
    }

    /// Whether they are for this very sale, and not for another of its name.
    pub fn are_of(&self, sale: &Arc<Sale>) -> bool {
        Arc::ptr_eq(&self.sale, sale)
    }

    /// Waits, but not for long, for the end of a round that began after the request arrived. The
    /// caller checks whether that round found the model complete.
    pub fn wait(&self, arrived: Instant) -> RoundWait {
        RoundWait { list: self.list.clone(), arrived, position: None }
    }
}

impl Drop for RoundWaiters {
    fn drop(&mut self) {
        self.task.abort();
        self.list.release(None, usize::MAX);
    }
}

async fn release(sale: Arc<Sale>, list: Rc<WaitList>) {
    let mut rounds = sale.rounds();
    loop {
        let first = list.first().await;
        sale.request_round();
        let ended = rounds.wait_for(|begun| *begun >= Some(first));
        let late = first + REFUSAL_WAIT_MAX;
        let until = match tokio::time::timeout_at(late.into(), ended).await {
            Ok(Ok(begun)) => *begun,
            _ => Instant::now().checked_sub(REFUSAL_WAIT_MAX),
        };
        while list.release(Some(until.unwrap_or(first)), RELEASE_MAX) {
            tokio::task::yield_now().await;
        }
    }
}

/// In the order of arrival.
#[derive(Default)]
struct WaitList {
    waiting: RefCell<VecDeque<(Instant, Waker)>>,
    /// The number of released requests.
    released: Cell<u64>,
    /// The waker of the task, while no request waits.
    task: RefCell<Option<Waker>>,
}

impl WaitList {
    /// Appends a request and returns its position; `None` if the list is full.
    fn push(&self, arrived: Instant, waker: &Waker) -> Option<u64> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= REFUSALS_MAX {
            return None;
        }
        waiting.push_back((arrived, waker.clone()));
        let position = self.released.get() + waiting.len() as u64 - 1;
        if waiting.len() == 1 {
            drop(waiting);
            wake(&self.task);
        }
        Some(position)
    }

    /// Whether the request at this position still waits; if so, it stores this waker.
    fn waits(&self, position: u64, waker: &Waker) -> bool {
        let ahead = position.checked_sub(self.released.get()).and_then(|ahead| usize::try_from(ahead).ok());
        let mut waiting = self.waiting.borrow_mut();
        let entry = ahead.and_then(|ahead| waiting.get_mut(ahead));
        entry.map(|(_, known)| known.clone_from(waker)).is_some()
    }

    /// Waits for a first request; returns its arrival.
    async fn first(&self) -> Instant {
        std::future::poll_fn(|cx| match self.waiting.borrow().front() {
            Some((arrived, _)) => Poll::Ready(*arrived),
            None => {
                register(&self.task, cx);
                Poll::Pending
            }
        })
        .await
    }

    /// Releases requests that arrived before `until` (`None`: all), but at most `most`; returns
    /// whether more are due.
    fn release(&self, until: Option<Instant>, most: usize) -> bool {
        for _ in 0..most {
            let is_due = |entry: &mut (Instant, Waker)| until.is_none_or(|until| entry.0 <= until);
            let Some((_, waker)) = self.waiting.borrow_mut().pop_front_if(is_due) else { return false };
            self.released.set(self.released.get() + 1);
            waker.wake();
        }
        true
    }
}

/// A request that waits.
pub struct RoundWait {
    list: Rc<WaitList>,
    arrived: Instant,
    position: Option<u64>,
}

impl Future for RoundWait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waits = match self.position {
            Some(position) => self.list.waits(position, cx.waker()),
            None => {
                self.position = self.list.push(self.arrived, cx.waker());
                self.position.is_some()
            }
        };
        if waits { Poll::Pending } else { Poll::Ready(()) }
    }
}

#[cfg(test)]
mod tests;
