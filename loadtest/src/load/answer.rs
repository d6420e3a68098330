//! Parses answers: the decision in a reply, and its deviations from the contract.

use std::time::Duration;

use serde::Deserialize;

use crate::base::outcome::Outcome;
use crate::client::{Lost, Reply};
use crate::load::history::Hold;

/// What a gateway decided about a tap.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    Won(Hold),
    Replayed(Hold),
    SoldOut {
        items: Vec<String>,
        last: bool,
    },
    PurchaseLimit,
    Closed,
    /// Not open or paused: come again.
    Later,
    Limited,
    Shed,
    /// Possibly taken: only a retry with the same key shows it.
    Unknown,
    Wrong,
}

impl Decision {
    /// How the tap ends with this; `None` when it is to be tried again.
    pub(crate) fn ends(&self) -> Option<Outcome> {
        match self {
            Decision::Won(_) => Some(Outcome::Won),
            Decision::Replayed(_) => Some(Outcome::Replayed),
            Decision::SoldOut { .. } => Some(Outcome::SoldOut),
            Decision::PurchaseLimit => Some(Outcome::PurchaseLimit),
            Decision::Closed => Some(Outcome::Refused),
            Decision::Wrong => Some(Outcome::Wrong),
            Decision::Later | Decision::Limited | Decision::Shed | Decision::Unknown => None,
        }
    }

    /// The outcome without a further try. `Unknown` stays: a later 429 or 503 does not decide the
    /// earlier request.
    pub(crate) fn gives_up_as(&self, unknown_before: bool) -> Outcome {
        match self {
            _ if unknown_before => Outcome::Unknown,
            Decision::Limited => Outcome::Limited,
            Decision::Shed => Outcome::Shed,
            Decision::Later => Outcome::Refused,
            decision => decision.ends().unwrap_or(Outcome::Unknown),
        }
    }
}

/// A reply that has been read.
#[derive(Clone, Debug)]
pub(crate) struct AnswerReading<D> {
    pub(crate) decision: D,
    /// One word for histories and goose's report.
    pub(crate) word: &'static str,
    /// How long the gateway wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// Where the reply strays from the contract.
    pub(crate) findings: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    r#type: String,
    retry_after_ms: Option<u64>,
    items: Vec<String>,
    r#final: bool,
}

/// What a change to a reservation is to end in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// A confirm or a cancel: this state.
    State(&'static str),
    /// An amendment: still held, perhaps otherwise.
    Amended,
}

/// What a gateway made of a confirm, a cancel or an amendment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChangeAnswer {
    /// With the reservation as it was shown, if it could be read.
    Done(Option<Hold>),
    Refused(String),
    /// Certainly not done: come again.
    Again(&'static str),
    Unknown,
}

