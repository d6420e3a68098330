//! The deadline of a request's head and of an idle connection: one timer for each connection, not one for each request.
//!
//! hyper asks its timer for a new sleep whenever it begins to wait for a head, and drops it when the
//! head has come. In tokio's wheel each would be let in and taken out again, next to those of other
//! connections that are in no cache any more. Here a sleep only notes its deadline, and one timer
//! wakes the connection when the deadline that was noted last can be over: all of them are equally far
//! away, so that is never too late.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// No deadline is noted.
const NONE: u64 = u64::MAX;

/// What hyper and the connection share. All on one thread; hyper wants it to be `Sync`.
struct Noted {
    since: Instant,
    /// Nanoseconds from `since`.
    deadline: AtomicU64,
    is_over: AtomicBool,
}

/// Hyper's timer, for one connection.
pub(super) struct HeadTimer(Arc<Noted>);

/// The one timer that really runs. It must be polled by the task that polls hyper's connection, before it.
pub(super) struct Watch {
    noted: Arc<Noted>,
    limit: Duration,
    sleep: Pin<Box<tokio::time::Sleep>>,
    is_registered: bool,
}

/// A timer for a connection, all of whose deadlines are `limit` away when they are set.
pub(super) fn head_timer(limit: Duration) -> (HeadTimer, Watch) {
    let noted = Noted { since: Instant::now(), deadline: NONE.into(), is_over: false.into() };
    let noted = Arc::new(noted);
    let sleep = Box::pin(tokio::time::sleep(limit));
    (HeadTimer(noted.clone()), Watch { noted, limit, sleep, is_registered: false })
}

impl Watch {
    /// Looks whether the deadline is over; hyper will find it so. Wakes the task when it can be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        // A task keeps its waker, so that it need not be registered anew at every poll.
        if self.is_registered && !self.sleep.is_elapsed() {
            return;
        }
        self.is_registered = true;
        while self.sleep.as_mut().poll(cx).is_ready() {
            let deadline = match self.noted.deadline.load(Relaxed) {
                NONE => None,
                ns => Some(self.noted.since + Duration::from_nanos(ns)),
            };
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.noted.is_over.store(true, Relaxed);
                return;
            }
            self.sleep.as_mut().reset(deadline.unwrap_or(now + self.limit).into());
        }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let ns = deadline.saturating_duration_since(self.0.since).as_nanos();
        self.0.deadline.store(u64::try_from(ns).unwrap_or(NONE), Relaxed);
        Box::pin(HeadSleep(self.0.clone()))
    }
}

/// One wait for a head.
struct HeadSleep(Arc<Noted>);

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.is_over.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for HeadSleep {
    fn drop(&mut self) {
        self.0.deadline.store(NONE, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Whether hyper is told that this sleep is over.
    async fn is_over(watch: &mut Watch, sleep: &mut Pin<Box<dyn Sleep>>) -> bool {
        std::future::poll_fn(|cx| {
            watch.poll(cx);
            Poll::Ready(sleep.as_mut().poll(cx).is_ready())
        })
        .await
    }

    #[tokio::test]
    async fn a_deadline_that_passes_wakes_its_task_and_is_over() {
        let (timer, mut watch) = head_timer(LIMIT);
        let mut sleep = timer.sleep(LIMIT);
        assert!(!is_over(&mut watch, &mut sleep).await);

        let limit = Duration::from_millis(5);
        let (timer, mut watch) = head_timer(limit);
        let mut sleep = timer.sleep(limit);
        std::future::poll_fn(|cx| {
            watch.poll(cx);
            sleep.as_mut().poll(cx)
        })
        .await;
    }

    #[tokio::test]
    async fn heads_that_come_put_the_deadline_off() {
        let limit = Duration::from_millis(5);
        let (timer, mut watch) = head_timer(limit);
        drop(timer.sleep(limit));
        let mut next = timer.sleep(LIMIT);
        // The first deadline has passed, and no longer counts.
        tokio::time::sleep(3 * limit).await;
        assert!(!is_over(&mut watch, &mut next).await);
        drop(next);
        tokio::time::sleep(3 * limit).await;
        let mut last = timer.sleep(LIMIT);
        assert!(!is_over(&mut watch, &mut last).await);
    }
}
