//! Owns `loadtest capacity`: the rate at which a threshold breaks, found within 5 %, and what a launch would need.

use std::time::Duration;

use serde::Serialize;

use crate::base::failure::Failure;
use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::base::{console, files, span};
use crate::cli::CapacityOptions;
use crate::client::connections::Connections;
use crate::figures::Figures;
use crate::launch::prepare::{Prepared, Wanted, prepare};
use crate::launch::{self, judge};
use crate::load::attack;
use crate::load::attack::Files;
use crate::load::output::Output;
use crate::load::scenarios::Scenarios;
use crate::plan::arrivals::Arrivals;
use crate::proof::admin::Admin;
use crate::threshold::{Fault, Judged};
use crate::verdict::Quantiles;

/// The knee is known when the lowest rate that broke is at most this much above the highest that held.
const WITHIN: f64 = 1.05;
/// Doubling and halving come to an end long before.
const STEPS_MAX: usize = 40;
/// What is planned with, lest the day be run at the very edge.
const TO_SPARE: f64 = 0.7;
/// Below one tap a second nothing is looked for.
const LEAST: f64 = 1.0;

/// capacity.json.
#[derive(Debug, Serialize)]
pub(crate) struct Capacity {
    pub(crate) steps: Vec<CapacityStep>,
    /// The highest rate that held, in taps a second of all gateways together; `None`: none did.
    pub(crate) held: Option<f64>,
    /// The lowest that did not, and whether that was the generator's fault.
    pub(crate) broke: Option<f64>,
    pub(crate) generator_was_the_limit: bool,
    pub(crate) gateways: usize,
    pub(crate) needed: Option<Needed>,
    pub(crate) assumptions: Vec<String>,
}

/// One rate, held for a while.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CapacityStep {
    pub(crate) offered: f64,
    /// Taps that came to an outcome, a second.
    pub(crate) answered: f64,
    pub(crate) taps: u64,
    pub(crate) won: u64,
    pub(crate) winners_ms: Quantiles,
    pub(crate) losers_ms: Quantiles,
    pub(crate) end: End,
    pub(crate) why: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    Held,
    /// A threshold was missed.
    Broke,
    /// The generator could not offer it.
    Invalid,
}

/// What a launch needs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Needed {
    pub(crate) rate: f64,
    /// At the knee, and with some to spare.
    pub(crate) gateways: u64,
    pub(crate) gateways_with_spare: u64,
}

/// Looks for the knee. The exit code is 0 when it was found, 4 when the generator or `--up-to` came first.
pub(crate) async fn run(options: &CapacityOptions, scenarios: &Scenarios) -> Result<u8, Failure> {
    options.check()?;
    let output = Output { report: options.report.clone(), ..Output::default() };
    let report = output.folder()?;
    let ledger = &options.target.ledger;
    let admin = Admin::new(ledger)?;
    let mut search = Search::new(options.from, options.up_to);
    let mut steps = Vec::new();
    while let Some(rate) = search.next().filter(|_| steps.len() < STEPS_MAX) {
        let mut step = step(options, &admin, rate, scenarios).await?;
        if goose::is_killswitch_triggered() {
            return Err(Failure::Outside("it was ended by hand, before the knee was found".to_owned()));
        }
        if step.end == End::Broke {
            // Repeat the step: on a shared machine one pause does not show the knee.
            console::line(&step.line());
            steps.push(step);
            step = self::step(options, &admin, rate, scenarios).await?;
        }
        console::line(&step.line());
        search.record(rate, step.end);
        steps.push(step);
    }
    let audit = admin.audit().await?;
    if audit.verdict != "balanced" {
        return Err(Failure::Outside(format!(
            "the audit afterwards is {}: see `gateway audit {}`",
            audit.verdict, ledger.sale
        )));
    }
    let capacity = Capacity::of(options, &search, steps);
    capacity.print();
    if let Some(dir) = report {
        files::write_json(&dir.join("capacity.json"), &capacity)?;
    }
    Ok(if capacity.held.is_some() && capacity.broke.is_some() && !capacity.generator_was_the_limit {
        0
    } else {
        4
    })
}

