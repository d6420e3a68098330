//! The standby queues as this process follows them: each buyer's place, and how many wait before it.

use std::sync::{PoisonError, RwLock};

use redis::Value;
use rustc_hash::FxHashMap;

use crate::domain::identity::{BUYER_CHARS, BuyerHash};
use crate::domain::standby::{Outlook, PlaceChange, PlaceState};
use crate::domain::subject::from_word;
use crate::projection::read_model::{ReadModel, Sale};
use crate::store::journal::Entry;

/// A buyer's place at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceNow {
    /// The model's id.
    pub model: String,
    /// Waiting, granted or skipped.
    pub state: PlaceState,
    /// How many wait up to this place, itself included; 0 unless it waits.
    pub position: u64,
    /// The id of the granted reservation.
    pub reservation: Option<String>,
}

/// All places of a sale.
#[derive(Default)]
pub(crate) struct StandbyQueues(RwLock<Places>);

#[derive(Default)]
struct Places {
    of: FxHashMap<BuyerHash, Place>,
    /// By model, in the order in which the models were first seen.
    queues: Vec<(String, Queue)>,
    /// The ids of granted reservations: few buyers have one.
    granted: FxHashMap<BuyerHash, String>,
}

#[derive(Clone, Copy)]
struct Place {
    number: u64,
    queue: usize,
    state: PlaceState,
}

impl StandbyQueues {
    /// The places in rows of the ledger, in any order. The audit reports those that can't be read.
    pub(crate) fn of_rows<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut places = Places::default();
        let row = |(part, row): (&'a str, &'a str)| {
            let words: Vec<&str> = row.split(' ').collect();
            let [_, state, choice, number, _, key] = words[..] else { return None };
            let (model, _) = choice.split_once('/')?;
            let row = (PlaceState::parse(state)?, model, number.parse().ok()?, format!("{part}{key}"));
            Some((BuyerHash::of_part(part)?, row))
        };
        // A scan may return a row twice: the later one counts.
        let found: FxHashMap<BuyerHash, (PlaceState, &str, u64, String)> = rows.filter_map(row).collect();
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable_by_key(|(_, (_, _, number, _))| *number);
        for (buyer, (state, model, number, id)) in found {
            let queue = places.queue_of(model);
            if state == PlaceState::Waiting {
                places.queues[queue].1.join(number);
            }
            if state == PlaceState::Granted {
                places.granted.insert(buyer, id);
            }
            places.of.insert(buyer, Place { number, queue, state });
        }
        Self(RwLock::new(places))
    }

    /// Applies an entry of the journal.
    pub(crate) fn apply(&self, sale: &str, entry: &Entry) {
        if !matches!(entry.kind.as_str(), "join" | "leave" | "grant") {
            return;
        }
        let mut places = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for PlaceChange { sub, after } in entry.places().unwrap_or_default() {
            let Some(sub) = from_word(&sub) else { continue };
            let buyer = BuyerHash::new(sale, &sub);
            match after {
                Some((number, choice)) => places.join(buyer, number, &choice.model),
                None => places.leave(buyer),
            }
        }
        places.queues.iter_mut().for_each(|(_, queue)| queue.settle());
        if entry.kind == "grant" {
            for reservation in entry.reservations().unwrap_or_default() {
                let Some(buyer) = BuyerHash::of_part(&reservation.id) else { continue };
                places.end(buyer, PlaceState::Granted);
                places.granted.insert(buyer, reservation.id);
            }
            for (part, _) in entry.skipped() {
                BuyerHash::of_part(part).into_iter().for_each(|buyer| places.end(buyer, PlaceState::Skipped));
            }
        }
    }

    fn place(&self, buyer: &BuyerHash) -> Option<PlaceNow> {
        let places = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Place { number, queue, state } = *places.of.get(buyer)?;
        let (model, queue) = &places.queues[queue];
        let is_waiting = state == PlaceState::Waiting;
        Some(PlaceNow {
            model: model.clone(),
            state,
            position: if is_waiting { queue.position(number) } else { 0 },
            reservation: places.granted.get(buyer).filter(|_| state == PlaceState::Granted).cloned(),
        })
    }

    fn waiting(&self, model: &str) -> u64 {
        let places = self.0.read().unwrap_or_else(PoisonError::into_inner);
        places.queues.iter().find(|(id, _)| id == model).map_or(0, |(_, queue)| queue.waiting)
    }
}

impl Places {
    fn queue_of(&mut self, model: &str) -> usize {
        let known = self.queues.iter().position(|(id, _)| id == model);
        known.unwrap_or_else(|| {
            self.queues.push((model.to_owned(), Queue::default()));
            self.queues.len() - 1
        })
    }

    fn join(&mut self, buyer: BuyerHash, number: u64, model: &str) {
        let queue = self.queue_of(model);
        if self.of.get(&buyer).is_some_and(|place| place.number > number) {
            // The rows were read after this entry, and the buyer has another place since.
            return;
        }
        self.stop_waiting(buyer);
        self.queues[queue].1.join(number);
        self.of.insert(buyer, Place { number, queue, state: PlaceState::Waiting });
    }

    fn leave(&mut self, buyer: BuyerHash) {
        self.stop_waiting(buyer);
        self.of.remove(&buyer);
    }

    fn end(&mut self, buyer: BuyerHash, state: PlaceState) {
        self.stop_waiting(buyer);
        if let Some(place) = self.of.get_mut(&buyer) {
            place.state = state;
        }
    }

