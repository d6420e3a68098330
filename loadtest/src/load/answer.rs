//! Parses answers: the decision in a reply, and its deviations from the contract.

use std::time::Duration;

use serde::Deserialize;

use crate::base::outcome::Outcome;
use crate::client::{Lost, Reply};
use crate::figures::AnswerClass;
use crate::load::history::{Hold, LIMITED, SHED, Step};

/// A reply that has been read. `R` is what came of the request: the outcome of a tap, the step of a change.
#[derive(Clone, Debug)]
pub(crate) struct AnswerReading<R> {
    pub(crate) result: R,
    /// Whether it stays at this result; otherwise the request is to be tried again.
    pub(crate) ends: bool,
    /// The reservation as it was shown, if it could be read.
    pub(crate) hold: Option<Hold>,
    /// The members of a refusal.
    pub(crate) problem: Problem,
    /// One word for histories and goose's report.
    pub(crate) word: &'static str,
    /// How the answer counts; a lost one counts as lost.
    pub(crate) class: AnswerClass,
    /// How long the gateway asks clients to wait.
    pub(crate) retry_after: Option<Duration>,
    /// Where the reply deviates from the contract.
    pub(crate) findings: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    r#type: String,
    retry_after_ms: Option<u64>,
    pub(crate) items: Vec<String>,
    pub(crate) r#final: bool,
}

/// What a change to a reservation is to end in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// A confirm or a cancel: this state.
    State(&'static str),
    /// An amendment: still held, perhaps otherwise.
    Amended,
}

/// What a confirm is to end in.
pub(crate) const CONFIRMED: Expect = Expect::State("confirmed");

impl<R> AnswerReading<R> {
    fn new(result: R, ends: bool, word: &'static str) -> AnswerReading<R> {
        let (problem, class) = (Problem::default(), AnswerClass::Decided);
        AnswerReading {
            result,
            ends,
            hold: None,
            problem,
            word,
            class,
            retry_after: None,
            findings: Vec::new(),
        }
    }
}

impl AnswerReading<Outcome> {
    /// The outcome without a further try. `Unknown` stays: a later 429 or 503 does not decide the
    /// earlier request.
    pub(crate) fn gives_up_as(&self, unknown_before: bool) -> Outcome {
        if unknown_before { Outcome::Unknown } else { self.result }
    }
}

/// Reads the answer to a tap; `Err` is a request that got none.
pub(crate) fn to_tap(reply: &Result<Reply, Lost>) -> AnswerReading<Outcome> {
    let Ok(reply) = reply else {
        return AnswerReading::new(Outcome::Unknown, false, "lost");
    };
    if matches!(reply.status, 200 | 201) {
        let read = serde_json::from_str::<Hold>(&reply.body);
        let (outcome, word, finding) = match (&read, reply.status) {
            (Err(error), status) => {
                (Outcome::Wrong, "wrong", Some(format!("{status} without a readable reservation: {error}")))
            }
            (Ok(_), 201) => {
                (Outcome::Won, "won", reply.location.is_none().then(|| "201 without Location".to_owned()))
            }
            (Ok(_), _) => {
                let finding = || "200 without Idempotency-Replayed: true".to_owned();
                (Outcome::Replayed, "replayed", (!reply.replayed).then(finding))
            }
        };
        let findings = Vec::from_iter(finding);
        let class = class_of(reply.status, "", &findings);
        let hold = read.ok().map(|hold| Hold { is_new: reply.status == 201, ..hold });
        return AnswerReading { hold, findings, class, ..AnswerReading::new(outcome, true, word) };
    }
    let (problem, mut findings) = read_problem(reply);
    let name = problem.name();
    let (result, ends, word) = match (reply.status, name) {
        (409, "sold-out") => (Outcome::SoldOut, true, "sold-out"),
        (409, "purchase-limit") => (Outcome::PurchaseLimit, true, "purchase-limit"),
        (409, "sale-not-open") => (Outcome::Refused, false, "not-open"),
        (409, "sale-paused") => (Outcome::Refused, false, "paused"),
        (410, "sale-closed") => (Outcome::Refused, true, "closed"),
        (429, "quota-exceeded") => (Outcome::Limited, false, "limited"),
        (503, "temporary-reduced-capacity") => (Outcome::Shed, false, "shed"),
        // Possibly taken: only a retry with the same key shows it. A proxy in front of the gateway may
        // not have passed the tap on, or may have.
        (502..=504, _) => (Outcome::Unknown, false, "unknown"),
        (status, name) => {
            findings.push(format!("{status} {name:?} to a tap that was all right"));
            (Outcome::Wrong, true, "wrong")
        }
    };
    findings.extend(unnamed(word, &problem));
    if !ends && result != Outcome::Unknown && reply.retry_after.is_none() {
        findings.push(format!("{} {name} without Retry-After", reply.status));
    }
    let (retry_after, class) = (pause(reply, &problem), class_of(reply.status, problem.name(), &findings));
    AnswerReading { result, ends, hold: None, problem, word, class, retry_after, findings }
}

/// Reads the answer to a request of a buyer who signs up or waits; `done` are the statuses of what is done.
pub(crate) fn to_wait(
    reply: &Result<Reply, Lost>,
    done: &[u16],
    allowed: &[Refusal],
    what: &str,
) -> AnswerReading<Step> {
    match reply {
        Err(_) => AnswerReading::new(Step::Unknown, false, "lost"),
        Ok(reply) if done.contains(&reply.status) => AnswerReading::new(Step::Done, true, "done"),
        Ok(reply) => to_step(reply, allowed, what),
    }
}

