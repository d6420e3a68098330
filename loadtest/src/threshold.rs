//! Parses thresholds, and checks a run's figures against them.

mod certainty;
mod fault;
mod measure;
mod syntax;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;

use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::base::span;
use crate::figures::{Figures, Latency, Population};

pub(crate) use certainty::{RunBounds, ScenarioBounds};
pub(crate) use fault::{Fault, Queued, latest};
pub(crate) use syntax::request;

/// A condition on a figure; [`Threshold::parse`] describes the syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Threshold {
    subject: Subject,
    ask: Ask,
    op: Op,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    /// Taps; `scenario: None` is all honest ones together.
    Taps {
        scenario: Option<Scenario>,
        which: Which,
    },
    /// Whole journeys; `None` is those of all honest scenarios together.
    Journeys(Option<Scenario>),
    /// When the taps of the opening left.
    Opening,
    /// Starts that were late, and how late starts were.
    Late,
    Unsent,
    Retries,
    Requests(Names, RequestPart),
    /// Requests with their retries.
    Steps(Names, StepPart),
}

/// Which requests.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    /// Those of buyers, together.
    All,
    /// Those of buyers, each name by itself: every one must meet the limit.
    Each,
    One(String),
}

/// Which of the requests of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestPart {
    /// Of these a time is asked for.
    Times(Population),
    Sent,
    Answered,
    Failed,
    Limited,
    Shed,
    Lost,
    Status(u16),
    /// Answers a second.
    Rate,
}

/// Which of the steps of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepPart {
    Done,
    Refused,
    Undecided,
}

/// Which taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    One(Outcome),
    Winners,
    Losers,
}

/// What is asked of it, with the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Time(Stat, Duration),
    Count(u64),
    /// In millionths of a percent: shares are compared in whole numbers, so that 7 of 100 are not more than 7 %.
    Share(u64),
    /// In thousandths a second.
    Rate(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stat {
    /// In thousandths of a percent, up to 100 %: in binary 99.9 / 100 exceeds 0.999, which would
    /// need one more of 1,000 values.
    Quantile(u64),
    Max,
    Mean,
    /// From the first tap of the opening to the last one.
    Spread,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Less,
    AtMost,
    More,
    AtLeast,
}

/// How a threshold and the figures compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Judged {
    pub(crate) threshold: String,
    /// In words.
    pub(crate) measured: String,
    /// `None`: there was nothing to judge.
    pub(crate) met: Option<bool>,
    /// What a miss is put down to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<Fault>,
}

impl Judged {
    /// What was asked for and what came of it.
    pub(crate) fn words(&self) -> String {
        format!("{} expected, measured {}", self.threshold, self.measured)
    }
}

impl Which {
    fn has(self, outcome: Outcome) -> bool {
        match self {
            Which::One(one) => outcome == one,
            Which::Winners => outcome.holds(),
            Which::Losers => outcome.lost(),
        }
    }

    fn named(name: &str) -> Option<Which> {
        match name {
            "winners" => Some(Which::Winners),
            "losers" => Some(Which::Losers),
            name => Outcome::named(name).map(Which::One),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Which::One(outcome) => outcome.name(),
            Which::Winners => "winners",
            Which::Losers => "losers",
        }
    }
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Op::Less => "<",
            Op::AtMost => "<=",
            Op::More => ">",
            Op::AtLeast => ">=",
        }
    }

    fn holds<T: Ord>(self, measured: T, limit: T) -> bool {
        match self {
            Op::Less => measured < limit,
            Op::AtMost => measured <= limit,
            Op::More => measured > limit,
            Op::AtLeast => measured >= limit,
        }
    }

    /// Whether the limit is the most that is allowed.
    fn is_upper(self) -> bool {
        matches!(self, Op::Less | Op::AtMost)
    }
}

impl Stat {
    fn of(self, latency: &Latency) -> Option<Duration> {
        match self {
            Stat::Quantile(thousandths) => latency.at(thousandths as f64 / 100_000.0),
            Stat::Mean => latency.mean(),
            Stat::Max | Stat::Spread => latency.max(),
        }
    }
}

impl Threshold {
    /// Reads `[SCENARIO/]NAME[.PART][.STAT] OP VALUE`, like `won.p99 < 250ms`, `bots/limited > 90%` or `wrong < 1`.
    ///
    /// NAME is one of
    /// - an outcome, `winners` (all outcomes that hold), `losers` (all refusals), or `journey`, from the intended start
    ///   to the end without its buyer's pauses: of the scenario, or of all honest scenarios together
    /// - `t0_skew`, `late`, `unsent`, `retries`: of the run as a whole, bots included
    /// - `request` (all of buyers together), `request:*` (each name by itself), `request:reserve`. PART is `sent`,
    ///   `answered`, `failed` (the contract does not allow the answer), `limited`, `shed`, `lost`, `status:503`, or
    ///   `rate`: answers a second, from the first request to the last answer, with a VALUE like `100/s`
    /// - `step`, `step:*`, `step:confirm`: a request with its retries. PART is `done`, `refused` or `undecided`
    /// - short for some of these: `lost`, `failed`, `status:500` (of all requests); `confirmed`, `cancelled`, `amended`
    ///
    /// STAT is `p50`, `p99.9`, `max` or `mean`, and VALUE then a time, like `250ms`. A request's are of all that were
    /// sent, where a lost one counts as long as its client would have waited; `request:reserve.answered.p99` leaves these
    /// out, and `request:reserve.decided.p99` also what was limited, shed or wrong. `late.p99` is of how late all starts
    /// were, `t0_skew.p99` of how late after the opening its taps left, `t0_skew` alone from the first to the last.
    ///
    /// Without STAT a whole number is a count, and `1%` a share: of all taps of the scenarios, whatever came of them; for `late` and `unsent` of all
    /// intended starts; for a request's PART of those that were sent, for a step's of all that ended.
    ///
    /// OP is one of `<`, `<=`, `>`, `>=`.
    pub(crate) fn parse(text: &str) -> Result<Threshold, String> {
        syntax::read(text.trim()).map_err(|error| format!("the threshold {text:?}: {error}"))
    }

