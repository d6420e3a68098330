//! Checks refused confirms, cancels and amendments: each refusal was true at some moment between request and answer.

use crate::base::requests::{AMEND, CANCEL};
use crate::load::history::{RefusedChange, Step, TapHistory};
use crate::proof::ledger::{Change, Entry, Kind};
use crate::proof::reconcile::{Facts, refusals};
use crate::proof::rules::{Rule, Violation, of};

/// A buyer may change a reservation so often; after that it is refused as not held.
const CHANGES_MAX: usize = 100;
/// By so much the sale clock may be ahead of the buyers' (see the contract).
const TICK_MS: i64 = 2_000;

pub(crate) fn check(facts: &Facts<'_>, history: &TapHistory, found: &mut Vec<Violation>) {
    for refused in &history.refused {
        // A reservation that is not in the ledger is reported where it was taken.
        let Some(entry) = facts.book.entries.get(refused.reservation.as_str()) else { continue };
        let untrue = match refused.why.as_str() {
            "sold-out" => untrue_sold_out(facts, refused, entry),
            _ if refused.after_lost => Vec::new(),
            why => {
                let reason = match why {
                    "reservation-not-held" => surely_held(facts, history, refused, entry),
                    "reservation-changed" => surely_unchanged(refused, entry),
                    "payment-conflict" => without_conflict(entry, &history.payment),
                    _ => None,
                };
                let rule = match refused.request.as_str() {
                    AMEND => Rule::AmendAsAcknowledged,
                    _ => Rule::StepsAsAcknowledged,
                };
                reason
                    .map(|reason| (rule, format!("the {} was refused ({why}), {reason}", refused.request)))
                    .into_iter()
                    .collect()
            }
        };
        let id = Some(refused.reservation.as_str());
        found.extend(untrue.into_iter().map(|(rule, what)| of(&history.buyer, rule, id, what)));
    }
}

/// An amendment takes only what the reservation does not have yet.
fn untrue_sold_out(facts: &Facts<'_>, refused: &RefusedChange, entry: &Entry<'_>) -> Vec<(Rule, String)> {
    let asked = refused.answer.asked.as_millisecond() - facts.input.doubt_ms();
    let latest = latest_ms(facts, refused);
    let place = entry.versions.partition_point(|version| version.at.as_millisecond() <= asked);
    // Each of these may have been the latest when the amendment was decided.
    let possible = || {
        let from = entry.versions.get(place.saturating_sub(1)..).unwrap_or_default();
        from.iter().take_while(|version| version.at.as_millisecond() <= latest)
    };
    let surely_had = |item: &String| {
        let has = |version: &&Change| version.items().any(|own| own.to_string() == *item);
        !refused.after_lost && possible().next().is_some() && possible().all(has)
    };
    let wanted: Vec<String> = refused.wanted.iter().filter(|item| !surely_had(item)).cloned().collect();
    let untrue = refusals::untrue_sold_out(facts, &refused.answer, &wanted);
    untrue.into_iter().map(|(rule, what)| (rule, format!("the {}: {what}", refused.request))).collect()
}

/// Why the reservation was surely in the state that the change needs when the answer came: its buyer alone confirms and
/// cancels it. By the buyer's own clock, so that a step of another clock changes nothing.
fn surely_held(
    facts: &Facts<'_>,
    history: &TapHistory,
    refused: &RefusedChange,
    entry: &Entry<'_>,
) -> Option<String> {
    let terms = facts.input.terms;
    // A buyer's change needs a hold before its deadline; a payment and a cancel have the grace, too.
    let hold = terms.hold_of(entry.is_granted());
    let (lasts, is_used_up) = match refused.request.as_str() {
        AMEND => (hold, entry.versions.len() > CHANGES_MAX),
        _ => (hold + terms.grace, false),
    };
    // A tap's was taken after the first request for it had left; no request has made one of a draw or a queue.
    let began = match entry.reserve().kind {
        Kind::Draw | Kind::Grant => entry.reserve().at.as_millisecond() - facts.input.doubt_ms(),
        _ => refused.began?.as_millisecond(),
    };
    let age = refused.answer.answered.as_millisecond() - began + TICK_MS;
    let is_of_the_run = entry.reserve().sequence > facts.input.started_after;
    let has_ended = entry.cancelled.is_some() && (refused.after_settling || history.cancel == Step::NotTried);
    // A service cancels what is held and what is paid, and what is paid has never expired.
    let is_by_service = refused.as_service && refused.request == CANCEL;
    if is_by_service && entry.confirmed.is_some() && is_of_the_run && !has_ended {
        return Some("but it is paid, and a service may cancel that".to_owned());
    }
    let is_paid = entry.confirmed.is_some() && refused.after_settling;
    let is_sure = age < i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX)
        && is_of_the_run
        && !(is_used_up || has_ended || is_paid)
        && !facts.input.terms_may_have_changed();
    is_sure.then(|| "but the hold could not have ended by then".to_owned())
}

/// Why the version that was named was surely the latest.
fn surely_unchanged(refused: &RefusedChange, entry: &Entry<'_>) -> Option<String> {
    let Some(version) = refused.version else {
        return Some("but the request named no version".to_owned());
    };
    // A version that the ledger lacks is reported where it was shown.
    entry.at_version(version)?;
    let is_latest = entry.at_version(version + 1).is_none();
    is_latest.then(|| format!("but version {version}, which it named, was the latest"))
}

/// Why no other payment can have been there.
fn without_conflict(entry: &Entry<'_>, own: &str) -> Option<String> {
    match entry.confirmed {
        Some(there) if there.payment.as_deref() == Some(own) => {
            Some("but the ledger has this payment".to_owned())
        }
        Some(_) => None,
        None => Some("but the ledger has no payment".to_owned()),
    }
}

/// The latest time by the journal's clock at which the answer was decided.
fn latest_ms(facts: &Facts<'_>, refused: &RefusedChange) -> i64 {
    refused.answer.answered.as_millisecond() + facts.input.doubt_ms()
}
