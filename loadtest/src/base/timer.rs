//! Wakes tasks at exact instants of an open loop. The runtime's timers round up to milliseconds: an
//! answer after 0.3 ms would count as 1.5 ms from the intended instant.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::base::failure::Failure;

/// So long before its instant a waiter leaves the runtime's timers: longer than they are coarse.
const COARSE: Duration = Duration::from_millis(3);

/// Wakes tasks from a thread that sleeps by the kernel's timers (50 µs fine by default, see
/// `timerslack` in proc(5)).
pub(crate) struct Timer {
    shared: Arc<TimerQueue>,
    ticking: Option<std::thread::JoinHandle<()>>,
}

struct TimerQueue {
    due: Mutex<Due>,
    sooner: Condvar,
}

#[derive(Default)]
struct Due {
    /// By the instant; of equal ones the first that came.
    waiters: BTreeMap<(Instant, u64), oneshot::Sender<()>>,
    came: u64,
    over: bool,
}

impl Timer {
    /// Starts the thread.
    pub(crate) fn start() -> Result<Timer, Failure> {
        let shared = Arc::new(TimerQueue { due: Mutex::default(), sooner: Condvar::new() });
        let ticks = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("timer".to_owned()).spawn(move || ticks.tick());
        let ticking = thread.map_err(|error| {
            Failure::Outside(format!(
                "the thread that keeps the time can't be started: {error}: raise ulimit -u"
            ))
        })?;
        Ok(Timer { shared, ticking: Some(ticking) })
    }

    /// Waits for an instant; at once, if it is over.
    pub(crate) async fn until(&self, at: Instant) {
        if let Some(near) = at.checked_sub(COARSE) {
            tokio::time::sleep_until(near.into()).await;
        }
        if Instant::now() >= at {
            return;
        }
        let (wake, woken) = oneshot::channel();
        self.shared.wake_at(at, wake);
        // The timer outlives all waiters; without it a waiter would be early, not lost.
        let _ = woken.await;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.shared.due().over = true;
        self.shared.sooner.notify_one();
        if let Some(ticking) = self.ticking.take() {
            let _ = ticking.join();
        }
    }
}

impl TimerQueue {
    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_at(&self, at: Instant, wake: oneshot::Sender<()>) {
        let mut due = self.due();
        let is_next = due.waiters.first_key_value().is_none_or(|((next, _), _)| at < *next);
        due.came += 1;
        let place = (at, due.came);
        due.waiters.insert(place, wake);
        drop(due);
        // Only the next one matters to a thread that sleeps.
        if is_next {
            self.sooner.notify_one();
        }
    }

    fn tick(&self) {
        let mut due = self.due();
        while !due.over {
            let now = Instant::now();
            while let Some(next) = due.waiters.first_entry().filter(|next| next.key().0 <= now) {
                // A dropped waiter needs no waking.
                let _ = next.remove().send(());
            }
            let next = due.waiters.first_key_value().map(|((at, _), _)| *at);
            due = match next {
                None => self.sooner.wait(due).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let rest = at.saturating_duration_since(Instant::now());
                    self.sooner.wait_timeout(due, rest).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(test)]
mod tests;