/// Offers one rate.
async fn step(
    options: &CapacityOptions,
    admin: &Admin,
    rate: f64,
    scenarios: &Scenarios,
) -> Result<CapacityStep, Failure> {
    let schedule = format!("constant:{rate}/s:{}ms", options.step.as_millis());
    let arrivals = Arrivals::parse(&schedule).map_err(Failure::Usage)?;
    let mut target = options.target.clone();
    // Each step has buyers of its own.
    target.seed = None;
    // A connect for each tap would be a part of what is measured.
    target.transport.connections.get_or_insert(Connections::Shared(None));
    let wanted = Wanted {
        target: &target,
        scenario: Some(Scenario::SPIKE),
        buyers: None,
        arrivals: Some(&arrivals),
        shard: None,
        replay: None,
        request_log: None,
    };
    let Prepared { load, run, users, profile, monitor } = match prepare(&wanted, admin).await? {
        Ok(prepared) => prepared,
        Err((_, reason)) => return Err(Failure::Usage(reason)),
    };
    attack::run(&load, &users, &Files::default(), scenarios).await?;
    let run_record = launch::gather(run, &load, monitor).await;
    let figures = &run_record.figures;
    let judged: Vec<Judged> = profile.thresholds().iter().map(|threshold| threshold.judge(figures)).collect();
    let missed_by =
        |fault| judged.iter().filter(move |judged| judged.fault == Some(fault)).map(Judged::words);
    let mut findings = judge::generator(&run_record, &profile, &judged);
    let missed: Vec<String> = missed_by(Fault::Server).collect();
    if missed.is_empty() && findings.is_empty() {
        // The generator's lateness may be the reason of these.
        findings.extend(missed_by(Fault::Generator));
    }
    let (end, why) = match (findings.is_empty(), missed.is_empty()) {
        (false, _) => (End::Invalid, findings),
        (true, false) => (End::Broke, missed),
        (true, true) => (End::Held, Vec::new()),
    };
    let winners = figures.latency(|_, outcome| outcome.holds());
    Ok(CapacityStep {
        offered: rate,
        answered: answered(figures, options.step),
        taps: figures.latency(|_, _| true).count(),
        won: winners.count(),
        winners_ms: Quantiles::of(&winners),
        losers_ms: Quantiles::of(&figures.latency(|_, outcome| outcome.lost())),
        end,
        why,
    })
}

/// Taps a second that came to an outcome while the rate was held: what came afterwards was a backlog.
fn answered(figures: &Figures, step: Duration) -> f64 {
    let seconds = figures.time.slot_seconds as i64;
    let held = 0..(step.as_secs() as i64).div_euclid(seconds).max(1);
    let slots = figures.time.slots.range(held.clone()).map(|(_, slot)| slot);
    let decided = slots.flat_map(|slot| &slot.outcomes).filter(|(outcome, _)| **outcome != Outcome::Unknown);
    decided.map(|(_, latency)| latency.count()).sum::<u64>() as f64 / (held.end * seconds) as f64
}

/// Which rate to try next: doubled while it holds, halved while it does not, then between the two.
#[derive(Clone, Debug)]
struct Search {
    next: f64,
    up_to: f64,
    held: Option<f64>,
    not: Option<(f64, End)>,
}

impl Search {
    fn new(from: f64, up_to: f64) -> Search {
        Search { next: from, up_to, held: None, not: None }
    }

    fn next(&self) -> Option<f64> {
        let is_known = match (self.held, self.not) {
            // Whole taps a second are fine enough.
            (Some(held), Some((not, _))) => not <= held * WITHIN || not - held <= 1.0,
            (Some(held), None) => held >= self.up_to,
            (None, Some((not, _))) => not <= LEAST,
            (None, None) => false,
        };
        (!is_known).then_some(self.next)
    }