/// Whether it says that a buyer has none of what was asked for.
pub(crate) fn is_none(reply: &Reply, problem: &str) -> bool {
    reply.status == 404 && read_problem(reply).0.name() == problem
}

/// Reads the answer to a confirm, a cancel or an amendment.
pub(crate) fn to_change(reply: &Result<Reply, Lost>, expect: Expect) -> AnswerReading<Step> {
    let Ok(reply) = reply else {
        return AnswerReading::new(Step::Unknown, false, "lost");
    };
    if reply.status == 200 {
        let hold = serde_json::from_str::<Hold>(&reply.body);
        let state = match (&hold, expect) {
            (_, Expect::State(state)) => state,
            // Some sales let buyers configure what they have paid for.
            (Ok(hold), Expect::Amended) if hold.state == "confirmed" => "confirmed",
            (_, Expect::Amended) => "held",
        };
        let finding = match &hold {
            Ok(hold) if hold.state == state => None,
            Ok(hold) => Some(format!("200, but the state is {:?} instead of {state:?}", hold.state)),
            Err(error) => Some(format!("200 without a readable reservation: {error}")),
        };
        let (hold, findings) = (hold.ok(), Vec::from_iter(finding));
        let class = class_of(200, "", &findings);
        return AnswerReading { hold, findings, class, ..AnswerReading::new(Step::Done, true, "done") };
    }
    let own: &[Refusal] = match expect {
        CONFIRMED => &[(409, "payment-conflict")],
        Expect::Amended => &[(409, "sold-out")],
        Expect::State(_) => &[],
    };
    let allowed = [&[(409, "reservation-not-held"), (409, "reservation-changed")], own].concat();
    to_step(reply, &allowed, &expect.words())
}

/// A refusal for good: the status and the problem.
pub(crate) type Refusal = (u16, &'static str);

/// Reads the answer to a request that does something, where it is not done. `what` it was, in words.
pub(crate) fn to_step(reply: &Reply, allowed: &[Refusal], what: &str) -> AnswerReading<Step> {
    let (problem, mut findings) = read_problem(reply);
    let refused = |why: &str| Step::Refused(why.to_owned());
    let (result, ends, word) = match (reply.status, problem.name()) {
        (status, name) if allowed.contains(&(status, name)) => {
            (refused(name), true, if name == "sold-out" { "sold-out" } else { "refused" })
        }
        // Certainly not done: retry later.
        (429, "quota-exceeded") => (refused(LIMITED), false, LIMITED),
        (503, "temporary-reduced-capacity") => (refused(SHED), false, SHED),
        (502..=504, _) => (Step::Unknown, false, "unknown"),
        (status, name) => {
            findings.push(format!("{status} {name:?} to {what}, which the contract does not allow"));
            // After a 500 the result is unknown.
            if status >= 500 { (Step::Unknown, false, "wrong") } else { (refused(name), true, "wrong") }
        }
    };
    findings.extend(unnamed(word, &problem));
    let (retry_after, class) = (pause(reply, &problem), class_of(reply.status, problem.name(), &findings));
    AnswerReading { result, ends, hold: None, problem, word, class, retry_after, findings }
}

/// A refusal as sold out that does not say what is: nothing could be held against the ledger.
fn unnamed(word: &str, problem: &Problem) -> Option<String> {
    (word == "sold-out" && problem.items.is_empty()).then(|| "409 sold-out without items".to_owned())
}

/// How the answer to a read counts; `is_seen`: it is what was asked for, in full.
pub(crate) fn class_of_read(reply: &Reply, is_seen: bool) -> AnswerClass {
    if is_seen {
        return AnswerClass::Decided;
    }
    let (problem, findings) = read_problem(reply);
    match class_of(reply.status, problem.name(), &findings) {
        AnswerClass::Decided => AnswerClass::Failed,
        class => class,
    }
}

/// How an answer with this problem counts. 502, 504 and a 503 without a problem of the contract are not the gateway's:
/// something before it had no answer.
fn class_of(status: u16, problem: &str, findings: &[String]) -> AnswerClass {
    match (status, problem) {
        _ if !findings.is_empty() => AnswerClass::Failed,
        (429, "quota-exceeded") => AnswerClass::Limited,
        (503, "temporary-reduced-capacity") => AnswerClass::Shed,
        (503, "outcome-unknown") => AnswerClass::Unknown,
        (500.., _) => AnswerClass::Failed,
        _ => AnswerClass::Decided,
    }
}

impl Expect {
    fn words(self) -> String {
        match self {
            Expect::State(state) => format!("a request to be {state}"),
            Expect::Amended => "an amendment".to_owned(),
        }
    }
}

impl Problem {
    /// As the contract names it, like `sold-out`.
    fn name(&self) -> &str {
        self.r#type.rsplit('/').next().unwrap_or_default()
    }
}

/// The problem, and whether it is written as one.
fn read_problem(reply: &Reply) -> (Problem, Vec<String>) {
    let mut findings = Vec::new();
    // 502 and 504 are not the gateway's own: something stands before it.
    if !matches!(reply.status, 502 | 504) && !reply.content_type.starts_with("application/problem+json") {
        findings.push(format!("{} with content type {:?}", reply.status, reply.content_type));
    }
    (serde_json::from_str(&reply.body).unwrap_or_default(), findings)
}

/// Prefers the finer of the two; without either, the caller chooses.
fn pause(reply: &Reply, problem: &Problem) -> Option<Duration> {
    problem.retry_after_ms.map(Duration::from_millis).or(reply.retry_after.map(Duration::from_secs))
}

#[cfg(test)]
mod tests;
