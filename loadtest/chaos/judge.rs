//! Checks a launch: what every buyer was acknowledged against the ledger after the fault. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use loadtest::{Exchange, Hold, Outcome, Rule, Step, TapHistory, VerdictSummary, Word};
use serde::Serialize;

use crate::ledger::Ledger;
use crate::schedule::Launch;

/// What the checks compare.
pub(crate) struct JudgeInput<'a> {
    pub(crate) launch: &'a Launch,
    pub(crate) history: &'a [TapHistory],
    /// The verdict of `loadtest`, if it could read the ledger.
    pub(crate) verdict: Option<&'a VerdictSummary>,
    pub(crate) ledger: &'a Ledger,
    /// Cars of each model.
    pub(crate) stock: &'a [(&'a str, u64)],
    /// The output of `gateway audit`, if the audit does not balance.
    pub(crate) audit: Option<&'a str>,
    /// Whether all gateways sell again; otherwise the problem of one.
    pub(crate) serving: &'a Result<(), String>,
}

/// How a launch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ending {
    /// The ledger has everything that was acknowledged, and the sale is open.
    Whole,
    /// Likewise, after a replay of lost changes.
    Replayed,
    /// The sale is fenced until an operator acts.
    Fenced,
    /// The sale is open although the ledger lacks something acknowledged.
    WentOn,
}

/// What the checks found in a launch.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LaunchFindings {
    pub(crate) ending: Ending,
    /// Changes that gateways replayed.
    pub(crate) replayed: u64,
    /// Reservations that were acknowledged.
    pub(crate) acknowledged: u64,
    /// How many of these the ledger lacks.
    pub(crate) lost: u64,
    /// Acknowledged confirms, cancels and amendments that the ledger lacks.
    pub(crate) lost_changes: u64,
    /// Cars acknowledged beyond the stock.
    pub(crate) beyond_stock: u64,
    pub(crate) observed: Observed,
    /// Why it is fenced.
    pub(crate) problem: String,
    /// Broken guarantees and rules; empty in a good launch.
    pub(crate) broken: Vec<String>,
}

/// What buyers saw.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Observed {
    /// Taps by outcome.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Taps that were shed at least once (503, certainly not reserved).
    pub(crate) put_off: u64,
    /// Taps of which an answer was lost, or was `outcome-unknown`.
    pub(crate) unsure: u64,
}

/// Rules of `loadtest` that a loss breaks, too: the loss itself is counted and judged by the level.
const FOLLOW_FROM_LOSS: [Rule; 8] = [
    Rule::AcknowledgedIsInLedger,
    Rule::StepsAsAcknowledged,
    Rule::AmendAsAcknowledged,
    Rule::PurchaseLimitWasTrue,
    Rule::SoldOutWasTrue,
    Rule::FinalIsFinal,
    Rule::RefusedHoldsNothing,
    Rule::SupportLookupAgrees,
];
/// Rules that compare buyers' times with the journal's clock, which does not advance after it was set back.
const BY_THE_CLOCK: [Rule; 6] = [
    Rule::PhaseWasTrue,
    Rule::SoldOutWasTrue,
    Rule::FinalIsFinal,
    Rule::WinnerNeverLost,
    Rule::NotExpiredEarly,
    Rule::ServerTime,
];
/// Times are cut to milliseconds.
const ROUNDING_MS: f64 = 2.0;

