//! Runs `loadtest capacity`: finds the rate at which a threshold breaks, within 5 %, and what a launch would need.

use std::time::Duration;

use serde::Serialize;

use crate::base::failure::Failure;
use crate::base::identity::Identity;
use crate::base::signals::Loading;
use crate::base::{console, files, span};
use crate::cli::CapacityOptions;
use crate::client::connections::Connections;
use crate::figures::{Figures, Latency, Second};
use crate::launch::prepare::{Prepared, Wanted, prepare};
use crate::launch::{self, identity, judge};
use crate::load::attack;
use crate::load::attack::Files;
use crate::load::output::Output;
use crate::load::scenarios::Scenarios;
use crate::plan::arrivals::Arrivals;
use crate::plan::profile::Profile;
use crate::proof::admin::Admin;
use crate::proof::run_record::TargetInfo;
use crate::threshold::{Fault, Judged};
use crate::verdict::Quantiles;
use search::Search;

/// The knee is known when the lowest rate that broke is at most this much above the highest that held.
const WITHIN: f64 = 1.05;
/// Doubling and halving come to an end long before.
const STEPS_MAX: usize = 40;
/// What is planned with, lest the day be run at the very edge.
const TO_SPARE: f64 = 0.7;
/// Below one start a second nothing is looked for.
const LEAST: f64 = 1.0;

/// capacity.json.
#[derive(Debug, Serialize)]
pub(crate) struct Capacity {
    pub(crate) result: Knee,
    /// Why it was not found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) identity: Identity,
    pub(crate) targets: Vec<TargetInfo>,
    pub(crate) sale: String,
    /// What each start does, and what the starts are called.
    pub(crate) scenario: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) step_seconds: f64,
    pub(crate) steps: Vec<CapacityStep>,
    /// The highest rate that held, in starts a second of all gateways together; `None`: none did.
    pub(crate) held: Option<f64>,
    /// The lowest that did not, and whether that was the generator's fault.
    pub(crate) broke: Option<f64>,
    pub(crate) generator_was_the_limit: bool,
    pub(crate) gateways: usize,
    pub(crate) needed: Option<Needed>,
    pub(crate) assumptions: Vec<String>,
}

/// How a search ended. It says nothing of a launch: its words are not those of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Knee {
    KneeFound,
    KneeNotFound,
}

/// One rate, held for a while.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CapacityStep {
    pub(crate) offered: f64,
    /// Requests of all kinds that were answered while the rate was held, and taps that came to their outcome, a second.
    pub(crate) requests: f64,
    pub(crate) taps_decided: f64,
    pub(crate) taps: u64,
    pub(crate) won: u64,
    pub(crate) winners_ms: Quantiles,
    pub(crate) losers_ms: Quantiles,
    /// Of honest buyers, from the intended start.
    pub(crate) journeys_ms: Quantiles,
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

/// Looks for the knee. The exit code is 0 when it was found, 4 when it was not.
pub(crate) async fn run(options: &CapacityOptions, scenarios: &Scenarios) -> Result<u8, Failure> {
    options.check()?;
    let output = Output { report: options.report.clone(), ..Output::default() };
    let report = output.folder()?;
    let (ledger, manners) = (&options.target.ledger, &options.target.manners);
    let profile = Profile::load(manners.profile.as_deref(), &manners.set)?;
    let identity = identity::of_this_run(&profile.identity);
    let admin = Admin::new(ledger)?;
    let mut search = Search::new(options.from, options.up_to);
    // Also between its steps a signal ends the search, not the program.
    let _searching = Loading::start();
    let (mut steps, mut targets, mut is_ended) = (Vec::new(), Vec::new(), false);
    while let Some(rate) = search.next().filter(|_| steps.len() < STEPS_MAX && !is_ended) {
        for try_again in [true, false] {
            let (step, seen) = step(options, &admin, rate, scenarios).await?;
            targets = seen;
            is_ended = goose::is_killswitch_triggered();
            if is_ended {
                break;
            }
            console::line(&step.line(options.scenario.unit()));
            let end = step.end;
            steps.push(step);
            // On a shared machine one pause does not show the knee: what broke is tried twice.
            if end != End::Broke || !try_again {
                search.record(rate, end);
                break;
            }
        }
    }
    let audit = admin.audit().await?;
    if audit.verdict != "balanced" {
        return Err(Failure::Outside(format!(
            "the audit afterwards is {}: see `gateway audit {}`",
            audit.verdict, ledger.sale
        )));
    }
    let capacity = Capacity { identity, targets, ..Capacity::of(options, &search, steps, is_ended) };
    capacity.print();
    if let Some(dir) = report {
        files::write_json(&dir.join("capacity.json"), &capacity)?;
        console::line(&format!("report in {}", dir.display()));
    }
    Ok(capacity.exit_code())
}

