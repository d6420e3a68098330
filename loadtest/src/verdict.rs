//! Decides the verdict, its exit code and verdict.json; loadtest/docs/report.md describes the members.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::clock::now;
use crate::base::failure::Failure;
use crate::base::identity::Identity;
use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::base::{files, span};
use crate::figures::{Figures, Latency};
use crate::load::history::Exchange;
use crate::load::history::packed::PackedHistories;
use crate::proof::admin::{Audit, AuditItem};
use crate::proof::ledger::Change;
use crate::proof::rules::{Violation, at_most_of_each_kind};
use crate::proof::run_record::{Run, RunRecord, TargetInfo};
use crate::self_monitoring::Health;
use crate::threshold::Judged;
use baseline::Difference;
pub(crate) use gateways::GatewaySummary;
pub use quantiles::Quantiles;
pub use requests::{RequestLatency, RequestSummary};
pub use summary::VerdictSummary;

/// How the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Word {
    /// Every rule and threshold holds.
    Pass,
    /// A rule is broken or a threshold missed.
    Fail,
    /// The run proves nothing: the generator was the limit, or nothing was decided.
    Invalid,
}

/// verdict.json.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) verdict: Word,
    /// Why it is not PASS.
    pub(crate) reasons: Vec<String>,
    /// Limits of the figures that a reader must know.
    pub(crate) notes: Vec<String>,
    pub(crate) identity: Identity,
    pub(crate) scenario: String,
    pub(crate) sale: String,
    pub(crate) seed: u64,
    pub(crate) shards: Vec<String>,
    pub(crate) buyers: usize,
    /// The gateways' listeners, with version and durability.
    pub(crate) targets: Vec<TargetInfo>,
    pub(crate) started_at: Timestamp,
    pub(crate) opening_at: Timestamp,
    pub(crate) finished_at: Timestamp,
    /// How many taps of honest buyers ended in which way.
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
    /// Of the unknown outcomes, how many the ledger shows as reservations.
    pub(crate) unknown_held: u64,
    /// From the intended instant to the outcome, of honest buyers: winners, losers, and each outcome.
    pub(crate) latency_ms: BTreeMap<&'static str, Quantiles>,
    /// Each scenario by itself, bots among them.
    pub(crate) scenarios: BTreeMap<&'static str, BTreeMap<&'static str, Quantiles>>,
    /// By scenario: from the intended start of a journey to its end, without its buyer's pauses.
    pub(crate) journeys_ms: BTreeMap<&'static str, Quantiles>,
    pub(crate) requests: BTreeMap<String, RequestSummary>,
    pub(crate) gateways: Vec<GatewaySummary>,
    pub(crate) arrivals: Arrived,
    pub(crate) t0: Opened,
    pub(crate) retries: u64,
    /// Requests without an answer, by why.
    pub(crate) lost: BTreeMap<String, u64>,
    pub(crate) thresholds: Vec<Judged>,
    /// The state of this machine; absent when nothing was sent.
    pub(crate) generator: Option<Health>,
    /// Why this machine was the limit.
    pub(crate) generator_findings: Vec<String>,
    /// The ledger was read, and compared with the answers.
    pub(crate) is_proved: bool,
    pub(crate) items: Vec<AuditItem>,
    pub(crate) stores: Option<StoreFigures>,
    pub(crate) violations_total: usize,
    pub(crate) violations: Vec<ViolationReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) baseline: Vec<Difference>,
}

/// How many arrivals started in time, late or not at all.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Arrived {
    pub(crate) intended: u64,
    pub(crate) late: u64,
    pub(crate) unsent: u64,
    /// How late the starts were.
    pub lateness_ms: Quantiles,
}

/// The taps that were meant for the opening.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Opened {
    /// ms after the opening at which the first and the last of them left.
    pub(crate) first_ms: Option<f64>,
    pub(crate) last_ms: Option<f64>,
    /// From the first to the last.
    pub(crate) skew_ms: Option<f64>,
    pub(crate) after_ms: Quantiles,
}

/// The slots of all stores that have a limit together: free + held + confirmed − total = drift.
/// Apart from them, what is taken of stores without a limit: it is in no equation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct StoreFigures {
    pub(crate) total: i64,
    pub(crate) free: i64,
    pub(crate) held: i64,
    pub(crate) confirmed: i64,
    pub(crate) drift: i64,
    pub(crate) unlimited_held: i64,
    pub(crate) unlimited_confirmed: i64,
    pub(crate) unlimited_drift: i64,
}