    fn stop_waiting(&mut self, buyer: BuyerHash) {
        if let Some(place) = self.of.get(&buyer).filter(|place| place.state == PlaceState::Waiting) {
            self.queues[place.queue].1.end(place.number);
        }
    }
}

/// Who waits for one model: the numbers of all its places in order, and a Fenwick tree of how many of them still wait,
/// so that a position takes a few steps among millions.
#[derive(Default)]
struct Queue {
    numbers: Vec<u64>,
    /// Each element has the sum over as many places up to its own as the lowest bit of its index, from 1, says.
    sums: Vec<u32>,
    /// Numbers that wait and are below the last: of who joined while the rows were read. [`Queue::settle`] puts them in.
    late: Vec<u64>,
    waiting: u64,
}

fn lowest_bit(index: usize) -> usize {
    index & index.wrapping_neg()
}

impl Queue {
    fn join(&mut self, number: u64) {
        match self.numbers.binary_search(&number) {
            Ok(index) if self.is_waiting(index) => return,
            Ok(index) => self.add(index, 1),
            Err(_) if self.late.contains(&number) => return,
            Err(index) if index == self.numbers.len() => self.push(number, true),
            Err(_) => self.late.push(number),
        }
        self.waiting += 1;
    }

    fn end(&mut self, number: u64) {
        match self.numbers.binary_search(&number) {
            Ok(index) if self.is_waiting(index) => self.add(index, u32::MAX),
            Ok(_) => return,
            Err(_) => {
                let Some(index) = self.late.iter().position(|late| *late == number) else { return };
                self.late.swap_remove(index);
            }
        }
        self.waiting -= 1;
    }

    /// Puts numbers in their places that came late.
    fn settle(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let mut all: Vec<(u64, bool)> =
            std::mem::take(&mut self.late).into_iter().map(|late| (late, true)).collect();
        all.extend(self.numbers.iter().enumerate().map(|(index, number)| (*number, self.is_waiting(index))));
        all.sort_unstable();
        self.numbers.clear();
        self.sums.clear();
        all.into_iter().for_each(|(number, is_waiting)| self.push(number, is_waiting));
    }

    /// How many wait up to this number.
    fn position(&self, number: u64) -> u64 {
        u64::from(self.sum(self.numbers.partition_point(|other| *other <= number)))
    }

    fn is_waiting(&self, index: usize) -> bool {
        self.sum(index + 1) > self.sum(index)
    }

    /// Appends a number above all others.
    fn push(&mut self, number: u64, is_waiting: bool) {
        self.numbers.push(number);
        let index = self.numbers.len();
        let mut sum = u32::from(is_waiting);
        let mut step = 1;
        while step < lowest_bit(index) {
            sum += self.sums[index - step - 1];
            step *= 2;
        }
        self.sums.push(sum);
    }

    /// Adds 1, or −1 as `u32::MAX`, at an index.
    fn add(&mut self, index: usize, n: u32) {
        let mut at = index + 1;
        while at <= self.sums.len() {
            self.sums[at - 1] = self.sums[at - 1].wrapping_add(n);
            at += lowest_bit(at);
        }
    }

    /// How many of the first `count` places wait.
    fn sum(&self, count: usize) -> u32 {
        let (mut sum, mut at) = (0, count);
        while at > 0 {
            sum += self.sums[at - 1];
            at -= lowest_bit(at);
        }
        sum
    }
}

impl Sale {
    /// A buyer's place; `None`: none, or the buyer has left.
    pub fn place(&self, buyer: &BuyerHash) -> Option<PlaceNow> {
        self.standby.load().place(buyer)
    }

    /// How many wait for a model.
    pub fn waiting_for(&self, model: &str) -> u64 {
        self.standby.load().waiting(model)
    }

    pub(crate) fn note_places(&self, entry: &Entry) {
        self.standby.load().apply(&self.id, entry);
    }

    /// What the odds of those who wait for this model follow from.
    pub fn outlook(&self, model: &str) -> Option<Outlook> {
        let read_model = self.read_model();
        let outcomes = self.holds.outcomes(self.best_time());
        Some(Outlook { outcomes, ..read_model.outlook(model)? })
    }

    /// Notes how the holds of an entry begin or end, in sales with queues.
    pub(crate) fn note_holds(&self, entry: &Entry) {
        let read_model = self.read_model();
        let terms = &read_model.catalogue.definition.sale;
        if terms.standby {
            self.holds.note(entry, terms);
        }
    }

    /// Forgets all holds but those of these entries, the latest of the journal.
    pub(crate) fn restart_holds(&self, entries: &[Value]) {
        self.holds.clear();
        if self.read_model().catalogue.definition.sale.standby {
            entries.iter().filter_map(Entry::parse).for_each(|entry| self.note_holds(&entry));
        }
    }
}

impl ReadModel {
    /// How many units of the item at this index are set aside for buyers who wait.
    pub fn aside(&self, place: usize) -> i64 {
        self.aside.get(place).copied().unwrap_or(0)
    }

    /// What the odds of those who wait for this model follow from, without the ages of holds.
    fn outlook(&self, model: &str) -> Option<Outlook> {
        let place = self.catalogue.index_of_id("model", model)?;
        let [_, confirmed, cancelled, expired] = self.counts;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Some(Outlook {
            aside: count(self.aside(place)),
            held: count(self.held(place)),
            paid: confirmed,
            unpaid: cancelled + expired,
            outcomes: None,
        })
    }
}

// A granted reservation's id begins with the buyer's part.
const _: () = assert!(BUYER_CHARS == 20);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
