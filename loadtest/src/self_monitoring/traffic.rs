//! Counts the requests in flight, their waits for a connection, and the times in which the server answered nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::span::ms;
use crate::self_monitoring::Health;

/// What the client's requests show of both sides; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    in_flight: AtomicU64,
    answered: AtomicU64,
    /// Requests that asked for a connection of this process.
    asked: AtomicU64,
    waits: Mutex<Waits>,
    stalls: Mutex<Stalls>,
}

/// Waits for a connection of this process, without those during which the server answered nothing.
#[derive(Debug, Default)]
struct Waits {
    /// A longer one counts.
    bound: Duration,
    long: u64,
    longest: Duration,
}

/// The times in which requests were in flight and none of them was answered for too long.
#[derive(Debug, Default)]
struct Stalls {
    /// The latest, in order.
    over: VecDeque<(Instant, Instant)>,
    /// Since when nothing has been answered, though something was in flight.
    since: Option<Instant>,
    /// The one that is going on is the last of `over`.
    is_on: bool,
    /// Of all answers, as seen last.
    answered: u64,
}

/// A request in flight, until it is dropped.
pub(crate) struct Flight<'a>(&'a Counters);

/// More are only in a run that is one stall after another; their latest are enough for starts that still wait.
const STALLS_MAX: usize = 1_000;

impl Traffic {
    /// A request is sent.
    pub(crate) fn send(&self) -> Flight<'_> {
        self.0.in_flight.fetch_add(1, Relaxed);
        Flight(&self.0)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.0.in_flight.load(Relaxed)
    }

    /// Sets how long a request may wait for a connection.
    pub(super) fn allow_waits(&self, bound: Duration) {
        self.waits().bound = bound;
    }

    /// A request has its connection; it has waited for it since `asked`, if it had to.
    pub(crate) fn connected(&self, asked: Option<Instant>) {
        self.0.asked.fetch_add(1, Relaxed);
        let Some(asked) = asked else { return };
        let now = Instant::now();
        if self.stalled_between(asked, now) > Duration::ZERO {
            // A queue that formed because the server answered nothing, and that takes a while to leave after that.
            return;
        }
        let own = now.saturating_duration_since(asked);
        let mut waits = self.waits();
        waits.long += u64::from(own > waits.bound);
        waits.longest = waits.longest.max(own);
    }

    /// For how long, between these instants, the server answered nothing.
    pub(crate) fn stalled_between(&self, from: Instant, to: Instant) -> Duration {
        let stalls = self.stalls();
        let latest = stalls.over.iter().rev().take_while(|(_, ended)| *ended > from);
        latest.map(|(began, ended)| (*ended).min(to).saturating_duration_since((*began).max(from))).sum()
    }

    /// Looks, at short intervals, whether the server is stalled: nothing has been answered for longer than `bound`
    /// while this process was awake. `late` is how late the look itself is.
    pub(super) fn look(&self, now: Instant, late: Duration, bound: Duration) {
        let (answered, in_flight) = (self.0.answered.load(Relaxed), self.in_flight());
        let mut stalls = self.stalls();
        let is_awake = late <= bound / 2;
        if !is_awake || in_flight == 0 || stalls.answered != answered {
            stalls.answered = answered;
            (stalls.since, stalls.is_on) = (is_awake.then_some(now), false);
            return;
        }
        let Some(since) = stalls.since else {
            stalls.since = Some(now);
            return;
        };
        if now.saturating_duration_since(since) < bound {
            return;
        }
        if stalls.is_on {
            stalls.over.pop_back();
        } else if stalls.over.len() == STALLS_MAX {
            stalls.over.pop_front();
        }
        stalls.over.push_back((since, now));
        stalls.is_on = true;
    }

    /// Adds what is known to the health of the run.
    pub(super) fn add_to(&self, health: Health) -> Health {
        let waits = self.waits();
        Health {
            requests: self.0.asked.load(Relaxed),
            requests_queued: waits.long,
            queued_max_ms: ms(waits.longest),
            ..health
        }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stalls(&self) -> MutexGuard<'_, Stalls> {
        self.0.stalls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight<'_> {
    /// The server has answered.
    pub(crate) fn answered(&self) {
        self.0.answered.fetch_add(1, Relaxed);
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
