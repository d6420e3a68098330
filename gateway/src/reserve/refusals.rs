//! Requests of one worker that the read model would refuse, while they wait until it is complete as of then.
//!
//! All on one thread, so there are no locks. A request costs a place in a list; the round that they wait for wakes one task
//! of the worker, which lets them go on a few at a time.

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

/// A request waits this long for a round, at most. Then it goes to the ledger.
pub const REFUSAL_WAIT_MAX: Duration = Duration::from_millis(100);
/// Requests that wait at one worker for one sale, at most. More go to the ledger.
const REFUSALS_MAX: usize = 16_384;
/// Requests that go on before other tasks have their turn: winners must not wait behind thousands of refusals.
const RELEASE_MAX: usize = 64;

/// Where the requests for one sale wait at one worker.
pub struct Refusals {
    sale: Arc<Sale>,
    list: Rc<List>,
    task: JoinHandle<()>,
}

impl Refusals {
    /// Nothing waits yet.
    #[must_use]
    pub fn start(sale: Arc<Sale>) -> Self {
        let list = Rc::new(List::default());
        let task = tokio::task::spawn_local(release(sale.clone(), list.clone()));
        Self { sale, list, task }
    }

    /// Whether they are for this very sale, and not for another of its name.
    #[must_use]
    pub fn are_of(&self, sale: &Arc<Sale>) -> bool {
        Arc::ptr_eq(&self.sale, sale)
    }

    /// Waits for the end of a round that was begun after the request arrived, but not for long. Whether the round has found
    /// the model complete is for the caller to see.
    pub fn wait(&self, arrived: Instant) -> Wait {
        Wait { list: self.list.clone(), arrived, place: None }
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        self.task.abort();
        self.list.release(None, usize::MAX);
    }
}

async fn release(sale: Arc<Sale>, list: Rc<List>) {
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

/// In the order in which they arrived.
#[derive(Default)]
struct List {
    waiting: RefCell<VecDeque<(Instant, Waker)>>,
    /// How many have gone on.
    released: Cell<u64>,
    /// Of the task, while nothing waits.
    task: RefCell<Option<Waker>>,
}

impl List {
    /// A place at the end; `None` if there is no room.
    fn push(&self, arrived: Instant, waker: &Waker) -> Option<u64> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= REFUSALS_MAX {
            return None;
        }
        waiting.push_back((arrived, waker.clone()));
        let place = self.released.get() + waiting.len() as u64 - 1;
        if waiting.len() == 1 {
            drop(waiting);
            wake(&self.task);
        }
        Some(place)
    }

    /// Whether the request at this place waits on; then with this waker.
    fn waits(&self, place: u64, waker: &Waker) -> bool {
        let ahead = place.checked_sub(self.released.get()).and_then(|ahead| usize::try_from(ahead).ok());
        let mut waiting = self.waiting.borrow_mut();
        let entry = ahead.and_then(|ahead| waiting.get_mut(ahead));
        entry.map(|(_, known)| known.clone_from(waker)).is_some()
    }

    /// When the first one arrived, as soon as there is one.
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

    /// Lets those go on that arrived by then (`None`: all), but not more than so many; whether there are more of them.
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
pub struct Wait {
    list: Rc<List>,
    arrived: Instant,
    place: Option<u64>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waits = match self.place {
            Some(place) => self.list.waits(place, cx.waker()),
            None => {
                self.place = self.list.push(self.arrived, cx.waker());
                self.place.is_some()
            }
        };
        if waits { Poll::Pending } else { Poll::Ready(()) }
    }
}

#[cfg(test)]
mod tests;
