//! The judgement of a launch: what every buyer was told against the ledger that is there when the fault is over. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use crate::ledger::Ledger;
use crate::load::{Exchange, Hold, Step, TapHistory, Verdict};
use crate::schedule::Launch;

/// All that the judgement rests on.
pub(crate) struct JudgeInput<'a> {
    pub(crate) launch: &'a Launch,
    pub(crate) history: &'a [TapHistory],
    /// What `loadtest` has found, where it could read the ledger.
    pub(crate) verdict: Option<&'a Verdict>,
    pub(crate) ledger: &'a Ledger,
    /// Cars of each model.
    pub(crate) stock: &'a [(&'a str, u64)],
    /// What `gateway audit` said, where it did not balance.
    pub(crate) audit: Option<&'a str>,
    /// Whether all gateways sell again; else what one says, in words.
    pub(crate) well: &'a Result<(), String>,
}

/// How a launch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ending {
    /// All that anybody was told is in the ledger, and it sells.
    Whole,
    /// So, after something lost was put back.
    Replayed,
    /// It sells nothing until somebody has looked.
    StandsStill,
    /// It sells, although something that was told is not in the ledger.
    WentOn,
}

/// What came of a launch.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LaunchFindings {
    pub(crate) ending: Ending,
    /// Changes that gateways have appended again.
    pub(crate) replayed: u64,
    /// Reservations that somebody was told of.
    pub(crate) acknowledged: u64,
    /// Of these, how many the ledger does not have.
    pub(crate) lost: u64,
    /// Confirms, cancels and amendments that were acknowledged, and that the ledger does not have.
    pub(crate) lost_changes: u64,
    /// Cars that were promised beyond those that there are.
    pub(crate) beyond_stock: u64,
    pub(crate) observed: Observed,
    /// Why it stands still.
    pub(crate) problem: String,
    /// Broken promises and rules; none in a good launch.
    pub(crate) broken: Vec<String>,
}

/// What buyers saw.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Observed {
    /// Taps by outcome.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Taps that were told to come again at least once (503, certainly not taken).
    pub(crate) put_off: u64,
    /// Taps of which an answer was lost, or was `outcome-unknown`.
    pub(crate) unsure: u64,
}

/// Rules of `loadtest` that can't hold when something acknowledged is gone: the loss is counted, and judged by the level.
const FOLLOW_FROM_LOSS: [&str; 8] = [
    "acknowledged-is-in-ledger",
    "steps-as-acknowledged",
    "amend-as-acknowledged",
    "purchase-limit-was-true",
    "sold-out-was-true",
    "final-is-final",
    "refused-holds-nothing",
    "support-lookup-agrees",
];
/// And those that compare buyers' times with the journal's, which stand still when the clock was set back.
const BY_THE_CLOCK: [&str; 4] =
    ["sold-out-was-true", "final-is-final", "winner-never-lost", "not-expired-early"];
/// Times are cut to milliseconds.
const CUT_MS: f64 = 2.0;

/// Judges a launch.
pub(crate) fn judge(input: &JudgeInput<'_>) -> LaunchFindings {
    let JudgeInput { launch, history, ledger, well, .. } = input;
    let (lost, lost_changes) = (lost(history, ledger), lost_changes(history, ledger));
    let acknowledged: HashSet<&str> =
        history.iter().flat_map(|history| &history.holds).map(|h| h.id.as_str()).collect();
    let is_lossy = lost + lost_changes > 0;
    let ending = match (well.is_ok(), is_lossy) {
        (true, false) if ledger.replayed > 0 => Ending::Replayed,
        (true, false) => Ending::Whole,
        (true, true) => Ending::WentOn,
        (false, _) => Ending::StandsStill,
    };
    let beyond_stock = beyond_stock(input);
    let mut broken = ledger.broken.clone();
    if is_lossy && launch.fault.loses_nothing_at(launch.level) {
        broken.push(format!(
            "{lost} reservations and {lost_changes} changes that were acknowledged are not in the ledger, which the level promises"
        ));
    }
    if ending == Ending::WentOn && !launch.fault.may_sell_twice_at(launch.level) {
        broken.push("it goes on without what was lost".to_owned());
    }
    if beyond_stock > 0 && !launch.fault.may_sell_twice_at(launch.level) {
        broken.push(format!("{beyond_stock} cars were promised beyond those that there are"));
    }
    if ending == Ending::StandsStill && !is_lossy {
        broken.push("it stands still, although nothing is lost".to_owned());
    }
    let unknown = history.iter().filter(|history| history.outcome.as_deref() == Some("unknown")).count();
    if unknown > 0 && well.is_ok() {
        broken.push(format!("{unknown} taps are not answered although everything is up again"));
    }
    if let Some(audit) = input.audit {
        broken.push(format!("gateway audit: {audit}"));
    }
    if !is_lossy {
        broken.extend(out_of_order(history));
    }
    match input.verdict {
        Some(verdict) => broken.extend(rules(verdict, is_lossy, ledger.has_gaps, launch.fault.bends_time())),
        None if is_lossy => {}
        None => broken.push("loadtest came to no verdict".to_owned()),
    }
    LaunchFindings {
        ending,
        replayed: ledger.replayed,
        acknowledged: acknowledged.len() as u64,
        lost,
        lost_changes,
        beyond_stock,
        observed: observe(history),
        problem: well.as_ref().err().cloned().unwrap_or_default(),
        broken,
    }
}

