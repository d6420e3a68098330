//! What was measured: counts and latencies by outcome, over time and around the opening. Figures of several
//! processes add up.

mod latency;
mod requests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::outcome::{Outcome, StepEnd};
use crate::base::requests::RESERVE;
use crate::base::scenario::Scenario;

pub(crate) use latency::Latency;
pub(crate) use requests::{AnswerClass, Population, RequestFigures, Steps};

/// Everything that is counted while a load runs. All instants are µs after the opening (negative before it).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Taps by scenario and outcome: from the intended instant to the outcome, retries and waits included.
    pub(crate) outcomes: BTreeMap<Scenario, BTreeMap<Outcome, Latency>>,
    /// Each request by its name, such as "reserve" or "look".
    pub(crate) requests: BTreeMap<String, RequestFigures>,
    /// By scenario: from a journey's intended start to its end, without the time in which its buyer pauses.
    pub(crate) journeys: BTreeMap<Scenario, Latency>,
    /// How late work started after its intended instant.
    pub(crate) lateness: Latency,
    /// The same without the time in which the server answered nothing: that is what this process was late by itself.
    pub(crate) own_lateness: Latency,
    /// Of these, later than the profile allows.
    pub(crate) late: u64,
    /// Intended, and never started: the deadline came first.
    pub(crate) unsent: u64,
    /// Requests beyond each tap's first.
    pub(crate) retries: u64,
    /// Requests that got no answer, by the reason's first words.
    pub(crate) errors: BTreeMap<String, u64>,
    /// When the taps that were meant for the opening left.
    pub(crate) opening: Opening,
    pub(crate) time: TimeLine,
}

/// The taps of the opening instant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// µs after the opening: the first tap and the last one.
    pub(crate) first: Option<i64>,
    pub(crate) last: Option<i64>,
    /// How late after the opening each left.
    pub(crate) skew: Latency,
    /// Taps sent and answered in each 10 ms from half a second before the opening to two seconds after it.
    pub(crate) sent: Vec<u32>,
    pub(crate) answered: Vec<u32>,
}

/// 10 ms each.
pub(crate) const OPENING_BIN: Duration = Duration::from_millis(10);
/// The first bin is that long before the opening.
pub(crate) const OPENING_FROM: Duration = Duration::from_millis(500);
pub(crate) const OPENING_BINS: usize = 250;

/// Counts by slots of equal length: seconds, or longer in a long run, so that there are at most [`SLOTS_MAX`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TimeLine {
    pub(crate) slot_seconds: u64,
    /// By the slot's number from the opening on; negative before it.
    pub(crate) slots: BTreeMap<i64, Slot>,
}

pub(crate) const SLOTS_MAX: usize = 600;

/// What happened in a slot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// Work that was intended to start, and that did.
    pub(crate) intended: u64,
    pub(crate) started: u64,
    /// Requests of all kinds that were answered.
    pub(crate) answered: u64,
    /// Taps of honest buyers that came to their outcome.
    pub(crate) outcomes: BTreeMap<Outcome, Latency>,
}

impl Default for TimeLine {
    fn default() -> TimeLine {
        TimeLine { slot_seconds: 1, slots: BTreeMap::new() }
    }
}

