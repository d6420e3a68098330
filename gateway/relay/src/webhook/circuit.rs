//! Stops sending while every request fails, but for a probe now and then.

use std::collections::HashSet;
use std::time::Duration;

use crate::webhook::clock::millis;
use crate::webhook::schedule::longest;

/// As many reservations fail in a row as there are requests at once, but at least so many: it is the receiver. One
/// reservation that fails is none of its business.
const RESERVATIONS_MIN: usize = 5;
const PROBE_FIRST: Duration = Duration::from_secs(1);
const PROBE_MAX: Duration = Duration::from_secs(60);

/// Closed: requests go out. Open: one at a time, as a probe.
#[derive(Debug)]
pub(crate) struct Circuit {
    /// So many reservations open it.
    reservations: usize,
    /// Reservations that failed since the last success.
    failed: HashSet<String>,
    open: Option<Probes>,
}

#[derive(Debug)]
struct Probes {
    next: i64,
    failures: u32,
}

impl Circuit {
    /// A closed one, for so many requests at once.
    pub(crate) fn new(concurrency: usize) -> Self {
        Self { reservations: concurrency.max(RESERVATIONS_MIN), failed: HashSet::new(), open: None }
    }

    /// How many of these free slots may be used now.
    pub(crate) fn allows(&self, now: i64, free: usize, in_flight: usize) -> usize {
        match &self.open {
            None => free,
            Some(probes) => usize::from(in_flight == 0 && free > 0 && probes.next <= now),
        }
    }

    /// Whether nothing was delivered since the last failure.
    pub(crate) fn has_failures(&self) -> bool {
        !self.failed.is_empty()
    }

    /// When the next probe may go out; `None` while it is closed.
    pub(crate) fn probes_at(&self) -> Option<i64> {
        Some(self.open.as_ref()?.next)
    }

    /// A request was answered with a 2xx.
    pub(crate) fn succeeded(&mut self) {
        self.failed.clear();
        self.open = None;
    }

    /// A request of this reservation failed. `random` is from 0 to 1.
    pub(crate) fn failed(&mut self, reservation: &str, now: i64, random: f64) {
        if let Some(probes) = &mut self.open {
            // What was in flight when it opened is no probe.
            if probes.next <= now {
                probes.failures = probes.failures.saturating_add(1);
                probes.next = now + wait(probes.failures, random);
            }
            return;
        }
        self.failed.insert(reservation.to_owned());
        if self.failed.len() >= self.reservations {
            self.open = Some(Probes { next: now + wait(1, random), failures: 1 });
        }
    }

    /// The receiver asks for fewer requests: nothing is sent for so long, then a probe.
    pub(crate) fn throttled(&mut self, now: i64, asked: Option<Duration>) {
        let next = now + millis(asked.unwrap_or(PROBE_FIRST).min(PROBE_MAX));
        let probes = self.open.get_or_insert(Probes { next, failures: 1 });
        probes.next = probes.next.max(next);
    }

    /// A clock that was set back must not put a probe off for longer than a minute.
    pub(crate) fn bound(&mut self, now: i64) {
        if let Some(probes) = &mut self.open {
            probes.next = probes.next.min(now + millis(PROBE_MAX));
        }
    }

    /// An operator asks to try again: the next probe is due now.
    pub(crate) fn probe_now(&mut self, now: i64) {
        if let Some(probes) = &mut self.open {
            probes.next = probes.next.min(now);
        }
    }
}

/// From half of the longest wait to all of it: a probe that comes at once is no pause.
fn wait(failures: u32, random: f64) -> i64 {
    millis(longest(PROBE_FIRST, PROBE_MAX, failures).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reservation_that_fails_for_ever_stops_no_other() {
        let mut circuit = Circuit::new(2);
        for now in 0..100 {
            circuit.failed("a", now, 0.5);
            assert_eq!(circuit.allows(now, 16, 3), 16);
        }
    }

    #[test]
    fn a_receiver_that_is_down_gets_few_probes_and_one_success_ends_that() {
        let mut circuit = Circuit::new(2);
        for name in ["a", "b", "c", "d", "e"] {
            assert_eq!(circuit.allows(0, 16, 0), 16);
            circuit.failed(name, 0, 1.0);
        }
        assert_eq!((circuit.allows(999, 16, 0), circuit.probes_at()), (0, Some(1000)));
        // What was still in flight changes nothing.
        circuit.failed("f", 999, 1.0);
        assert_eq!((circuit.allows(1000, 16, 1), circuit.allows(1000, 16, 0)), (0, 1));
        let (mut now, mut probes) = (1000, 0);
        while now < 3_600_000 {
            assert_eq!(circuit.allows(now, 16, 0), 1);
            circuit.failed("g", now, 1.0);
            now = circuit.probes_at().unwrap();
            probes += 1;
        }
        assert!((60..=70).contains(&probes), "{probes} probes in an hour");
        circuit.succeeded();
        assert_eq!((circuit.allows(now, 16, 2), circuit.probes_at()), (16, None));
    }

    #[test]
    fn a_receiver_that_asks_for_a_pause_gets_it_up_to_a_minute() {
        let mut circuit = Circuit::new(2);
        circuit.throttled(0, Some(Duration::from_secs(30)));
        circuit.throttled(0, None);
        assert_eq!((circuit.allows(29_999, 4, 0), circuit.allows(30_000, 4, 0)), (0, 1));
        circuit.throttled(30_000, Some(Duration::from_secs(3600)));
        assert_eq!(circuit.probes_at(), Some(90_000));
        circuit.probe_now(31_000);
        assert_eq!(circuit.allows(31_000, 4, 0), 1);
        circuit.throttled(100_000, Some(Duration::from_secs(60)));
        circuit.bound(10_000);
        assert_eq!(circuit.probes_at(), Some(70_000));
    }
}