/// Judges a launch.
pub(crate) fn judge(input: &JudgeInput<'_>) -> LaunchFindings {
    let JudgeInput { launch, history, ledger, serving, .. } = input;
    let (lost, lost_changes) = (lost(history, ledger), lost_changes(history, ledger));
    let acknowledged: HashSet<&str> =
        history.iter().flat_map(|history| &history.holds).map(|h| h.id.as_str()).collect();
    let is_lossy = lost + lost_changes > 0;
    let ending = match (serving.is_ok(), is_lossy) {
        (true, false) if ledger.replayed > 0 => Ending::Replayed,
        (true, false) => Ending::Whole,
        (true, true) => Ending::WentOn,
        (false, _) => Ending::Fenced,
    };
    let beyond_stock = beyond_stock(input);
    let mut broken = ledger.broken.clone();
    if is_lossy && launch.fault.loses_nothing_at(launch.level) {
        broken.push(format!(
            "{lost} reservations and {lost_changes} changes that were acknowledged are not in the ledger, against the guarantee of the level"
        ));
    }
    if ending == Ending::WentOn && !launch.fault.may_sell_twice_at(launch.level) {
        broken.push("the sale is open without the lost changes".to_owned());
    }
    if beyond_stock > 0 && !launch.fault.may_sell_twice_at(launch.level) {
        broken.push(format!("{beyond_stock} cars were acknowledged beyond the stock"));
    }
    if ending == Ending::Fenced && !is_lossy {
        broken.push("the sale is fenced, although nothing is lost".to_owned());
    }
    let unknown = history.iter().filter(|history| history.outcome == Some(Outcome::Unknown)).count();
    if unknown > 0 && serving.is_ok() {
        broken.push(format!("{unknown} taps have no answer although all gateways serve again"));
    }
    if let Some(audit) = input.audit {
        broken.push(format!("gateway audit: {audit}"));
    }
    if !is_lossy {
        broken.extend(out_of_order(history));
    }
    match input.verdict {
        Some(verdict) => broken.extend(rules(verdict, is_lossy, ledger.has_gaps, launch.fault.moves_clock())),
        None if is_lossy => {}
        None => broken.push("loadtest reached no verdict".to_owned()),
    }
    LaunchFindings {
        ending,
        replayed: ledger.replayed,
        acknowledged: acknowledged.len() as u64,
        lost,
        lost_changes,
        beyond_stock,
        observed: observe(history),
        problem: serving.as_ref().err().cloned().unwrap_or_default(),
        broken,
    }
}

/// Counts acknowledged reservations that the ledger lacks.
fn lost(history: &[TapHistory], ledger: &Ledger) -> u64 {
    let holds = history.iter().flat_map(|history| &history.holds);
    let has =
        |hold: &Hold| ledger.reservations.get(&hold.id).is_some_and(|there| there.number == hold.number);
    holds.filter(|hold| !has(hold)).map(|hold| &hold.id).collect::<HashSet<_>>().len() as u64
}

/// Counts acknowledged changes that the ledger lacks, of reservations that it has.
fn lost_changes(history: &[TapHistory], ledger: &Ledger) -> u64 {
    let mut lost = 0;
    for history in history {
        let last = history.holds.last().and_then(|hold| ledger.reservations.get(&hold.id));
        if let Some(there) = last {
            lost += u64::from(history.confirm == Step::Done && !there.was_confirmed);
            lost += u64::from(history.cancel == Step::Done && !there.was_cancelled);
        }
        let shown = history.amends.iter().filter_map(|amend| amend.shown.as_ref());
        let is_gone =
            |hold: &&Hold| ledger.reservations.get(&hold.id).is_some_and(|r| r.version < hold.version);
        lost += shown.filter(is_gone).count() as u64;
    }
    lost
}

/// Counts the cars beyond the stock: reserved in the ledger, or acknowledged and lost. Cars whose cancel was
/// acknowledged, or may have been, do not count.
fn beyond_stock(input: &JudgeInput<'_>) -> u64 {
    let holds =
        input.history.iter().flat_map(|history| history.holds.iter().map(move |hold| (history, hold)));
    let given_back =
        holds.clone().filter(|(history, _)| matches!(history.cancel, Step::Done | Step::Unknown));
    let given_back: HashSet<&str> = given_back.map(|(_, hold)| hold.id.as_str()).collect();
    let mut promised: HashMap<&str, &str> = HashMap::new();
    for (id, there) in input.ledger.reservations.iter().filter(|(_, there)| there.is_alive) {
        promised.insert(id, &there.model);
    }
    for (_, hold) in holds.filter(|(_, hold)| !input.ledger.reservations.contains_key(&hold.id)) {
        promised.insert(&hold.id, &hold.model);
    }
    let of = |model: &str| {
        promised.iter().filter(|(id, its)| **its == model && !given_back.contains(*id)).count() as u64
    };
    input.stock.iter().map(|(model, stock)| of(model).saturating_sub(*stock)).sum()
}

