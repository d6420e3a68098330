//! Checks refusals: each was true at some moment between request and answer, and its key had not
//! won before.

use crate::base::outcome::Outcome;
use crate::load::history::{SoldOut, TapHistory};
use crate::plan::selection::Selection;
use crate::proof::ledger::{Book, Entry};
use crate::proof::reconcile::{Facts, ReconcileInput};
use crate::proof::rules::{Rule, Violation, of};

pub(crate) fn check(facts: &Facts<'_>, history: &TapHistory, found: &mut Vec<Violation>) {
    let mut console =
        |rule, reservation: Option<&str>, what| found.push(of(&history.buyer, rule, reservation, what));
    let Facts { input, book, .. } = facts;
    for sold_out in &history.sold_out {
        for (rule, what) in untrue_sold_out(facts, sold_out, &decisive_items(&history.selection)) {
            console(rule, None, what);
        }
        let shown = history.holds.first().and_then(|hold| book.entries.get_key_value(hold.id.as_str()));
        if let Some((id, entry)) = shown.filter(|(_, entry)| was_surely_known(input, sold_out, entry)) {
            let what = format!(
                "sent at {} with the key {}, which had won at {}, and was refused as sold out",
                sold_out.asked,
                history.key,
                entry.reserve().at
            );
            console(Rule::WinnerNeverLost, Some(id), what);
        }
    }
    if history.outcome == Some(Outcome::PurchaseLimit)
        && let Some(what) = reached_no_limit(input, book, &history.buyer)
    {
        console(Rule::PurchaseLimitWasTrue, None, what);
    }
}

/// The items that decide whether a tap wins: with `accept_partial` the model alone.
fn decisive_items(selection: &Selection) -> Vec<String> {
    let model = format!("model:{}", selection.model);
    if selection.accept_partial {
        return vec![model];
    }
    let packages = selection.packages.iter().map(|id| format!("package:{id}"));
    let store = selection.store.iter().map(|id| format!("store:{id}"));
    [model].into_iter().chain(packages).chain(store).collect()
}

/// In words what is not true of a refusal as sold out; `wanted` are the items that it can be about.
pub(crate) fn untrue_sold_out(
    facts: &Facts<'_>,
    sold_out: &SoldOut,
    wanted: &[String],
) -> Vec<(Rule, String)> {
    let Facts { input, times, queues, .. } = facts;
    let (asked, answered) = (sold_out.asked.as_millisecond(), sold_out.answered.as_millisecond());
    let (from, to) = (asked - input.doubt_ms(), answered + input.doubt_ms());
    let mut untrue = Vec::new();
    for item in &sold_out.items {
        let what = if !times.may_have_had(item) {
            format!("reported {item} sold out, which the sale does not have")
        } else if !wanted.contains(item) {
            format!("reported {item} sold out, which was not asked for: {}", wanted.join(", "))
        } else if times.was_free(item, from, to) && !queues.may_set_aside(item, from, to) {
            format!(
                "reported {item} sold out at {}, but some was free from {} ms before that on",
                sold_out.answered,
                answered - from
            )
        } else {
            continue;
        };
        untrue.push((Rule::SoldOutWasTrue, what));
    }
    if sold_out.last && times.holds.cover(from, to) {
        let what = format!(
            "reported final at {}, but a hold was outstanding from {} ms before that on",
            sold_out.answered,
            answered - from
        );
        untrue.push((Rule::FinalIsFinal, what));
    }
    untrue
}

/// Whether this reservation surely existed at the request. From then on every gateway answers its
/// key with it, even once it has ended.
pub(crate) fn was_surely_known(input: &ReconcileInput<'_>, sold_out: &SoldOut, entry: &Entry<'_>) -> bool {
    let taken = entry.reserve().at.as_millisecond();
    sold_out.asked.as_millisecond() > taken + input.doubt_ms()
}

/// Explains why a buyer was not at a purchase limit. The instant of the refusal is unknown, so the
/// buyer's maximum counts.
pub(super) fn reached_no_limit(input: &ReconcileInput<'_>, book: &Book<'_>, buyer: &str) -> Option<String> {
    let terms = input.terms;
    let Some(owner) = book.owners.get(buyer) else {
        return Some("refused by a purchase limit without ever having reserved".to_owned());
    };
    // `attempts` is not locked: a definition may have changed it.
    let defined = input.actions_of_the_run().any(|action| action.defines());
    let all = owner.reservations.len() as u64;
    if defined || owner.alive_peak >= terms.per_buyer || all >= terms.attempts {
        return None;
    }
    Some(format!(
        "refused by a purchase limit, but never had more than {} of {} reservations alive, nor started more than {all} \
         of {}",
        owner.alive_peak, terms.per_buyer, terms.attempts
    ))
}
