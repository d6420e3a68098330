//! Compares two runs: finds what became worse or better beyond noise.
//!
//! A difference counts only by two rules, one of chance and one of size:
//! - A quantile differs if the 95 % confidence intervals of the two runs don't overlap (from order statistics, for any
//!   distribution of latencies), and if it changed by more than 10 %.
//! - A share differs if a two-proportion z-test finds so at 95 %, and if it changed by half a percentage point or more.
//!
//! The rules of chance assume independent samples, but one stall delays thousands of taps of a run at once: two runs of
//! the same program differ by more than their intervals. With 100,000 taps these are so narrow that any difference
//! would count, hence the rules of size. To prove a smaller change, compare many runs, not longer ones.

mod interval;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use interval::Interval;
use serde::Serialize;

use crate::base::outcome::Outcome;
use crate::base::requests::is_of_buyers;
use crate::base::scenario::Scenario;
use crate::base::span;
use crate::figures::{Figures, Latency, Population, RequestFigures};
use crate::threshold::request;

/// The standard normal's quantile of 97.5 %: 95 % lie within so many standard deviations on either side.
const Z: f64 = 1.96;
/// By so much, in percent, a quantile must change.
const CHANGE_MIN_PERCENT: u128 = 10;
/// By so much a share must change: half a percentage point.
const SHARE_CHANGE_MIN: f64 = 0.005;
/// A normal approximation of fewer expected cases than these is none.
const EXPECTED_MIN: f64 = 5.0;

/// The compared quantiles. The tail beyond has too few samples in most runs, and a stall changes it
/// first.
const QUANTILES: [(&str, f64); 2] = [("p50", 0.5), ("p99", 0.99)];

/// Outcomes of which more is worse. The shares of the others depend on the sale and its buyers.
const WORSE_WITH_MORE: [Outcome; 6] =
    [Outcome::Resolved, Outcome::Limited, Outcome::Shed, Outcome::Unknown, Outcome::Refused, Outcome::Wrong];

/// One figure of two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// Like `won.p99`, `shed share`, `request:reserve.p50`, `request:look.lost share`, `crowd/journey.p99`, `t0_skew`.
    pub(crate) what: String,
    /// In words.
    pub(crate) before: String,
    pub(crate) now: String,
    pub(crate) direction: Direction,
    pub(crate) why: String,
}

/// These show the generator, not the server.
const OF_THE_GENERATOR: [&str; 3] = ["t0_skew", "late share", "unsent share"];

impl Difference {
    /// Whether the server got worse.
    pub(crate) fn is_a_regression(&self) -> bool {
        let is_ours = OF_THE_GENERATOR.iter().any(|name| self.what.starts_with(name));
        self.direction == Direction::Worse && !is_ours
    }

    /// As a line for people.
    pub(crate) fn words(&self) -> String {
        let Difference { what, before, now, direction, why } = self;
        format!("{what}: {before} before, {now} now, {} ({why})", direction.word())
    }
}

impl Direction {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Direction::Worse => "WORSE",
            Direction::Better => "better",
            Direction::Same => "no change that counts",
            Direction::TooFew => "too few samples",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    Worse,
    Better,
    /// No change that counts: not a proof that there is none.
    Same,
    /// One of the runs has too few samples.
    TooFew,
}

/// Compares two runs of the same plan: their quantiles first, then their shares, then what is missing now. Taps are
/// those of honest buyers. What neither run has is left out, and so are the quantiles of an outcome that is rare in one
/// of them.
pub(crate) fn compare(before: &Figures, now: &Figures) -> Vec<Difference> {
    let mut differences = quantiles(before, now);
    differences.extend(opening(before, now));
    differences.extend(shares(before, now));
    differences.extend(request_shares(before, now));
    differences.extend(missing(before, now));
    differences
}

fn quantiles(before: &Figures, now: &Figures) -> Vec<Difference> {
    let mut found = Vec::new();
    for (name, which) in [("winners", Outcome::holds as fn(Outcome) -> bool), ("losers", Outcome::lost)] {
        found.extend(latencies(name, &before.honest(which), &now.honest(which)));
    }
    for outcome in Outcome::ALL {
        let [before, now] = [before, now].map(|figures| figures.honest(|own| own == outcome));
        if [&before, &now].into_iter().all(|latency| interval::is_enough(latency.count(), 0.5)) {
            found.extend(latencies(outcome.name(), &before, &now));
        }
    }
    let names: BTreeSet<&String> = before.requests.keys().chain(now.requests.keys()).collect();
    for name in names {
        let [before, now] = [before, now].map(|figures| {
            figures.requests.get(name).map(|requests| requests.latency(Population::Sent)).unwrap_or_default()
        });
        found.extend(latencies(&request(name), &before, &now));
    }
    let scenarios: BTreeSet<&Scenario> = before.journeys.keys().chain(now.journeys.keys()).collect();
    for scenario in scenarios {
        let [before, now] =
            [before, now].map(|figures| figures.journeys.get(scenario).cloned().unwrap_or_default());
        found.extend(latencies(&journey(*scenario), &before, &now));
    }
    found
}

