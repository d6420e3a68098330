//! Parses thresholds, and checks a run's figures against them.

mod syntax;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;

use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::base::span;
use crate::figures::{Figures, Latency};

pub(crate) use syntax::request;

/// A condition on a figure; [`Threshold::parse`] describes the syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Threshold {
    subject: Subject,
    ask: Ask,
    op: Op,
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    /// Taps; `scenario: None` is all honest ones together.
    Taps {
        scenario: Option<Scenario>,
        which: Which,
    },
    /// When the taps of the opening left.
    Opening,
    /// Starts that were late, and how late starts were.
    Late,
    Unsent,
    Retries,
    /// Those of one name, or all.
    Requests(Option<String>),
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
}

impl Threshold {
    /// The request that it is about.
    pub(crate) fn request_name(&self) -> Option<&str> {
        match &self.subject {
            Subject::Requests(Some(name)) => Some(name),
            _ => None,
        }
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
    /// Reads `[SCENARIO/]NAME[.STAT] OP VALUE`, like `won.p99 < 250ms`, `bots/limited > 90%` or `wrong < 1`:
    /// - NAME is an outcome, `winners` (all outcomes that hold), `losers` (all refusals): of the scenario, or of all
    ///   honest scenarios together. Or, for the run as a whole, bots included: `t0_skew`, `late`, `unsent`, `retries`,
    ///   `request` (all), `request:reserve`, `request:"look at the sale"`
    /// - STAT is `p50`, `p99.9`, `max`, `mean`, and VALUE then a time, like `250ms`. `late.p99` is of how late all starts
    ///   were, `t0_skew.p99` of how late after the opening its taps left, `t0_skew` alone from the first to the last
    /// - without STAT a whole number is a count, and `1%` a share of all taps of the scenarios, whatever came of them;
    ///   for `late` and `unsent` of all intended starts
    /// - OP is one of `<`, `<=`, `>`, `>=`
    pub(crate) fn parse(text: &str) -> Result<Threshold, String> {
        syntax::read(text.trim()).map_err(|error| format!("the threshold {text:?}: {error}"))
    }

    /// Checks the figures. A threshold without samples is not judged: a scenario that did not run
    /// has not failed.
    pub(crate) fn judge(&self, figures: &Figures) -> Judged {
        let (measured, met) = match self.ask {
            Ask::Time(stat, limit) => match self.time(figures, stat) {
                None => (self.nothing(figures), None),
                Some(time) => (words(time, limit), Some(self.op.holds(time, limit))),
            },
            Ask::Count(limit) => match self.parts(figures) {
                (_, 0) => (self.nothing(figures), None),
                (count, _) => (count.to_string(), Some(self.op.holds(count, limit))),
            },
            Ask::Share(limit) => match self.parts(figures) {
                (_, 0) => (self.nothing(figures), None),
                (part, whole) => {
                    let percent = part as f64 * 100.0 / whole as f64;
                    let parts = u128::from(part) * u128::from(syntax::WHOLE_SHARE);
                    let met = self.op.holds(parts, u128::from(limit) * u128::from(whole));
                    (format!("{percent:.2} % ({part} of {whole})"), Some(met))
                }
            },
        };
        Judged { threshold: self.to_string(), measured, met }
    }

    fn time(&self, figures: &Figures, stat: Stat) -> Option<Duration> {
        match &self.subject {
            Subject::Opening if stat == Stat::Spread => figures.opening.spread(),
            Subject::Opening => stat.of(&figures.opening.skew),
            Subject::Late => stat.of(&figures.lateness),
            Subject::Taps { scenario, which } => {
                stat.of(&figures.latency(|own, outcome| is_in(*scenario, own) && which.has(outcome)))
            }
            Subject::Requests(name) => stat.of(&requests(figures, name.as_deref())),
            // The syntax has no times of these.
            Subject::Unsent | Subject::Retries => None,
        }
    }

    /// How many there are, and of how many.
    fn parts(&self, figures: &Figures) -> (u64, u64) {
        let intended = figures.intended();
        match &self.subject {
            Subject::Taps { scenario, which } => {
                let count = |which: &dyn Fn(Outcome) -> bool| {
                    figures.latency(|own, outcome| is_in(*scenario, own) && which(outcome)).count()
                };
                (count(&|outcome| which.has(outcome)), count(&|_| true))
            }
            Subject::Late => (figures.late, intended),
            Subject::Unsent => (figures.unsent, intended),
            Subject::Retries => (figures.retries, figures.latency(|_, _| true).count()),
            Subject::Opening => (figures.opening.skew.count(), figures.opening.skew.count()),
            Subject::Requests(name) => {
                let count = requests(figures, name.as_deref()).count();
                (count, count)
            }
        }
    }

    /// Why there is nothing to judge.
    fn nothing(&self, figures: &Figures) -> String {
        match &self.subject {
            Subject::Taps { scenario, which } => {
                let of = scenario.map_or("honest buyers", Scenario::name);
                match self.parts(figures) {
                    (_, 0) => format!("no taps of {of}"),
                    (_, taps) => format!("none of {taps} taps of {of} ended as {}", which.name()),
                }
            }
            Subject::Opening => "no tap was meant for the opening".to_owned(),
            Subject::Late | Subject::Unsent => "nothing was to start".to_owned(),
            Subject::Retries => "no taps".to_owned(),
            Subject::Requests(None) => "no requests".to_owned(),
            Subject::Requests(Some(name)) => {
                let names: Vec<&str> = figures.requests.keys().map(String::as_str).collect();
                format!("no requests {name:?}; there were: {}", names.join(", "))
            }
        }
    }
}

fn is_in(wanted: Option<Scenario>, scenario: Scenario) -> bool {
    wanted.map_or(scenario.is_honest(), |wanted| wanted == scenario)
}

fn requests(figures: &Figures, name: Option<&str>) -> Latency {
    let mut all = Latency::default();
    for (own, latency) in &figures.requests {
        if name.is_none_or(|name| name == own) {
            all.add(latency);
        }
    }
    all
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
