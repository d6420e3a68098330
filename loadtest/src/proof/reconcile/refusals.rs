//! The rules about a refusal: it was true at some moment from its request to its answer, and its key had not won before.

use crate::base::outcome::Outcome;
use crate::load::told::{SoldOut, Told};
use crate::proof::ledger::{Book, Entry};
use crate::proof::reconcile::stock::Times;
use crate::proof::reconcile::{Evidence, Rule, Violation, of};

pub(crate) fn check(
    evidence: &Evidence<'_>,
    times: &Times<'_>,
    book: &Book<'_>,
    told: &Told,
    found: &mut Vec<Violation>,
) {
    let mut say =
        |rule, reservation: Option<&str>, what| found.push(of(&told.buyer, rule, reservation, what));
    for sold_out in &told.sold_out {
        let (asked, answered) = (sold_out.asked.as_millisecond(), sold_out.told.as_millisecond());
        let (from, to) = (asked - evidence.doubt_ms(), answered + evidence.doubt_ms());
        for item in &sold_out.items {
            if !times.may_have_had(item) {
                say(Rule::SoldOutWasTrue, None, format!("told of {item}, which the sale does not have"));
            } else if times.was_free(item, from, to) {
                let what = format!(
                    "told at {} that {item} is sold out: there was some all the time from {} ms before that on",
                    sold_out.told,
                    answered - from
                );
                say(Rule::SoldOutWasTrue, None, what);
            }
        }
        if sold_out.last && times.holds_were_outstanding(from, to) {
            let what = format!(
                "told at {} that it is final: a hold was outstanding all the time from {} ms before that on",
                sold_out.told,
                answered - from
            );
            say(Rule::FinalIsFinal, None, what);
        }
        let shown = told.holds.first().and_then(|hold| book.entries.get_key_value(hold.id.as_str()));
        if let Some((id, entry)) = shown.filter(|(_, entry)| was_surely_known(evidence, sold_out, entry)) {
            let what = format!(
                "asked at {} with the key {}, which had won at {}, and was told that it is sold out",
                sold_out.asked,
                told.key,
                entry.reserve().at
            );
            say(Rule::WinnerNeverLost, Some(id), what);
        }
    }
    if told.outcome == Some(Outcome::PurchaseLimit)
        && let Some(what) = reached_no_limit(evidence, book, &told.buyer)
    {
        say(Rule::PurchaseLimitWasTrue, None, what);
    }
}

/// Whether this reservation was surely there when it was asked. From then on its key is always answered with it, by every
/// gateway, also when it has ended.
pub(crate) fn was_surely_known(evidence: &Evidence<'_>, sold_out: &SoldOut, entry: &Entry<'_>) -> bool {
    let taken = entry.reserve().at.as_millisecond();
    sold_out.asked.as_millisecond() > taken + evidence.doubt_ms()
}

/// In words why a buyer can't have been at a purchase limit. When he was told is not known, so the most that he ever had
/// counts.
fn reached_no_limit(evidence: &Evidence<'_>, book: &Book<'_>, buyer: &str) -> Option<String> {
    let terms = evidence.terms;
    let Some(owner) = book.owners.get(buyer) else {
        return Some("told of a purchase limit without ever having reserved".to_owned());
    };
    // `attempts` is not locked: a definition may have changed it.
    let defined = evidence.levers_of_the_run().any(|lever| lever.defines());
    let all = owner.reservations.len() as u64;
    if defined || owner.alive_peak >= terms.per_buyer || all >= terms.attempts {
        return None;
    }
    Some(format!(
        "told of a purchase limit, but he never had more than {} of {} reservations alive, nor started more than {all} \
         of {}",
        owner.alive_peak, terms.per_buyer, terms.attempts
    ))
}