fn latencies(name: &str, before: &Latency, now: &Latency) -> Vec<Difference> {
    if before.count() + now.count() == 0 {
        return Vec::new();
    }
    QUANTILES
        .into_iter()
        .map(|(stat, quantile)| latency(format!("{name}.{stat}"), quantile, before, now))
        .collect()
}

/// One quantile of two distributions, by the rules above.
fn latency(what: String, quantile: f64, before: &Latency, now: &Latency) -> Difference {
    let [was, is] = [before, now].map(|latency| latency.at(quantile));
    let (direction, why) = match (Interval::of(before, quantile), Interval::of(now, quantile)) {
        (Some(old), Some(new)) => judge_quantile(old, new),
        _ => {
            let needed = interval::enough(quantile);
            let why =
                format!("of {} and {} samples; {needed} in each are needed", before.count(), now.count());
            (Direction::TooFew, why)
        }
    };
    Difference { what, before: words(was), now: words(is), direction, why }
}

fn judge_quantile(before: Interval, now: Interval) -> (Direction, String) {
    let (direction, change) = change(before.value, now.value);
    let intervals = format!("the 95 % intervals {before} and {now}");
    if before.overlaps(now) {
        (Direction::Same, format!("{change}, but {intervals} overlap"))
    } else if direction == Direction::Same {
        (direction, format!("{change}, which is not more than {CHANGE_MIN_PERCENT} %"))
    } else {
        (direction, format!("{change}, and {intervals} don't overlap"))
    }
}

/// Whether a time changed by enough to count, and by how much in words.
fn change(before: Duration, now: Duration) -> (Direction, String) {
    let (was, is) = (before.as_micros(), now.as_micros());
    let counts = was.abs_diff(is) * 100 > was * CHANGE_MIN_PERCENT;
    // Nothing is a percentage of 0: what was below a microsecond counts as one.
    let percent = was.abs_diff(is) as f64 * 100.0 / was.max(1) as f64;
    match is.cmp(&was) {
        std::cmp::Ordering::Equal => (Direction::Same, "as before".to_owned()),
        std::cmp::Ordering::Greater if counts => (Direction::Worse, format!("{percent:.1} % longer")),
        std::cmp::Ordering::Greater => (Direction::Same, format!("{percent:.1} % longer")),
        std::cmp::Ordering::Less if counts => (Direction::Better, format!("{percent:.1} % shorter")),
        std::cmp::Ordering::Less => (Direction::Same, format!("{percent:.1} % shorter")),
    }
}

/// The taps of the opening. Their spread is one extreme a run, without an interval: it counts as
/// changed only if the 99th percentile of the skew changed beyond noise in the same direction.
fn opening(before: &Figures, now: &Figures) -> Vec<Difference> {
    let [old, new] = [before, now].map(|figures| &figures.opening);
    let mut found = latencies("t0_skew", &old.skew, &new.skew);
    let (Some(was), Some(is), Some(tail)) = (old.spread(), new.spread(), found.last()) else { return found };
    let (spread, change) = change(was, is);
    let (direction, why) = match (spread, tail.direction) {
        (_, Direction::TooFew) => (Direction::TooFew, tail.why.clone()),
        (Direction::Same, Direction::Same) => (Direction::Same, change),
        (Direction::Same, _) => {
            (Direction::Same, format!("{change}, which is not more than {CHANGE_MIN_PERCENT} %"))
        }
        (spread, tail) if spread == tail => {
            (spread, format!("{change}, and so t0_skew.p99 changed beyond noise"))
        }
        _ => (Direction::Same, format!("{change}, but t0_skew.p99 did not change so beyond noise")),
    };
    let what = "t0_skew".to_owned();
    found.push(Difference { what, before: span::words(was), now: span::words(is), direction, why });
    found
}

fn shares(before: &Figures, now: &Figures) -> Vec<Difference> {
    let of = |count: fn(&Figures) -> (u64, u64)| [count(before), count(now)];
    let mut found = Vec::new();
    // With fewer cars sold to as many buyers, something is lost.
    let winners = of(|figures| (figures.honest(Outcome::holds).count(), figures.honest(|_| true).count()));
    found.extend(share("winners share", winners, Direction::Better));
    for outcome in WORSE_WITH_MORE {
        let parts = [before, now]
            .map(|figures| (figures.honest(|own| own == outcome).count(), figures.honest(|_| true).count()));
        found.extend(share(&format!("{} share", outcome.name()), parts, Direction::Worse));
    }
    let late = of(|figures| (figures.late, figures.intended()));
    found.extend(share("late share", late, Direction::Worse));
    let unsent = of(|figures| (figures.unsent, figures.intended()));
    found.extend(share("unsent share", unsent, Direction::Worse));
    found
}

