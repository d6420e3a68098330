//! What was measured: counts and latencies by outcome, over time and around the opening. Figures of several
//! processes add up.

mod latency;
mod requests;
mod seconds;
mod time_line;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::outcome::{Outcome, StepEnd};
use crate::base::requests::RESERVE;
use crate::base::scenario::Scenario;

pub(crate) use latency::{Latency, PackedLatency};
pub(crate) use requests::{AnswerClass, Population, RequestFigures, Steps};
pub(crate) use seconds::Second;
use time_line::Slot;
pub(crate) use time_line::TimeLine;

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
    /// In the order in which they were given.
    pub(crate) gateways: Vec<GatewayFigures>,
    pub(crate) seconds: TimeLine<Second>,
    /// By the intended start.
    pub(crate) time: TimeLine<Started>,
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

/// What was measured of work that was intended to start in a slot: a server that stalls shows as a peak there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Started {
    /// Taps of honest buyers.
    pub(crate) outcomes: BTreeMap<Outcome, Latency>,
    /// Journeys of honest buyers.
    pub(crate) journeys: Latency,
}

impl Slot for Started {
    /// More than a chart shows.
    const SLOTS_MAX: i64 = 600;

    fn add(&mut self, other: &Started) {
        add_all(&mut self.outcomes, &other.outcomes);
        self.journeys.add(&other.journeys);
    }
}

/// All requests to one gateway, those of bots included.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct GatewayFigures {
    /// Its address, as it was given.
    pub(crate) name: String,
    pub(crate) requests: RequestFigures,
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
    /// None yet, of a run against these gateways.
    pub(crate) fn of(gateways: impl IntoIterator<Item = String>) -> Figures {
        let gateway = |name| GatewayFigures { name, ..GatewayFigures::default() };
        Figures { gateways: gateways.into_iter().map(gateway).collect(), ..Figures::default() }
    }

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
        self.seconds.slot(intended_us).intended += 1;
        self.seconds.slot(started_us).started += 1;
    }

    /// Work that the deadline forestalled.
    pub(crate) fn unsent(&mut self, intended_us: i64) {
        self.unsent += 1;
        self.seconds.slot(intended_us).intended += 1;
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
        let at = sent_us + micros(took);
        self.seconds.slot(sent_us).sent += 1;
        self.seconds.slot(at).answered(took, class);
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
        self.seconds.slot(sent_us).sent += 1;
        self.seconds.slot(sent_us + micros(took)).lost(patience.max(took));
        *self.errors.entry(why.to_owned()).or_default() += 1;
    }

    /// The same request as [`Figures::answered`] counts, for the gateway that answered.
    pub(crate) fn answered_by(
        &mut self,
        gateway: usize,
        sent_us: i64,
        took: Duration,
        (status, class): (u16, AnswerClass),
    ) {
        if let Some(gateway) = self.gateways.get_mut(gateway) {
            gateway.requests.answered(sent_us, took, status, class);
        }
    }

    /// The same request as [`Figures::lost`] counts, for the gateway that did not answer.
    pub(crate) fn lost_by(&mut self, gateway: usize, sent_us: i64, (took, patience): (Duration, Duration)) {
        if let Some(gateway) = self.gateways.get_mut(gateway) {
            gateway.requests.lost(sent_us, took, patience);
        }
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

    /// A buyer's journey ended that was intended to start then.
    pub(crate) fn journey_ended(&mut self, scenario: Scenario, intended_us: i64, took: Duration) {
        self.journeys.entry(scenario).or_default().record(took);
        self.time.slot(intended_us).journeys.record(took);
    }

    /// A tap came to its outcome.
    pub(crate) fn ended(&mut self, scenario: Scenario, outcome: Outcome, at_us: i64, waited: Duration) {
        self.outcomes.entry(scenario).or_default().entry(outcome).or_default().record(waited);
        if scenario.is_honest() {
            let second = self.seconds.slot(at_us);
            second.taps += 1;
            second.winners += u64::from(outcome.holds());
            second.sold_out += u64::from(outcome == Outcome::SoldOut);
            let intended = self.time.slot(at_us - micros(waited));
            intended.outcomes.entry(outcome).or_default().record(waited);
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
        for gateway in &other.gateways {
            match self.gateways.iter_mut().find(|own| own.name == gateway.name) {
                Some(own) => own.requests.add(&gateway.requests),
                None => self.gateways.push(gateway.clone()),
            }
        }
        self.seconds.add(&other.seconds);
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

    /// A copy without what grows with the run, to be looked at without the lock: for a scrape, and to judge a run while
    /// it goes on.
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
            gateways: self.gateways.clone(),
            seconds: TimeLine::default(),
            time: TimeLine::default(),
        }
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX / 2)
}

/// Adds what has the same name.
fn add_all<K: Clone + Ord>(own: &mut BTreeMap<K, Latency>, more: &BTreeMap<K, Latency>) {
    for (name, latency) in more {
        own.entry(name.clone()).or_default().add(latency);
    }
}
