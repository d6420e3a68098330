//! The ages of a sale's holds as this process follows them.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::domain::definition::Terms;
use crate::domain::reservation::Reservation;
use crate::domain::standby::{HoldTimes, Outcomes};
use crate::projection::read_model::lock;
use crate::store::journal::Entry;

/// So old may what is shown be: it takes a look at all ages.
const OUTCOMES_AGE_MAX: Duration = Duration::from_millis(500);

/// The ages of all holds. Those that began before this process followed the sale are not known.
#[derive(Default)]
pub(crate) struct Holds(Mutex<Followed>);

#[derive(Default)]
struct Followed {
    /// `None`: no hold was seen.
    times: Option<HoldTimes>,
    /// The latest entry: a repeated one changes nothing.
    sequence: u64,
    outcomes: Option<Outcomes>,
    computed: Option<Instant>,
}

impl Holds {
    /// Knows nothing any more.
    pub(super) fn clear(&self) {
        *lock(&self.0) = Followed::default();
    }

    /// Notes an entry of the journal; one that can't be read changes nothing, and the audit reports it. A definition that
    /// changes how long holds last makes it begin anew.
    pub(super) fn note(&self, entry: &Entry, terms: &Terms) {
        if !matches!(entry.kind.as_str(), "reserve" | "grant" | "confirm" | "cancel" | "expire") {
            return;
        }
        let mut followed = lock(&self.0);
        if entry.sequence <= followed.sequence {
            return;
        }
        followed.sequence = entry.sequence;
        let (hold_ms, granted_ms) = (terms.hold_ms, terms.granted_hold_ms());
        let known = followed.times.take().filter(|times| times.is_of(hold_ms, granted_ms));
        let times = followed.times.insert(known.unwrap_or_else(|| HoldTimes::new(hold_ms, granted_ms)));
        if matches!(entry.kind.as_str(), "reserve" | "grant") {
            let is_granted = entry.kind == "grant";
            return times.take(entry.at, is_granted, entry.buyers().count() as u64);
        }
        let is_paid = entry.kind == "confirm";
        // What was paid before is refunded: its hold has ended long ago.
        let ended = |r: &Reservation| is_paid || r.payment.is_none();
        for reservation in entry.reservations().unwrap_or_default().iter().filter(|r| ended(r)) {
            times.end(reservation.held_at, reservation.is_granted(), entry.at, is_paid);
        }
    }

    /// What becomes of holds at this time of Redis; `None`: not known.
    pub(super) fn outcomes(&self, time: i64) -> Option<Outcomes> {
        let mut followed = lock(&self.0);
        if followed.computed.is_none_or(|computed| computed.elapsed() > OUTCOMES_AGE_MAX) {
            followed.outcomes = followed.times.as_ref().and_then(|times| times.outcomes(time));
            followed.computed = Some(Instant::now());
        }
        followed.outcomes
    }
}