/// What came of the requests of each name, and of their steps.
fn request_shares(before: &Figures, now: &Figures) -> Vec<Difference> {
    let names: BTreeSet<&String> = before.requests.keys().chain(now.requests.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        let both = [before, now].map(|figures| figures.requests.get(name).cloned().unwrap_or_default());
        let of = |count: fn(&RequestFigures) -> u64| {
            both.each_ref().map(|requests| (count(requests), requests.sent_count()))
        };
        let parts = [
            ("failed", of(|requests| requests.failed)),
            ("limited", of(|requests| requests.limited)),
            ("shed", of(|requests| requests.shed)),
            ("lost", of(RequestFigures::lost_count)),
        ];
        // Bots are limited with good reason.
        for (part, parts) in parts.into_iter().filter(|(part, _)| is_of_buyers(name) || *part != "limited") {
            found.extend(share(&format!("{}.{part} share", request(name)), parts, Direction::Worse));
        }
        let steps = both.each_ref().map(|requests| (requests.steps.undecided, requests.steps.count()));
        found.extend(share(&format!("step:{name}.undecided share"), steps, Direction::Worse));
    }
    found
}

/// What the baseline has and this run does not: the requests of a name, and the journeys of a scenario. Of as few as
/// chance may leave out, that shows nothing.
fn missing(before: &Figures, now: &Figures) -> Vec<Difference> {
    let sent = before.requests.iter().map(|(name, before)| {
        let now = now.requests.get(name).map_or(0, RequestFigures::sent_count);
        (request(name), before.sent_count(), now)
    });
    let journeys = before.journeys.iter().map(|(scenario, before)| {
        (journey(*scenario), before.count(), now.journeys.get(scenario).map_or(0, Latency::count))
    });
    let gone = sent.chain(journeys).filter(|(_, before, now)| *before > 0 && *now == 0);
    gone.map(|(what, before, _)| {
        let (direction, why) = match before as f64 >= EXPECTED_MIN {
            true => (Direction::Worse, "the baseline has it, this run does not".to_owned()),
            false => (Direction::TooFew, format!("of {before} samples; {EXPECTED_MIN} are needed")),
        };
        Difference { what, before: before.to_string(), now: "none".to_owned(), direction, why }
    })
    .collect()
}

/// As thresholds have it.
fn journey(scenario: Scenario) -> String {
    format!("{}/journey", scenario.name())
}

/// A share before and now, each as a part and its whole; `None` if neither run has the part. `more`
/// tells whether more is worse.
fn share(what: &str, parts: [(u64, u64); 2], more: Direction) -> Option<Difference> {
    if parts.iter().all(|(part, _)| *part == 0) {
        return None;
    }
    let (direction, why) = judge_share(parts, more);
    let [before, now] = parts.map(|(part, whole)| match whole {
        0 => "none".to_owned(),
        _ => format!("{:.2} % ({part} of {whole})", part as f64 * 100.0 / whole as f64),
    });
    Some(Difference { what: what.to_owned(), before, now, direction, why })
}

fn judge_share(parts: [(u64, u64); 2], more: Direction) -> (Direction, String) {
    let [(part_before, before), (part_now, now)] = parts.map(|(part, whole)| (part as f64, whole as f64));
    if before == 0.0 || now == 0.0 {
        return (Direction::TooFew, "one of the runs has nothing to take a share of".to_owned());
    }
    let difference = part_now / now - part_before / before;
    let points = format!("{:+.2} percentage points", difference * 100.0);
    // What is as good as half a point in binary is half a point.
    if difference.abs() < SHARE_CHANGE_MIN - 1e-12 {
        return (Direction::Same, format!("{points}, which is less than half a point"));
    }
    let pooled = (part_before + part_now) / (before + now);
    let fewest = pooled.min(1.0 - pooled) * before.min(now);
    if fewest < EXPECTED_MIN {
        let why =
            format!("{points}, but of {before} and {now} that is {fewest:.1} to be expected; 5 are needed");
        return (Direction::TooFew, why);
    }
    let z = difference / (pooled * (1.0 - pooled) * (1.0 / before + 1.0 / now)).sqrt();
    if z.abs() <= Z {
        return (Direction::Same, format!("{points}, which is within noise (z = {z:.1})"));
    }
    let less = if more == Direction::Worse { Direction::Better } else { Direction::Worse };
    (if z > 0.0 { more } else { less }, format!("{points}, beyond noise (z = {z:.1}, {Z} needed)"))
}

fn words(time: Option<Duration>) -> String {
    time.map_or("none".to_owned(), span::words)
}
