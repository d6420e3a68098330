//! Keeps what happened by slots of equal length, a second each, or longer in a long run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is kept of a slot.
pub(crate) trait Slot: Clone + Default {
    /// A run that gets longer has longer slots from then on, so that RAM is bounded.
    const SLOTS_MAX: i64;

    fn add(&mut self, other: &Self);

    /// Hardly anything more comes for it: what takes RAM is made small.
    fn close(&mut self) {}
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TimeLine<S> {
    pub(crate) slot_seconds: u64,
    /// By the slot's number from the opening on; negative before it.
    pub(crate) slots: BTreeMap<i64, S>,
}

/// Late news of the slot before the present one are common, of others rare.
const OPEN: i64 = 2;

impl<S> Default for TimeLine<S> {
    fn default() -> Self {
        Self { slot_seconds: 1, slots: BTreeMap::new() }
    }
}

impl<S: Slot> TimeLine<S> {
    /// The slot of an instant, in µs after the opening.
    pub(crate) fn slot(&mut self, at_us: i64) -> &mut S {
        let mut number = self.number(at_us);
        if !self.slots.contains_key(&number) {
            while self.span_with(number) > S::SLOTS_MAX {
                self.double();
                number = self.number(at_us);
            }
            self.slots
                .range_mut(..=number - OPEN)
                .rev()
                .take(OPEN as usize)
                .for_each(|(_, slot)| slot.close());
        }
        self.slots.entry(number).or_default()
    }

    /// From when to when there are slots, in seconds after the opening.
    pub(crate) fn ends(&self) -> Option<(i64, i64)> {
        let seconds = self.slot_seconds as i64;
        let (first, last) = (self.slots.keys().next()?, self.slots.keys().next_back()?);
        Some((first * seconds, (last + 1) * seconds))
    }

    /// A copy of at most so many slots.
    pub(crate) fn joined(&self, slots_max: i64) -> Self {
        let mut joined = self.clone();
        while joined.slots.keys().next().is_some_and(|first| joined.span_with(*first) > slots_max) {
            joined.double();
        }
        joined
    }

    /// Adds another process's slots.
    pub(crate) fn add(&mut self, other: &Self) {
        let mut other = other.clone();
        while self.slot_seconds < other.slot_seconds {
            self.double();
        }
        while other.slot_seconds < self.slot_seconds {
            other.double();
        }
        for (number, slot) in &other.slots {
            self.slots.entry(*number).or_default().add(slot);
        }
    }

    fn number(&self, at_us: i64) -> i64 {
        at_us.div_euclid(self.slot_seconds as i64 * 1_000_000)
    }

    fn span_with(&self, number: i64) -> i64 {
        let first = self.slots.keys().next().copied().unwrap_or(number).min(number);
        let last = self.slots.keys().next_back().copied().unwrap_or(number).max(number);
        last - first + 1
    }

    fn double(&mut self) {
        self.slot_seconds *= 2;
        for (number, slot) in std::mem::take(&mut self.slots) {
            self.slots.entry(number.div_euclid(2)).or_default().add(&slot);
        }
    }
}

#[cfg(test)]
mod tests;