    fn record(&mut self, rate: f64, end: End) {
        match end {
            End::Held => self.held = Some(self.held.map_or(rate, |held| held.max(rate))),
            end => {
                if self.not.is_none_or(|(not, _)| rate < not) {
                    self.not = Some((rate, end));
                }
            }
        }
        self.next = match (self.held, self.not) {
            (Some(held), Some((not, _))) => (held * not).sqrt().round(),
            (Some(held), None) => (held * 2.0).min(self.up_to),
            (None, Some((not, _))) => (not / 2.0).max(LEAST),
            (None, None) => rate,
        };
    }
}

impl Capacity {
    fn of(options: &CapacityOptions, search: &Search, steps: Vec<CapacityStep>) -> Capacity {
        let gateways = options.target.gateway.len();
        let rate = options.launch.taps / options.launch.within.as_secs_f64();
        let needed = search.held.map(|held| {
            let each = held / gateways as f64;
            Needed {
                rate,
                gateways: (rate / each).ceil() as u64,
                gateways_with_spare: (rate / (each * TO_SPARE)).ceil() as u64,
            }
        });
        let held = steps.iter().rev().find(|step| Some(step.offered) == search.held && step.end == End::Held);
        Capacity {
            held: search.held,
            broke: search.not.map(|(not, _)| not),
            generator_was_the_limit: search.not.is_some_and(|(_, end)| end == End::Invalid),
            gateways,
            needed,
            assumptions: held.map(|step| assumptions(step, gateways)).unwrap_or_default(),
            steps,
        }
    }

    fn print(&self) {
        let found = match (self.held, self.broke) {
            (None, _) => "INVALID: no rate held, see why above".to_owned(),
            (Some(held), None) => {
                format!("INVALID: held {held:.0} taps a second, which is --up-to: the knee is above it")
            }
            (Some(held), Some(broke)) if self.generator_was_the_limit => format!(
                "INVALID: held {held:.0} taps a second; at {broke:.0} the generator, not the gateway, was the limit: use several, or a larger one"
            ),
            (Some(held), Some(broke)) => {
                format!("the knee is between {held:.0} and {broke:.0} taps a second")
            }
        };
        console::line(&found);
        if let Some(Needed { rate, gateways, gateways_with_spare }) = self.needed {
            console::line(&format!(
                "{rate:.0} taps a second need {gateways} gateway(s) like these; with {:.0} % to spare {gateways_with_spare}",
                (1.0 - TO_SPARE) * 100.0
            ));
        }
        for assumption in &self.assumptions {
            console::line(&format!("assumed   {assumption}"));
        }
    }
}

fn assumptions(step: &CapacityStep, gateways: usize) -> Vec<String> {
    let won = 100.0 * step.won as f64 / step.taps.max(1) as f64;
    vec![
        format!(
            "each gateway does as much as each of the {gateways} that were measured: the same cores and network, nothing else on them"
        ),
        format!("the same mix: {won:.0} % of the taps won; a refusal costs less than a reservation"),
        "Redis is not the limit: all gateways share one, which decides the taps that no read model can refuse"
            .to_owned(),
        "taps come evenly within that time; the first second of a launch has more: plan with its rate"
            .to_owned(),
        "a generator that ran on the same machine took a part of its cores: alone the gateway does more"
            .to_owned(),
    ]
}

impl CapacityStep {
    fn line(&self) -> String {
        let word = match self.end {
            End::Held => "held",
            End::Broke => "broke",
            End::Invalid => "invalid",
        };
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why.join("; ")) };
        format!(
            "{:>8.0} taps/s offered, {:>8.0} answered, {} won with a p99 of {}, {word}{why}",
            self.offered,
            self.answered,
            self.won,
            span::words_of_ms(self.winners_ms.p99)
        )
    }
}

#[cfg(test)]
mod tests;
