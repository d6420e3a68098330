//! Checks refusals by the sale's phase: it was paused, closed or not open at some moment between request and answer.

use jiff::{SignedDuration, Timestamp};

use crate::load::history::{PhaseRefusal, TapHistory};
use crate::proof::reconcile::ReconcileInput;
use crate::proof::rules::{Rule, Violation, of};

/// A gateway's read model may be so much older than the ledger.
pub(super) const READ_MODEL_MS: i64 = 2_000;

pub(crate) fn check(input: &ReconcileInput<'_>, history: &TapHistory, found: &mut Vec<Violation>) {
    for refusal in &history.by_phase {
        if let Some(why) = untrue(input, refusal) {
            let what = format!("refused as {} at {}, {why}", refusal.phase, refusal.answered);
            found.push(of(&history.buyer, Rule::PhaseWasTrue, None, what));
        }
    }
}

/// In words why the sale was in another phase.
pub(super) fn untrue(input: &ReconcileInput<'_>, refusal: &PhaseRefusal) -> Option<String> {
    // It may have moved the opening and the closing.
    if input.may_have_other_terms() {
        return None;
    }
    let (asked, answered) = (refusal.asked.as_millisecond(), refusal.answered.as_millisecond());
    let (from, to) = (asked - input.doubt_ms(), answered + input.doubt_ms());
    let ms = |at: Option<Timestamp>| at.map(|at| at.as_millisecond());
    match refusal.phase.as_str() {
        "not-open" if ms(opens_at(input)).is_some_and(|opens| from > opens) => {
            Some("but it had opened".to_owned())
        }
        "closed" if ms(input.terms.closes_at).is_some_and(|closes| to < closes) && !was_closed(input, to) => {
            Some("but nothing had closed it".to_owned())
        }
        "paused" if !was_paused(input, from - READ_MODEL_MS, to) => Some("but it was not paused".to_owned()),
        _ => None,
    }
}

/// A sale that sells by a draw opens to taps when its allocation is over.
fn opens_at(input: &ReconcileInput<'_>) -> Option<Timestamp> {
    match input.draw {
        Some(draw) => draw.allocated.map(|line| line.at + SignedDuration::from_millis(READ_MODEL_MS)),
        None => input.terms.opens_at,
    }
}

pub(super) fn was_closed(input: &ReconcileInput<'_>, by_ms: i64) -> bool {
    input.operator_actions.iter().any(|action| action.kind == "close" && action.at.as_millisecond() <= by_ms)
}

/// Whether it was paused at any moment between these.
fn was_paused(input: &ReconcileInput<'_>, from_ms: i64, to_ms: i64) -> bool {
    let mut paused_since = None;
    for action in input.operator_actions {
        let at = action.at.as_millisecond();
        match (action.kind.as_str(), paused_since) {
            ("pause", None) => paused_since = Some(at),
            ("resume", Some(since)) => {
                if since <= to_ms && at >= from_ms {
                    return true;
                }
                paused_since = None;
            }
            _ => {}
        }
    }
    paused_since.is_some_and(|since| since <= to_ms)
}
