//! Measures in a run's figures what a threshold asks for.

use std::time::Duration;

use crate::base::requests::is_of_buyers;
use crate::base::scenario::Scenario;
use crate::figures::{Figures, Latency, RequestFigures};
use crate::threshold::{Names, RequestPart, Stat, StepPart, Subject};

impl Subject {
    /// A time; `None` without samples.
    pub(super) fn time(&self, figures: &Figures, stat: Stat) -> Option<Duration> {
        match self {
            Subject::Opening if stat == Stat::Spread => figures.opening.spread(),
            _ => stat.of(&self.latency(figures)),
        }
    }

    /// Of what is timed; empty for all else.
    pub(super) fn latency(&self, figures: &Figures) -> Latency {
        match self {
            Subject::Taps { scenario, which } => {
                figures.latency(|own, outcome| is_in(*scenario, own) && which.has(outcome))
            }
            Subject::Journeys(scenario) => journeys(figures, *scenario),
            Subject::Requests(names, RequestPart::Times(of)) => requests(figures, names).latency(*of),
            Subject::Opening => figures.opening.skew.clone(),
            Subject::Late => figures.lateness.clone(),
            // The syntax has no times of these.
            Subject::Unsent | Subject::Retries | Subject::Requests(..) | Subject::Steps(..) => {
                Latency::default()
            }
        }
    }

    /// How many there are, and of how many.
    pub(super) fn parts(&self, figures: &Figures) -> (u64, u64) {
        match self {
            Subject::Taps { scenario, which } => {
                let of = |all: bool| {
                    figures
                        .latency(|own, outcome| is_in(*scenario, own) && (all || which.has(outcome)))
                        .count()
                };
                (of(false), of(true))
            }
            Subject::Journeys(scenario) => {
                let count = journeys(figures, *scenario).count();
                (count, count)
            }
            Subject::Late => (figures.late, figures.intended()),
            Subject::Unsent => (figures.unsent, figures.intended()),
            Subject::Retries => (figures.retries, figures.latency(|_, _| true).count()),
            Subject::Opening => (figures.opening.skew.count(), figures.opening.skew.count()),
            Subject::Requests(names, part) => {
                let requests = requests(figures, names);
                let sent = requests.sent_count();
                let count = match part {
                    RequestPart::Times(_) | RequestPart::Sent => sent,
                    RequestPart::Answered | RequestPart::Rate => requests.answered_count(),
                    RequestPart::Failed => requests.failed,
                    RequestPart::Limited => requests.limited,
                    RequestPart::Shed => requests.shed,
                    RequestPart::Lost => requests.lost_count(),
                    RequestPart::Status(status) => requests.by_status.get(status).copied().unwrap_or(0),
                };
                (count, sent)
            }
            Subject::Steps(names, part) => {
                let steps = requests(figures, names).steps;
                let count = match part {
                    StepPart::Done => steps.done,
                    StepPart::Refused => steps.refused,
                    StepPart::Undecided => steps.undecided,
                };
                (count, steps.count())
            }
        }
    }

    /// Whether it is about a scenario that may be left out of a run.
    pub(super) fn is_of_a_scenario(&self) -> bool {
        matches!(self, Subject::Taps { scenario: Some(_), .. } | Subject::Journeys(Some(_)))
    }

    /// For rates: from the first request to the end of the last.
    pub(super) fn lasted(&self, figures: &Figures) -> Duration {
        match self {
            Subject::Requests(names, _) => requests(figures, names).lasted(),
            _ => Duration::ZERO,
        }
    }

    /// Why there is nothing to judge.
    pub(super) fn nothing(&self, figures: &Figures) -> String {
        match self {
            Subject::Taps { scenario, which } => {
                let of = scenario.map_or("honest buyers", Scenario::name);
                match self.parts(figures) {
                    (_, 0) => format!("no taps of {of}"),
                    (_, taps) => format!("none of {taps} taps of {of} ended as {}", which.name()),
                }
            }
            Subject::Journeys(scenario) => {
                format!("no journey of {}", scenario.map_or("honest buyers", Scenario::name))
            }
            Subject::Opening => "no tap was meant for the opening".to_owned(),
            Subject::Late | Subject::Unsent => "nothing was to start".to_owned(),
            Subject::Retries => "no taps".to_owned(),
            Subject::Requests(Names::One(name), _) => no_requests(figures, name),
            Subject::Steps(Names::One(name), _) => format!("no step {name:?} ended"),
            Subject::Requests(..) => "no requests".to_owned(),
            Subject::Steps(..) => "no step ended".to_owned(),
        }
    }
}

fn no_requests(figures: &Figures, name: &str) -> String {
    match figures.requests.get(name) {
        Some(_) => format!("no request {name:?} ended so"),
        None => {
            let names: Vec<&str> = figures.requests.keys().map(String::as_str).collect();
            format!("no requests {name:?}; there were: {}", names.join(", "))
        }
    }
}

fn is_in(wanted: Option<Scenario>, scenario: Scenario) -> bool {
    wanted.map_or(scenario.is_honest(), |wanted| wanted == scenario)
}

/// The requests that there were, without those of bots.
pub(super) fn names_of_buyers(figures: &Figures) -> impl Iterator<Item = &str> {
    figures.requests.keys().map(String::as_str).filter(|name| is_of_buyers(name))
}

fn requests(figures: &Figures, names: &Names) -> RequestFigures {
    let mut all = RequestFigures::default();
    for (own, requests) in &figures.requests {
        let is_meant = match names {
            Names::All | Names::Each => is_of_buyers(own),
            Names::One(name) => name == own,
        };
        if is_meant {
            all.add(requests);
        }
    }
    all
}

fn journeys(figures: &Figures, scenario: Option<Scenario>) -> Latency {
    let mut all = Latency::default();
    for (own, journeys) in &figures.journeys {
        if is_in(scenario, *own) {
            all.add(journeys);
        }
    }
    all
}