/// A violation with the exchanges and the ledger entries of its buyer.
#[derive(Debug, Serialize)]
pub(crate) struct ViolationReport {
    #[serde(flatten)]
    pub(crate) violation: Violation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) history: Vec<Exchange>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ledger: Vec<String>,
}

/// What the checks found.
pub(crate) struct Findings {
    pub(crate) violations: Vec<Violation>,
    pub(crate) unknown_held: u64,
    /// Why a run with sign-up has not come to its end.
    pub(crate) unfinished: Option<&'static str>,
    pub(crate) thresholds: Vec<Judged>,
    /// Why the generator, not the server, was the limit.
    pub(crate) generator: Vec<String>,
    pub(crate) baseline: Vec<Difference>,
    /// What is worse than the baseline and is to fail the run for it.
    pub(crate) regressions: Vec<String>,
    pub(crate) notes: Vec<String>,
}

const VERDICT: &str = "verdict.json";
/// More violations of one kind add nothing.
const PER_KIND_MAX: usize = 10;
/// How many buyers' histories the report shows, beside those of each kind's first violation.
const HISTORIES_MAX: usize = 20;

impl Verdict {
    /// The verdict on a run whose load was sent.
    pub(crate) fn on(
        run_record: &RunRecord,
        audit: &Audit,
        changes: &[Change],
        findings: Findings,
    ) -> Result<Verdict, Failure> {
        let (stores, items): (Vec<_>, Vec<_>) =
            audit.items.iter().cloned().partition(|item| item.item.starts_with("store:"));
        let RunRecord { run, figures, health, history, .. } = run_record;
        let judged = decision::decide(run, figures, &findings);
        Ok(Verdict {
            notes: [run.notes.clone(), findings.notes].concat(),
            unknown_held: findings.unknown_held,
            thresholds: findings.thresholds,
            generator_findings: findings.generator,
            is_proved: true,
            items,
            stores: sum(&stores),
            violations_total: findings.violations.len(),
            violations: with_histories(findings.violations, history, changes)?,
            baseline: findings.baseline,
            ..Verdict::of(run, figures, Some(health), judged)
        })
    }

    /// The verdict on a run that did not start.
    pub(crate) fn not_started(run: &Run, reason: String) -> Verdict {
        Verdict::of(run, &Figures::default(), None, (Word::Invalid, vec![reason]))
    }

    /// The verdict when the ledger has lost the sale since the start of the run.
    pub(crate) fn ledger_lost(run_record: &RunRecord, why: String) -> Result<Verdict, Failure> {
        let mut acknowledged = 0;
        run_record.history.each(|history| acknowledged += usize::from(!history.holds.is_empty()))?;
        let reason = format!(
            "the ledger has lost the sale, and {acknowledged} acknowledged reservations with it ({why})"
        );
        let RunRecord { run, figures, health, .. } = run_record;
        Ok(Verdict::of(run, figures, Some(health), (Word::Fail, vec![reason])))
    }