    /// The request that it is about.
    pub(crate) fn request_name(&self) -> Option<&str> {
        match &self.subject {
            Subject::Requests(Names::One(name), _) | Subject::Steps(Names::One(name), _) => Some(name),
            _ => None,
        }
    }

    /// Checks the figures. A threshold without samples is not judged: a scenario that did not run
    /// has not failed.
    pub(crate) fn judge(&self, figures: &Figures, queued: Queued) -> Judged {
        let (measured, met) = match self.each_of(figures) {
            Some(each) => self.judge_each(figures, &each),
            None => self.judge_one(&self.subject, figures),
        };
        let fault = (met == Some(false)).then(|| self.fault(figures, queued));
        Judged { threshold: self.to_string(), measured, met, fault }
    }

    /// Where each name is judged by itself: its subjects.
    fn each_of(&self, figures: &Figures) -> Option<Vec<(String, Subject)>> {
        let names = measure::names_of_buyers(figures);
        let each = |subject: &dyn Fn(Names) -> Subject| {
            names.map(|name| (name.to_owned(), subject(Names::One(name.to_owned())))).collect()
        };
        match self.subject {
            Subject::Requests(Names::Each, part) => Some(each(&|name| Subject::Requests(name, part))),
            Subject::Steps(Names::Each, part) => Some(each(&|name| Subject::Steps(name, part))),
            _ => None,
        }
    }

    /// All names that miss the limit, or how many meet it.
    fn judge_each(&self, figures: &Figures, each: &[(String, Subject)]) -> (String, Option<bool>) {
        let (mut met, mut missed) = (Vec::new(), Vec::new());
        for (name, subject) in each {
            match self.judge_one(subject, figures) {
                (_, None) => {}
                (_, Some(true)) => met.push(name.as_str()),
                (measured, Some(false)) => missed.push(format!("{name} {measured}")),
            }
        }
        match (met.is_empty(), missed.is_empty()) {
            (_, false) => (missed.join(", "), Some(false)),
            (false, true) => (format!("met by each of {}", met.join(", ")), Some(true)),
            (true, true) => (self.subject.nothing(figures), None),
        }
    }

    fn judge_one(&self, subject: &Subject, figures: &Figures) -> (String, Option<bool>) {
        let nothing = || (subject.nothing(figures), None);
        // Nothing is also fewer than what is asked for at least; but a scenario that did not run has not failed.
        let is_missed = !self.op.is_upper() && !subject.is_of_a_scenario();
        match self.ask {
            Ask::Time(stat, limit) => match subject.time(figures, stat) {
                None => nothing(),
                Some(time) => (words(time, limit), Some(self.op.holds(time, limit))),
            },
            Ask::Count(limit) => match subject.parts(figures) {
                (0, 0) if !is_missed => nothing(),
                (count, _) => (count.to_string(), Some(self.op.holds(count, limit))),
            },
            Ask::Share(limit) => match subject.parts(figures) {
                (_, 0) if !is_missed => nothing(),
                (part, whole) => {
                    let percent = part as f64 * 100.0 / whole.max(1) as f64;
                    let parts = u128::from(part) * u128::from(syntax::WHOLE_SHARE);
                    let met = whole > 0 && self.op.holds(parts, u128::from(limit) * u128::from(whole));
                    (format!("{percent:.2} % ({part} of {whole})"), Some(met))
                }
            },
            Ask::Rate(limit) => match (subject.parts(figures).0, subject.lasted(figures)) {
                (_, Duration::ZERO) if !is_missed => nothing(),
                (count, lasted) => {
                    let rate = count as f64 / lasted.as_secs_f64().max(1e-6);
                    let (counted, least) =
                        (u128::from(count) * 1_000_000_000, u128::from(limit) * lasted.as_micros());
                    let met = !lasted.is_zero() && self.op.holds(counted, least);
                    (format!("{rate:.1}/s ({count} in {})", span::words(lasted)), Some(met))
                }
            },
        }
    }
}

/// Where rounding makes a time look like its limit, to the microsecond.
fn words(time: Duration, limit: Duration) -> String {
    let words = span::words(time);
    if time != limit && words == span::words(limit) {
        format!("{words} ({} µs)", time.as_micros())
    } else {
        words
    }
}