/// Acknowledged reservations that the ledger does not have.
fn lost(history: &[TapHistory], ledger: &Ledger) -> u64 {
    let holds = history.iter().flat_map(|history| &history.holds);
    let has =
        |hold: &Hold| ledger.reservations.get(&hold.id).is_some_and(|there| there.number == hold.number);
    holds.filter(|hold| !has(hold)).map(|hold| &hold.id).collect::<HashSet<_>>().len() as u64
}

/// Acknowledged changes of reservations that it has.
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

/// Cars that are promised at the end beyond the stock: those of the ledger, and those that it has lost; but not what was given back, by
/// what its buyer was told, or may have been.
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

/// Whoever was told his number before another asked has the lower one.
fn out_of_order(history: &[TapHistory]) -> Vec<String> {
    let is_tap = |exchange: &&Exchange| exchange.request.contains("Idempotency-Key");
    let ms = |exchange: &Exchange| exchange.at.as_millisecond() as f64;
    let mut stories = Vec::new();
    for history in history {
        let Some(hold) = history.holds.first() else { continue };
        let taps = || history.log.exchanges.iter().filter(is_tap);
        let asked = taps().map(ms).reduce(f64::min);
        let yes = taps().filter(|exchange| exchange.answer.starts_with("20"));
        let heard = yes.map(|exchange| ms(exchange) + exchange.took_ms).reduce(f64::min);
        if let (Some(asked), Some(heard)) = (asked, heard) {
            stories.push((asked, heard, hold.number, &history.buyer));
        }
    }
    let mut by_asking = stories.clone();
    by_asking.sort_by(|one, other| one.0.total_cmp(&other.0));
    stories.sort_by(|one, other| one.1.total_cmp(&other.1));
    let (mut found, mut heard, mut most) = (Vec::new(), stories.iter().peekable(), None);
    for (asked, _, number, buyer) in by_asking {
        while let Some((_, _, earlier, who)) = heard.next_if(|story| story.1 + CUT_MS < asked) {
            most = most.max(Some((*earlier, *who)));
        }
        if let Some((earlier, who)) = most.filter(|(earlier, _)| *earlier > number) {
            found.push(format!(
                "{buyer} has number {number} and asked after {who} was told of number {earlier}"
            ));
        }
    }
    found
}

/// The rules that `loadtest` found broken, and that nothing explains.
fn rules(verdict: &Verdict, is_lossy: bool, has_gaps: bool, bends_time: bool) -> Vec<String> {
    let is_explained = |rule: &str| {
        (is_lossy && FOLLOW_FROM_LOSS.contains(&rule))
            || (bends_time && BY_THE_CLOCK.contains(&rule))
            || (has_gaps && rule == "numbers-in-order")
    };
    let unexplained = verdict.violations.iter().filter(|violation| !is_explained(&violation.rule));
    let mut broken: Vec<String> =
        unexplained.map(|v| format!("{} {}: {}", v.rule, v.buyer, v.what)).collect();
    // It may have failed for another reason than a rule.
    if verdict.verdict != "PASS" && verdict.violations.is_empty() && !is_lossy {
        broken.extend(
            verdict.reasons.iter().map(|reason| format!("loadtest says {}: {reason}", verdict.verdict)),
        );
    }
    broken
}

fn observe(history: &[TapHistory]) -> Observed {
    let mut observed = Observed::default();
    for history in history {
        *observed
            .outcomes
            .entry(history.outcome.clone().unwrap_or_else(|| "never came".into()))
            .or_default() += 1;
        let put_off = |exchange: &Exchange| exchange.answer.contains("temporary-reduced-capacity");
        observed.put_off += u64::from(history.log.exchanges.iter().any(put_off));
        observed.unsure += u64::from(history.log.lost > 0);
    }
    observed
}

#[cfg(test)]
mod tests;