/// A tap that is sent after another was acknowledged must have the higher number.
fn out_of_order(history: &[TapHistory]) -> Vec<String> {
    let is_tap = |exchange: &&Exchange| exchange.request.contains("Idempotency-Key");
    let ms = |exchange: &Exchange| exchange.at.as_millisecond() as f64;
    let mut taps = Vec::new();
    for history in history {
        let Some(hold) = history.holds.first() else { continue };
        let exchanges = || history.log.exchanges.iter().filter(is_tap);
        let sent = exchanges().map(ms).reduce(f64::min);
        let yes = exchanges().filter(|exchange| exchange.answer.starts_with("20"));
        let acknowledged = yes.map(|exchange| ms(exchange) + exchange.took_ms).reduce(f64::min);
        if let (Some(sent), Some(acknowledged)) = (sent, acknowledged) {
            taps.push((sent, acknowledged, hold.number, &history.buyer));
        }
    }
    let mut by_sending = taps.clone();
    by_sending.sort_by(|one, other| one.0.total_cmp(&other.0));
    taps.sort_by(|one, other| one.1.total_cmp(&other.1));
    let (mut found, mut acknowledged, mut highest) = (Vec::new(), taps.iter().peekable(), None);
    for (sent, _, number, buyer) in by_sending {
        while let Some((_, _, earlier, owner)) = acknowledged.next_if(|tap| tap.1 + ROUNDING_MS < sent) {
            highest = highest.max(Some((*earlier, *owner)));
        }
        if let Some((earlier, owner)) = highest.filter(|(earlier, _)| *earlier > number) {
            found.push(format!(
                "{buyer} has number {number}, but tapped after number {earlier} was acknowledged to {owner}"
            ));
        }
    }
    found
}

/// Lists the broken rules that neither a loss nor the clock explains.
fn rules(verdict: &VerdictSummary, is_lossy: bool, has_gaps: bool, moves_clock: bool) -> Vec<String> {
    let is_explained = |rule: Rule| {
        (is_lossy && FOLLOW_FROM_LOSS.contains(&rule))
            || (moves_clock && BY_THE_CLOCK.contains(&rule))
            || (has_gaps && rule == Rule::NumbersInOrder)
    };
    let unexplained = verdict.violations.iter().filter(|violation| !is_explained(violation.rule));
    let mut broken: Vec<String> = unexplained
        .map(|v| format!("{} {}: {}", v.rule.name(), v.buyer.as_deref().unwrap_or_default(), v.what))
        .collect();
    // A run can also fail without a broken rule.
    if verdict.verdict != Word::Pass && verdict.violations.is_empty() && !is_lossy {
        broken.extend(
            verdict.reasons.iter().map(|reason| format!("loadtest: {}: {reason}", verdict.verdict.name())),
        );
    }
    broken
}

fn observe(history: &[TapHistory]) -> Observed {
    let mut observed = Observed::default();
    for history in history {
        *observed.outcomes.entry(history.outcome.map_or("no tap", Outcome::name).to_owned()).or_default() +=
            1;
        let put_off = |exchange: &Exchange| exchange.answer.contains("temporary-reduced-capacity");
        observed.put_off += u64::from(history.log.exchanges.iter().any(put_off));
        observed.unsure += u64::from(history.log.lost > 0);
    }
    observed
}

#[cfg(test)]
mod tests;
