//! Hands a scenario's starts out to goose users, each when it is due, to the user that became idle last: few users do all the
//! work of a quick server, with their batches of goose's metrics full, and the others wait for a slow one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::base::clock::after;
use crate::base::scenario::{Arrive, Scenario};
use crate::load::Load;
use crate::plan::{Line, Start, Starts};

/// A scenario's starts; each is taken once.
pub(crate) struct Queue {
    pub(crate) scenario: Scenario,
    /// Of all its starts.
    pub(crate) count: usize,
    /// There is a user for every start that can be under way, as far as a process can have so many.
    has_users_enough: bool,
    turns: Mutex<Turns>,
}

struct Turns {
    starts: Starts,
    /// A start that has been drawn and is not due yet.
    next: Option<Start>,
    /// A user waits until the next start is due. The others wait for their turn to do so: the last one is next.
    is_awaited: bool,
    idle: Vec<oneshot::Sender<()>>,
}

/// A start, and for how long no user was free for it.
pub(crate) struct Taken {
    pub(crate) start: Start,
    pub(crate) overdue: Duration,
}

/// So long before its instant a user takes a start: coarse timers must not make it late.
const EARLY: Duration = Duration::from_millis(5);
/// How often a user that waits checks whether the run continues.
const LONG_WAIT: Duration = Duration::from_secs(1);

impl Queue {
    pub(crate) fn new(line: &Line) -> Queue {
        let starts = line.starts.clone();
        let turns = Turns { starts, next: None, is_awaited: false, idle: Vec::new() };
        let Line { scenario, count, has_users_enough, .. } = *line;
        Queue { scenario, count, has_users_enough, turns: Mutex::new(turns) }
    }

    /// What has not been taken.
    pub(crate) fn rest(&self) -> impl Iterator<Item = Start> {
        let turns = self.turns();
        turns.next.into_iter().chain(turns.starts.clone())
    }

    /// Waits for the next start that is due; `None` when there is none left, or the run is over.
    pub(crate) async fn take(&self, load: &Load) -> Option<Taken> {
        let free_since = Instant::now();
        let has_waited = self.turn().await;
        let taken = loop {
            let Some(start) = self.next().filter(|_| !load.is_over()) else { break None };
            let at = after(load.moments.opening, SignedDuration::from_micros(start.at_us));
            // Buyers that prepare come before.
            let prepares = start.is_ready() && self.scenario.arrive() == Arrive::AtOpening;
            let early = at.checked_sub(EARLY).unwrap_or(at).saturating_duration_since(Instant::now());
            if prepares || early.is_zero() {
                self.turns().next = None;
                let is_overdue = self.has_users_enough && !has_waited && !prepares;
                let overdue = is_overdue.then(|| free_since.saturating_duration_since(at));
                break Some(Taken { start, overdue: overdue.unwrap_or_default() });
            }
            sleep(early.min(LONG_WAIT)).await;
        };
        self.pass_on();
        taken
    }

    /// Waits until it is this user's turn to wait for the next start; false if no other user was free.
    async fn turn(&self) -> bool {
        let turn = {
            let mut turns = self.turns();
            if !turns.is_awaited {
                turns.is_awaited = true;
                return false;
            }
            let (pass, turn) = oneshot::channel();
            turns.idle.push(pass);
            turn
        };
        // The queue outlives its users; without a word it is this one's turn.
        let _ = turn.await;
        true
    }

    /// It is the turn of the user that became idle last, or of the next one that does.
    fn pass_on(&self) {
        let mut turns = self.turns();
        while let Some(idle) = turns.idle.pop() {
            // One that has been ended can't take it.
            if idle.send(()).is_ok() {
                return;
            }
        }
        turns.is_awaited = false;
    }

    fn next(&self) -> Option<Start> {
        let mut turns = self.turns();
        if turns.next.is_none() {
            turns.next = turns.starts.next();
        }
        turns.next
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
