//! Counts the requests of one name, and the steps that they are made for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::outcome::StepEnd;
use crate::figures::Latency;

/// What an answer is worth to the client that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerClass {
    /// The contract allows it, and it decides: also a refusal such as `sold-out`.
    Decided,
    /// 503 `outcome-unknown`: the contract allows it, and the client has to ask again.
    Unknown,
    /// 429: a limit was reached.
    Limited,
    /// 503 `temporary-reduced-capacity`.
    Shed,
    /// The contract does not allow it, or it is not the gateway's.
    Failed,
}

/// The requests of one name. Latencies are from being sent to the answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RequestFigures {
    decided: Latency,
    /// Of all other answers.
    others: Latency,
    /// Of those without an answer: as long as their clients would have waited.
    given_up: Latency,
    pub(crate) by_status: BTreeMap<u16, u64>,
    pub(crate) failed: u64,
    pub(crate) limited: u64,
    pub(crate) shed: u64,
    /// When the first was sent and the last ended, in µs after the opening.
    span_us: Option<(i64, i64)>,
    pub(crate) steps: Steps,
}

/// The steps of one name, by their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Steps {
    pub(crate) done: u64,
    pub(crate) refused: u64,
    pub(crate) undecided: u64,
}

/// Which latencies of a request are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Population {
    /// Answers that decide.
    Decided,
    /// All answers.
    Answered,
    /// All requests: a lost one counts as long as its client would have waited, however soon it broke. Only this one
    /// can't be improved by losing requests.
    Sent,
}

impl RequestFigures {
    /// A request was answered with this status.
    pub(super) fn answered(&mut self, sent_us: i64, took: Duration, status: u16, class: AnswerClass) {
        *self.by_status.entry(status).or_default() += 1;
        match class {
            AnswerClass::Decided => self.decided.record(took),
            _ => self.others.record(took),
        }
        match class {
            AnswerClass::Failed => self.failed += 1,
            AnswerClass::Limited => self.limited += 1,
            AnswerClass::Shed => self.shed += 1,
            AnswerClass::Decided | AnswerClass::Unknown => {}
        }
        self.spans(sent_us, took);
    }

    /// A request has no answer since this time; its client would have waited so long.
    pub(super) fn lost(&mut self, sent_us: i64, took: Duration, patience: Duration) {
        self.given_up.record(patience.max(took));
        self.spans(sent_us, took);
    }

    fn spans(&mut self, sent_us: i64, took: Duration) {
        let end = sent_us.saturating_add(i64::try_from(took.as_micros()).unwrap_or(i64::MAX));
        let (first, last) = self.span_us.unwrap_or((sent_us, end));
        self.span_us = Some((first.min(sent_us), last.max(end)));
    }

    pub(crate) fn lost_count(&self) -> u64 {
        self.given_up.count()
    }

    pub(crate) fn answered_count(&self) -> u64 {
        self.decided.count() + self.others.count()
    }

    pub(crate) fn sent_count(&self) -> u64 {
        self.answered_count() + self.lost_count()
    }

    /// All that were sent, by what came of them.
    pub(crate) fn by_result(&self) -> [(&'static str, u64); 6] {
        let (failed, limited, shed) = (self.failed, self.limited, self.shed);
        [
            ("decided", self.decided.count()),
            ("unknown", self.others.count().saturating_sub(failed + limited + shed)),
            ("limited", limited),
            ("shed", shed),
            ("failed", failed),
            ("lost", self.lost_count()),
        ]
    }

    /// The latencies of these requests.
    pub(crate) fn latency(&self, of: Population) -> Latency {
        let mut latency = self.decided.clone();
        if of != Population::Decided {
            latency.add(&self.others);
        }
        if of == Population::Sent {
            latency.add(&self.given_up);
        }
        latency
    }

    /// From the first that was sent to the end of the last.
    pub(crate) fn lasted(&self) -> Duration {
        let us = self.span_us.map_or(0, |(first, last)| last.saturating_sub(first));
        Duration::from_micros(u64::try_from(us).unwrap_or(0))
    }

    /// Adds others: of another process, or of another name.
    pub(crate) fn add(&mut self, other: &RequestFigures) {
        self.decided.add(&other.decided);
        self.others.add(&other.others);
        self.given_up.add(&other.given_up);
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
        self.failed += other.failed;
        self.limited += other.limited;
        self.shed += other.shed;
        self.span_us = match (self.span_us, other.span_us) {
            (Some((first, last)), Some((also, later))) => Some((first.min(also), last.max(later))),
            (one, other) => one.or(other),
        };
        self.steps.add(other.steps);
    }
}

impl Steps {
    pub(super) fn ended(&mut self, end: StepEnd) {
        match end {
            StepEnd::Done => self.done += 1,
            StepEnd::Refused => self.refused += 1,
            StepEnd::Undecided => self.undecided += 1,
        }
    }

    pub(crate) fn count(self) -> u64 {
        self.done + self.refused + self.undecided
    }

    fn add(&mut self, other: Steps) {
        self.done += other.done;
        self.refused += other.refused;
        self.undecided += other.undecided;
    }
}