/// Offers one rate.
async fn step(
    options: &CapacityOptions,
    admin: &Admin,
    rate: f64,
    scenarios: &Scenarios,
) -> Result<(CapacityStep, Vec<TargetInfo>), Failure> {
    let schedule = format!("constant:{rate}/s:{}ms", options.step.as_millis());
    let arrivals = Arrivals::parse(&schedule).map_err(Failure::Usage)?;
    let mut target = options.target.clone();
    // Each step has buyers of its own.
    target.seed = None;
    // A connect for each tap would be a part of what is measured.
    target.transport.connections.get_or_insert(Connections::Shared(None));
    let wanted = Wanted {
        target: &target,
        scenario: options.scenario.0,
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
    let judged = judge::judge_thresholds(&run_record, &profile);
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
    let mut journeys = Latency::default();
    figures.journeys.values().for_each(|latency| journeys.add(latency));
    let held = |count: fn(&Second) -> u64| a_second(figures, options.step, count);
    let step = CapacityStep {
        offered: rate,
        requests: held(|second| second.answered),
        taps_decided: held(|second| second.taps),
        taps: figures.latency(|_, _| true).count(),
        won: winners.count(),
        winners_ms: Quantiles::of(&winners),
        losers_ms: Quantiles::of(&figures.latency(|_, outcome| outcome.lost())),
        journeys_ms: Quantiles::of(&journeys),
        end,
        why,
    };
    Ok((step, run_record.run.targets))
}

/// How many there were a second while the rate was held: what came afterwards was a backlog.
fn a_second(figures: &Figures, step: Duration, count: fn(&Second) -> u64) -> f64 {
    let seconds = figures.seconds.slot_seconds as i64;
    let held = 0..(step.as_secs() as i64).div_euclid(seconds).max(1);
    let counted: u64 = figures.seconds.slots.range(held.clone()).map(|(_, second)| count(second)).sum();
    counted as f64 / (held.end * seconds) as f64
}

impl Capacity {
    fn of(options: &CapacityOptions, search: &Search, steps: Vec<CapacityStep>, is_ended: bool) -> Capacity {
        let gateways = options.target.gateway.len();
        let rate = options.launch.starts / options.launch.within.as_secs_f64();
        let needed = search.held.map(|held| {
            let each = held / gateways as f64;
            Needed {
                rate,
                gateways: (rate / each).ceil() as u64,
                gateways_with_spare: (rate / (each * TO_SPARE)).ceil() as u64,
            }
        });
        let held = steps.iter().rev().find(|step| Some(step.offered) == search.held && step.end == End::Held);
        let unit = options.scenario.unit();
        let reason = not_found(search, unit, is_ended);
        Capacity {
            result: if reason.is_none() { Knee::KneeFound } else { Knee::KneeNotFound },
            reason,
            identity: Identity::default(),
            targets: Vec::new(),
            sale: options.target.ledger.sale.clone(),
            scenario: options.scenario.name(),
            unit,
            step_seconds: options.step.as_secs_f64(),
            held: search.held,
            broke: search.not.map(|(not, _)| not),
            generator_was_the_limit: search.not.is_some_and(|(_, end)| end == End::Invalid),
            gateways,
            needed,
            assumptions: held.map(|step| assumptions(step, gateways, unit)).unwrap_or_default(),
            steps,
        }
    }

    fn exit_code(&self) -> u8 {
        match self.result {
            Knee::KneeFound => 0,
            Knee::KneeNotFound => 4,
        }
    }

    fn print(&self) {
        let unit = self.unit;
        if let Some(Needed { rate, gateways, gateways_with_spare }) = self.needed {
            // What held below the knee is not all that they do.
            let at_most = if self.reason.is_some() { "at most " } else { "" };
            console::line(&format!(
                "{rate:.0} {unit} a second need {at_most}{gateways} gateway(s) like these; with {:.0} % to spare \
                 {at_most}{gateways_with_spare}",
                (1.0 - TO_SPARE) * 100.0
            ));
        }
        for assumption in &self.assumptions {
            console::line(&format!("assumed   {assumption}"));
        }
        console::line(&match (&self.reason, self.held, self.broke) {
            (Some(reason), ..) => format!("KNEE NOT FOUND: {reason}"),
            (None, held, broke) => format!(
                "KNEE FOUND: between {:.0} and {:.0} {unit} a second",
                held.unwrap_or_default(),
                broke.unwrap_or_default()
            ),
        });
    }
}

/// Why the knee was not found, if it was not.
fn not_found(search: &Search, unit: &str, is_ended: bool) -> Option<String> {
    let held = search
        .held
        .map_or_else(|| "no rate held".to_owned(), |held| format!("{held:.0} {unit} a second held"));
    match (search.held, search.not) {
        _ if is_ended => Some(format!("it was ended by hand; until then {held}")),
        (_, Some((not, End::Invalid))) => Some(format!(
            "{held}; at {not:.0} the generator, not the gateway, was the limit: use a larger machine for it, or one that \
             nothing else runs on"
        )),
        (None, _) => Some(format!("{held}: see above why the lowest, {LEAST} a second, did not")),
        (Some(_), None) => Some(format!("{held}, which is --up-to: raise it, since the knee is above")),
        (Some(held), Some((not, _))) if not > held * WITHIN && not - held > 1.0 => Some(format!(
            "it is between {held:.0} and {not:.0} {unit} a second, and {STEPS_MAX} steps did not tell where"
        )),
        _ => None,
    }
}

fn assumptions(step: &CapacityStep, gateways: usize, unit: &str) -> Vec<String> {
    let mut assumptions = vec![format!(
        "each gateway does as much as each of the {gateways} that were measured: the same cores and network, nothing else on them"
    )];
    if step.taps > 0 {
        let won = 100.0 * step.won as f64 / step.taps as f64;
        assumptions.push(format!(
            "the same mix: {won:.0} % of the taps won; a refusal costs less than a reservation"
        ));
        assumptions.push(
            "Redis is not the limit: all gateways share one, which decides the taps that no read model can refuse"
                .to_owned(),
        );
    }
    assumptions.push(format!(
        "{unit} come evenly within that time; the first second of a launch has more: plan with its rate"
    ));
    assumptions.push(
        "a generator that ran on the same machine took a part of its cores: alone the gateway does more"
            .to_owned(),
    );
    assumptions
}

impl CapacityStep {
    fn line(&self, unit: &str) -> String {
        let word = match self.end {
            End::Held => "held",
            End::Broke => "broke",
            End::Invalid => "invalid",
        };
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why.join("; ")) };
        let taps = match self.taps {
            0 => String::new(),
            _ => format!(
                ", {:.0} taps/s decided, {} won with a p99 of {}",
                self.taps_decided,
                self.won,
                span::words_of_ms(self.winners_ms.p99)
            ),
        };
        let journeys = span::words_of_ms(self.journeys_ms.p99);
        format!(
            "{:>8.0} {unit}/s offered, {:>8.0} requests/s answered, journeys' p99 {journeys}{taps}: {word}{why}",
            self.offered, self.requests,
        )
    }
}

mod search;
#[cfg(test)]
mod tests;