impl TimeLine {
    /// The slot of an instant, in µs after the opening. A run that gets too long has longer slots from then on.
    pub(crate) fn slot(&mut self, at_us: i64) -> &mut Slot {
        let mut number = self.number(at_us);
        while !self.slots.contains_key(&number) && self.span_with(number) > SLOTS_MAX as i64 {
            self.double();
            number = self.number(at_us);
        }
        self.slots.entry(number).or_default()
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

    fn add(&mut self, other: &TimeLine) {
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
}

impl Slot {
    fn add(&mut self, other: &Slot) {
        self.intended += other.intended;
        self.started += other.started;
        self.answered += other.answered;
        add_all(&mut self.outcomes, &other.outcomes);
    }
}

impl Opening {
    fn add(&mut self, other: &Opening) {
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = [self.last, other.last].into_iter().flatten().max();
        self.skew.add(&other.skew);
        for (own, more) in [(&mut self.sent, &other.sent), (&mut self.answered, &other.answered)] {
            own.resize(own.len().max(more.len()), 0);
            own.iter_mut().zip(more).for_each(|(own, more)| *own += more);
        }
    }

    /// From the first tap to the last one.
    pub(crate) fn spread(&self) -> Option<Duration> {
        let spread = self.last?.checked_sub(self.first?)?;
        u64::try_from(spread).ok().map(Duration::from_micros)
    }

    fn count(bins: &mut Vec<u32>, at_us: i64) {
        bins.resize(OPENING_BINS, 0);
        let from = at_us + i64::try_from(OPENING_FROM.as_micros()).unwrap_or(0);
        let bin = from.div_euclid(i64::try_from(OPENING_BIN.as_micros()).unwrap_or(1));
        if let Some(bin) = usize::try_from(bin).ok().and_then(|bin| bins.get_mut(bin)) {
            *bin += 1;
        }
    }
}

impl Figures {
    /// A tap, or other work, was started. For so much of the time since the intended instant the server was `stalled`;
    /// `late_after` is what the profile allows.
    pub(crate) fn started(
        &mut self,
        intended_us: i64,
        started_us: i64,
        stalled: Duration,
        late_after: Duration,
    ) {
        let late = Duration::from_micros(u64::try_from(started_us - intended_us).unwrap_or(0));
        let own = late.saturating_sub(stalled);
        self.lateness.record(late);
        self.own_lateness.record(own);
        self.late += u64::from(own > late_after);
        self.time.slot(intended_us).intended += 1;
        self.time.slot(started_us).started += 1;
    }

    /// Work that the deadline forestalled.
    pub(crate) fn unsent(&mut self, intended_us: i64) {
        self.unsent += 1;
        self.time.slot(intended_us).intended += 1;
    }

    /// The first request of a tap that was meant for the opening.
    pub(crate) fn tapped_at_opening(&mut self, sent_us: i64) {
        let opening = &mut self.opening;
        opening.first = Some(opening.first.map_or(sent_us, |first| first.min(sent_us)));
        opening.last = Some(opening.last.map_or(sent_us, |last| last.max(sent_us)));
        opening.skew.record(Duration::from_micros(u64::try_from(sent_us).unwrap_or(0)));
    }

    /// A request was answered with this status.
    pub(crate) fn answered(
        &mut self,
        name: &str,
        sent_us: i64,
        took: Duration,
        (status, class): (u16, AnswerClass),
    ) {
        self.count_request(name, |requests| requests.answered(sent_us, took, status, class));
        let at = sent_us + i64::try_from(took.as_micros()).unwrap_or(0);
        self.time.slot(at).answered += 1;
        if name == RESERVE {
            Opening::count(&mut self.opening.sent, sent_us);
            Opening::count(&mut self.opening.answered, at);
        }
    }

    /// A request has no answer after this time; its client would have waited for so long.
    pub(crate) fn lost(
        &mut self,
        name: &str,
        sent_us: i64,
        (took, patience): (Duration, Duration),
        why: &str,
    ) {
        self.count_request(name, |requests| requests.lost(sent_us, took, patience));
        *self.errors.entry(why.to_owned()).or_default() += 1;
    }

    /// A step ended: a request with its retries.
    pub(crate) fn step_ended(&mut self, name: &str, end: StepEnd) {
        self.count_request(name, |requests| requests.steps.ended(end));
    }

    /// Not by `entry` alone, which would copy the name each time.
    fn count_request(&mut self, name: &str, count: impl FnOnce(&mut RequestFigures)) {
        match self.requests.get_mut(name) {
            Some(requests) => count(requests),
            None => count(self.requests.entry(name.to_owned()).or_default()),
        }
    }

    /// A buyer's journey ended.
    pub(crate) fn journey_ended(&mut self, scenario: Scenario, took: Duration) {
        self.journeys.entry(scenario).or_default().record(took);
    }

    /// A tap came to its outcome.
    pub(crate) fn ended(&mut self, scenario: Scenario, outcome: Outcome, at_us: i64, waited: Duration) {
        self.outcomes.entry(scenario).or_default().entry(outcome).or_default().record(waited);
        if scenario.is_honest() {
            self.time.slot(at_us).outcomes.entry(outcome).or_default().record(waited);
        }
    }

    /// Adds another process's figures.
    pub(crate) fn add(&mut self, other: &Figures) {
        for (scenario, outcomes) in &other.outcomes {
            add_all(self.outcomes.entry(*scenario).or_default(), outcomes);
        }
        for (name, requests) in &other.requests {
            self.requests.entry(name.clone()).or_default().add(requests);
        }
        add_all(&mut self.journeys, &other.journeys);
        self.lateness.add(&other.lateness);
        self.own_lateness.add(&other.own_lateness);
        self.late += other.late;
        self.unsent += other.unsent;
        self.retries += other.retries;
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
        self.opening.add(&other.opening);
        self.time.add(&other.time);
    }

    /// The latencies of these scenarios and outcomes together.
    pub(crate) fn latency(&self, which: impl Fn(Scenario, Outcome) -> bool) -> Latency {
        let mut all = Latency::default();
        for (scenario, outcomes) in &self.outcomes {
            for (_, latency) in outcomes.iter().filter(|(outcome, _)| which(*scenario, **outcome)) {
                all.add(latency);
            }
        }
        all
    }

    /// The latencies of these outcomes of honest buyers.
    pub(crate) fn honest(&self, which: impl Fn(Outcome) -> bool) -> Latency {
        self.latency(|scenario, outcome| scenario.is_honest() && which(outcome))
    }

    /// All starts that were meant to be; those that were made and those that were not.
    pub(crate) fn intended(&self) -> u64 {
        self.lateness.count() + self.unsent
    }

    /// A copy for a scrape, which then formats without the lock: without the time line, which grows with the run.
    pub(crate) fn of_metrics(&self) -> Self {
        let Self { late, unsent, retries, .. } = *self;
        let (outcomes, requests) = (self.outcomes.clone(), self.requests.clone());
        Self { outcomes, requests, lateness: self.lateness.clone(), late, unsent, retries, ..Self::default() }
    }
}

impl Figures {
    /// A copy without the time line, which grows with the run: to be judged while it goes on.
    pub(crate) fn without_time(&self) -> Self {
        Self {
            outcomes: self.outcomes.clone(),
            requests: self.requests.clone(),
            journeys: self.journeys.clone(),
            lateness: self.lateness.clone(),
            own_lateness: self.own_lateness.clone(),
            late: self.late,
            unsent: self.unsent,
            retries: self.retries,
            errors: self.errors.clone(),
            opening: self.opening.clone(),
            time: TimeLine::default(),
        }
    }
}

/// Adds what has the same name.
fn add_all<K: Clone + Ord>(own: &mut BTreeMap<K, Latency>, more: &BTreeMap<K, Latency>) {
    for (name, latency) in more {
        own.entry(name.clone()).or_default().add(latency);
    }
}