    fn of(
        run: &Run,
        figures: &Figures,
        generator: Option<&Health>,
        (verdict, reasons): (Word, Vec<String>),
    ) -> Verdict {
        let each = Outcome::ALL.map(|outcome| (outcome.name(), figures.honest(|own| own == outcome)));
        let both = [("winners", Outcome::holds as fn(Outcome) -> bool), ("losers", Outcome::lost)];
        let latencies = each.iter().filter(|(_, latency)| latency.count() > 0).cloned();
        let latencies = latencies.chain(both.map(|(name, which)| (name, figures.honest(which))));
        let by_scenario = |(scenario, outcomes): (&Scenario, &BTreeMap<Outcome, Latency>)| {
            let outcomes = outcomes.iter().map(|(outcome, latency)| (outcome.name(), Quantiles::of(latency)));
            (scenario.name(), outcomes.collect())
        };
        let ms = |us: i64| us as f64 / 1000.0;
        Verdict {
            verdict,
            reasons,
            notes: run.notes.clone(),
            identity: run.identity.clone(),
            scenario: run.scenario.clone(),
            sale: run.sale.clone(),
            seed: run.seed,
            shards: run.shards.clone(),
            buyers: run.buyers,
            targets: run.targets.clone(),
            started_at: run.started_at,
            opening_at: run.opening,
            finished_at: now(),
            outcomes: each.iter().map(|(name, latency)| (*name, latency.count())).collect(),
            unknown_held: 0,
            latency_ms: latencies.map(|(name, latency)| (name, Quantiles::of(&latency))).collect(),
            scenarios: figures.outcomes.iter().map(by_scenario).collect(),
            journeys_ms: figures.journeys.iter().map(|(of, l)| (of.name(), Quantiles::of(l))).collect(),
            requests: figures
                .requests
                .iter()
                .map(|(name, of)| (name.clone(), RequestSummary::of(of)))
                .collect(),
            gateways: figures.gateways.iter().map(GatewaySummary::of).collect(),
            arrivals: Arrived {
                intended: figures.intended(),
                late: figures.late,
                unsent: figures.unsent,
                lateness_ms: Quantiles::of(&figures.lateness),
            },
            t0: Opened {
                first_ms: figures.opening.first.map(ms),
                last_ms: figures.opening.last.map(ms),
                skew_ms: figures.opening.spread().map(span::ms),
                after_ms: Quantiles::of(&figures.opening.skew),
            },
            retries: figures.retries,
            lost: figures.errors.clone(),
            thresholds: Vec::new(),
            generator: generator.cloned(),
            generator_findings: Vec::new(),
            is_proved: false,
            items: Vec::new(),
            stores: None,
            violations_total: 0,
            violations: Vec::new(),
            baseline: Vec::new(),
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self.verdict {
            Word::Pass => 0,
            Word::Fail => 1,
            Word::Invalid => 4,
        }
    }

    /// The text of verdict.json.
    pub(crate) fn json(&self) -> Result<String, Failure> {
        files::json(self).map_err(|error| Failure::Outside(format!("{VERDICT}: {error}")))
    }

    /// Writes verdict.json.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Failure> {
        files::write_json(&dir.join(VERDICT), self)
    }
}

impl Word {
    /// Its name in verdict.json.
    pub fn name(self) -> &'static str {
        match self {
            Word::Pass => "PASS",
            Word::Fail => "FAIL",
            Word::Invalid => "INVALID",
        }
    }
}

fn sum(stores: &[AuditItem]) -> Option<StoreFigures> {
    let mut sum = StoreFigures::default();
    for store in stores {
        let drift = store.drift.unwrap_or(0);
        match (store.total, store.free) {
            (Some(total), Some(free)) => {
                sum.drift += drift;
                sum.total += total;
                sum.free += free;
                sum.held += store.held;
                sum.confirmed += store.confirmed;
            }
            _ => {
                sum.unlimited_drift += drift;
                sum.unlimited_held += store.held;
                sum.unlimited_confirmed += store.confirmed;
            }
        }
    }
    (!stores.is_empty()).then_some(sum)
}

/// Adds the histories of the buyers in question, with all their keys.
fn with_histories(
    violations: Vec<Violation>,
    history: &PackedHistories,
    changes: &[Change],
) -> Result<Vec<ViolationReport>, Failure> {
    let mut is_shown = at_most_of_each_kind(PER_KIND_MAX);
    let listed: Vec<Violation> = violations.into_iter().filter(|violation| is_shown(violation)).collect();
    let named: HashSet<&str> = listed.iter().filter_map(|violation| violation.buyer.as_deref()).collect();
    let mut by_buyer: HashMap<String, Vec<Exchange>> = HashMap::new();
    // A clean run has none, and its histories stay packed.
    if !named.is_empty() {
        history.each(|history| {
            if named.contains(history.buyer.as_str()) {
                by_buyer.entry(history.buyer).or_default().extend(history.log.exchanges);
            }
        })?;
    }
    let (mut shown, mut is_first_of_kind) = (HashSet::new(), at_most_of_each_kind(1));
    let report = |violation: &Violation| {
        let mut report =
            ViolationReport { violation: violation.clone(), history: Vec::new(), ledger: Vec::new() };
        // A buyer's history is shown once, with the first of its violations.
        if let Some(buyer) = &violation.buyer
            && (is_first_of_kind(violation) || shown.len() < HISTORIES_MAX)
            && shown.insert(buyer.clone())
        {
            report.history = by_buyer.remove(buyer.as_str()).unwrap_or_default();
            report.history.sort_by_key(|exchange| exchange.at);
            let own = changes.iter().filter(|change| change.buyer() == buyer);
            report.ledger = own.map(Change::describe).collect();
        }
        report
    };
    Ok(listed.iter().map(report).collect())
}

pub(crate) mod baseline;
mod decision;
mod gateways;
mod quantiles;
mod requests;
mod summary;
#[cfg(test)]
mod tests;
