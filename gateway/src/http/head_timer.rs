//! The deadline of a request's head and of an idle connection: one timer for each connection, not one for each request.
//!
//! hyper asks its timer for a new sleep whenever it begins to wait for a head, and drops it when the
//! head has come. In tokio's wheel each would be let in and taken out again, next to those of other
//! connections that are in no cache any more. Here a sleep only notes its deadline, and one timer
//! wakes the connection when the deadline that was noted last can be over: all of them are equally far
//! away, so that is never too late.
//!
//! The same timer watches over clients that do not take in their answers (see `stall.rs`), for which
//! hyper has no time-out.

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
    /// Of the head, in nanoseconds from `since`.
    deadline: AtomicU64,
    is_over: AtomicBool,
    /// By when a client that takes in nothing must have taken in something; likewise.
    write_deadline: AtomicU64,
}

impl Noted {
    fn instant(&self, noted: &AtomicU64) -> Option<Instant> {
        match noted.load(Relaxed) {
            NONE => None,
            ns => Some(self.since + Duration::from_nanos(ns)),
        }
    }

    fn note(&self, place: &AtomicU64, deadline: Instant) {
        let ns = deadline.saturating_duration_since(self.since).as_nanos();
        place.store(u64::try_from(ns).unwrap_or(NONE), Relaxed);
    }
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

/// Notes when the client began to take in nothing, for one connection.
pub(super) struct WriteTimer {
    noted: Arc<Noted>,
    limit: Duration,
}

impl WriteTimer {
    /// From now on, unless it runs already.
    pub(super) fn start(&self) {
        if self.noted.write_deadline.load(Relaxed) == NONE {
            self.noted.note(&self.noted.write_deadline, Instant::now() + self.limit);
        }
    }

    /// It has taken in something.
    pub(super) fn stop(&self) {
        self.noted.write_deadline.store(NONE, Relaxed);
    }
}

/// A timer for a connection, all of whose deadlines are `limit` away when they are set.
pub(super) fn head_timer(limit: Duration) -> (HeadTimer, Watch) {
    let noted = Arc::new(Noted {
        since: Instant::now(),
        deadline: NONE.into(),
        is_over: false.into(),
        write_deadline: NONE.into(),
    });
    let sleep = Box::pin(tokio::time::sleep(limit));
    (HeadTimer(noted.clone()), Watch { noted, limit, sleep, is_registered: false })
}

impl Watch {
    /// For the connection's stream.
    pub(super) fn write_timer(&self) -> WriteTimer {
        WriteTimer { noted: self.noted.clone(), limit: self.limit }
    }

    /// Looks whether a deadline is over: hyper will find that of the head so, and of that of a client
    /// who takes in nothing this is ready. Wakes the task when one can be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A task keeps its waker, so that it need not be registered anew at every poll.
        if self.is_registered && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.is_registered = true;
        while self.sleep.as_mut().poll(cx).is_ready() {
            let head = self.noted.instant(&self.noted.deadline);
            let write = self.noted.instant(&self.noted.write_deadline);
            let now = Instant::now();
            if write.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(());
            }
            if head.is_some_and(|deadline| deadline <= now) {
                self.noted.is_over.store(true, Relaxed);
                return Poll::Pending;
            }
            let next = [head, write].into_iter().flatten().min();
            self.sleep.as_mut().reset(next.unwrap_or(now + self.limit).into());
        }
        Poll::Pending
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.0.note(&self.0.deadline, deadline);
        // A head that came in the very moment in which its time was over is no fault of the next one.
        self.0.is_over.store(false, Relaxed);
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
            let _ = watch.poll(cx);
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
            let _ = watch.poll(cx);
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

    #[tokio::test]
    async fn a_client_that_takes_in_nothing_is_found_out_unless_it_goes_on() {
        let limit = Duration::from_millis(5);
        let (_, mut watch) = head_timer(limit);
        let writes = watch.write_timer();
        writes.start();
        writes.stop();
        tokio::time::sleep(3 * limit).await;
        let is_over = std::future::poll_fn(|cx| Poll::Ready(watch.poll(cx).is_ready()));
        assert!(!is_over.await);
        writes.start();
        std::future::poll_fn(|cx| watch.poll(cx)).await;
    }
}