/// Reads the answer to a tap; `Err` is a request that got none.
pub(crate) fn to_tap(reply: &Result<Reply, Lost>) -> AnswerReading<Decision> {
    let Ok(reply) = reply else {
        return lost(Decision::Unknown);
    };
    let mut findings = Vec::new();
    if matches!(reply.status, 200 | 201) {
        let (decision, word) = match serde_json::from_str::<Hold>(&reply.body) {
            Err(error) => {
                findings.push(format!("{} without a readable reservation: {error}", reply.status));
                (Decision::Wrong, "wrong")
            }
            Ok(hold) if reply.status == 201 => {
                if reply.location.is_none() {
                    findings.push("201 without Location".to_owned());
                }
                (Decision::Won(hold), "won")
            }
            Ok(hold) => {
                if !reply.replayed {
                    findings.push("200 without Idempotency-Replayed: true".to_owned());
                }
                (Decision::Replayed(hold), "replayed")
            }
        };
        return AnswerReading { decision, word, retry_after: None, findings };
    }
    let (name, problem) = read_problem(reply, &mut findings);
    let (decision, word) = match (reply.status, name.as_str()) {
        (409, "sold-out") => (Decision::SoldOut { items: problem.items, last: problem.r#final }, "sold-out"),
        (409, "purchase-limit") => (Decision::PurchaseLimit, "purchase-limit"),
        (409, "sale-not-open") => (Decision::Later, "not-open"),
        (409, "sale-paused") => (Decision::Later, "paused"),
        (410, "sale-closed") => (Decision::Closed, "closed"),
        (429, "quota-exceeded") => (Decision::Limited, "limited"),
        (503, "temporary-reduced-capacity") => (Decision::Shed, "shed"),
        (503, "outcome-unknown") => (Decision::Unknown, "unknown"),
        // Whatever stands between us and the gateway may not have passed the tap on, or may have.
        (502..=504, _) => (Decision::Unknown, "unknown"),
        (status, name) => {
            findings.push(format!("{status} {name:?} to a tap that was all right"));
            (Decision::Wrong, "wrong")
        }
    };
    if matches!(decision, Decision::Later | Decision::Limited | Decision::Shed) && reply.retry_after.is_none()
    {
        findings.push(format!("{} {name} without Retry-After", reply.status));
    }
    AnswerReading { decision, word, retry_after: pause(reply, problem.retry_after_ms), findings }
}

/// Reads the answer to a confirm, a cancel or an amendment.
pub(crate) fn to_change(reply: &Result<Reply, Lost>, expect: Expect) -> AnswerReading<ChangeAnswer> {
    let Ok(reply) = reply else {
        return lost(ChangeAnswer::Unknown);
    };
    let mut findings = Vec::new();
    if reply.status == 200 {
        let hold = serde_json::from_str::<Hold>(&reply.body);
        let state = match expect {
            Expect::State(state) => state,
            Expect::Amended => "held",
        };
        match &hold {
            Ok(hold) if hold.state == state => {}
            Ok(hold) => findings.push(format!("200, but the state is {:?} instead of {state:?}", hold.state)),
            Err(error) => findings.push(format!("200 without a readable reservation: {error}")),
        }
        return AnswerReading {
            decision: ChangeAnswer::Done(hold.ok()),
            word: "done",
            retry_after: None,
            findings,
        };
    }
    let (name, problem) = read_problem(reply, &mut findings);
    let (decision, word) = match (reply.status, name.as_str()) {
        (409, "reservation-not-held" | "reservation-changed" | "payment-conflict") => {
            (ChangeAnswer::Refused(name.to_owned()), "refused")
        }
        (409, "sold-out") if expect == Expect::Amended => (ChangeAnswer::Refused(name.clone()), "sold-out"),
        (429, "quota-exceeded") => (ChangeAnswer::Again("limited"), "limited"),
        (503, "temporary-reduced-capacity") => (ChangeAnswer::Again("shed"), "shed"),
        (502..=504, _) => (ChangeAnswer::Unknown, "unknown"),
        (status, name) => {
            findings
                .push(format!("{status} {name:?} to {}, which the contract does not allow", expect.words()));
            // After a 500 the result is unknown.
            (
                if status >= 500 { ChangeAnswer::Unknown } else { ChangeAnswer::Refused(name.to_owned()) },
                "wrong",
            )
        }
    };
    AnswerReading { decision, word, retry_after: pause(reply, problem.retry_after_ms), findings }
}

impl Expect {
    fn words(self) -> String {
        match self {
            Expect::State(state) => format!("a request to be {state}"),
            Expect::Amended => "an amendment".to_owned(),
        }
    }
}

fn lost<D>(decision: D) -> AnswerReading<D> {
    AnswerReading { decision, word: "lost", retry_after: None, findings: Vec::new() }
}

/// The problem's name (`sold-out`) and members.
fn read_problem(reply: &Reply, findings: &mut Vec<String>) -> (String, Problem) {
    // 502 and 504 are not the gateway's own: something stands before it.
    if !matches!(reply.status, 502 | 504) && !reply.content_type.starts_with("application/problem+json") {
        findings.push(format!("{} with content type {:?}", reply.status, reply.content_type));
    }
    let problem: Problem = serde_json::from_str(&reply.body).unwrap_or_default();
    let name = problem.r#type.rsplit('/').next().unwrap_or_default().to_owned();
    (name, problem)
}

/// Prefers the finer of the two; without either, the caller chooses.
fn pause(reply: &Reply, retry_after_ms: Option<u64>) -> Option<Duration> {
    retry_after_ms.map(Duration::from_millis).or(reply.retry_after.map(Duration::from_secs))
}

#[cfg(test)]
mod tests;
