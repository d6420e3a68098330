//! Checks one key: the ledger has what was shown, as requested, the same each time, confirmed and
//! cancelled as acknowledged.

use std::collections::BTreeSet;

use crate::load::history::{Hold, Step, TapHistory, WantedChange};
use crate::proof::ledger::{Change, Entry, State};
use crate::proof::reconcile::{Facts, ReconcileInput, shown};
use crate::proof::rules::{Rule, Violation, of};

pub(crate) fn check(facts: &Facts<'_>, history: &TapHistory, found: &mut Vec<Violation>) {
    let mut console =
        |rule, reservation: Option<&str>, what| found.push(of(&history.buyer, rule, reservation, what));
    for finding in &history.findings {
        console(Rule::Contract, None, finding.clone());
    }
    let amended = history.amends.iter().filter_map(|amend| amend.shown.as_ref());
    for hold in history.holds.iter().chain(&history.settled).chain(amended) {
        if let Some(what) = shown::wrong_server_time(hold, facts.input) {
            console(Rule::ServerTime, Some(&hold.id), what);
        }
    }
    for hold in &history.holds {
        if let Some(what) = differs(hold, facts, &history.buyer) {
            console(Rule::AcknowledgedIsInLedger, Some(&hold.id), what);
        }
        // A later version is the buyer's own amendment.
        if hold.version <= 1 && !is_as_requested(hold, history) {
            let what = format!(
                "requested {:?}, got model {} packages {:?} store {:?} unavailable {:?}",
                history.selection, hold.model, hold.packages, hold.store, hold.unavailable
            );
            console(Rule::AsRequested, Some(&hold.id), what);
        }
    }
    // A reservation that is not in the ledger is reported where it was taken.
    for hold in history.settled.iter().filter(|hold| facts.book.entries.contains_key(hold.id.as_str())) {
        if let Some(what) = differs(hold, facts, &history.buyer) {
            console(Rule::StepsAsAcknowledged, Some(&hold.id), what);
        }
    }
    if let Some(first) = history.holds.first() {
        for hold in history.holds.iter().filter(|hold| hold.id != first.id || hold.number != first.number) {
            let what =
                format!("the key {} showed number {} as {} before", history.key, first.number, first.id);
            console(Rule::SameAgain, Some(&hold.id), what);
        }
    }
    let own: BTreeSet<&str> = history.holds.iter().map(|hold| hold.id.as_str()).collect();
    for id in own {
        // A reservation that is not in the ledger has been reported already.
        if let Some(entry) = facts.book.entries.get(id) {
            check_steps(facts.input, entry, history, |what| {
                console(Rule::StepsAsAcknowledged, Some(id), what)
            });
        }
    }
}

fn check_steps(
    input: &ReconcileInput<'_>,
    entry: &Entry<'_>,
    history: &TapHistory,
    mut console: impl FnMut(String),
) {
    // A run with a seed of old meets its old reservations: what happened to them before does not count.
    let since = |step: Option<&Change>| step.is_some_and(|step| step.sequence > input.started_after);
    let steps =
        [("confirm", &history.confirm, entry.confirmed), ("cancel", &history.cancel, entry.cancelled)];
    for (name, step, there) in steps {
        match step {
            Step::Done if there.is_none() => {
                console(format!("the {name} was acknowledged, the ledger has none"))
            }
            Step::NotTried if since(there) => {
                console(format!("the ledger has a {name} that no request asked for"))
            }
            Step::Refused(why) if since(there) => {
                console(format!("the {name} was refused ({why}), but the ledger has it"));
            }
            _ => {}
        }
    }
    if history.confirm != Step::Done {
        return;
    }
    if let Some(confirmed) = entry.confirmed
        && confirmed.payment.as_deref() != Some(&history.payment)
    {
        console(format!("confirmed with {:?}, the ledger has {:?}", history.payment, confirmed.payment));
    }
    if entry.state == State::Expired {
        console("expired after it was confirmed".to_owned());
    }
}

/// In words how a reservation was shown otherwise than the ledger has it, at the version that was shown.
pub(crate) fn differs(hold: &Hold, facts: &Facts<'_>, buyer: &str) -> Option<String> {
    let Some(entry) = facts.book.entries.get(hold.id.as_str()) else {
        return Some(format!("number {} was acknowledged, the ledger does not have it", hold.number));
    };
    let Some(ledger) = entry.at_version(hold.version) else {
        let last = entry.versions.len();
        return Some(format!("version {} was shown, the ledger has {last}", hold.version));
    };
    let history = (buyer, hold.number, &hold.model, sorted(&hold.packages), &hold.store);
    let there = (
        ledger.buyer(),
        entry.reserve().number(),
        &ledger.selected.model,
        sorted(&ledger.selected.packages),
        &ledger.selected.store,
    );
    if history != there {
        return Some(format!("version {}: acknowledged {history:?}, the ledger has {there:?}", hold.version));
    }
    shown::differs(hold, entry, facts.input)
}

/// In words what an acknowledged amendment was asked for and not shown: it is made as a whole or refused, and leaves
/// nothing off.
pub(crate) fn lacks(shown: &Hold, wanted: &WantedChange) -> Option<String> {
    let model = wanted.model.as_ref().filter(|model| **model != shown.model);
    let packages = wanted.packages.as_ref().filter(|packages| sorted(packages) != sorted(&shown.packages));
    let store = wanted.store.as_ref().filter(|store| Some(*store) != shown.store.as_ref());
    let missing = [
        model.map(|model| format!("model {model}, got {}", shown.model)),
        packages.map(|packages| format!("packages {packages:?}, got {:?}", shown.packages)),
        store.map(|store| format!("store {store}, got {}", shown.store.as_deref().unwrap_or("none"))),
    ];
    let missing: Vec<String> = missing.into_iter().flatten().collect();
    (!missing.is_empty()).then(|| {
        format!(
            "the amendment was acknowledged with version {}, but asked for {}",
            shown.version,
            missing.join("; ")
        )
    })
}

fn is_as_requested(hold: &Hold, history: &TapHistory) -> bool {
    let selection = &history.selection;
    if hold.model != selection.model {
        return false;
    }
    if sorted(&hold.packages) == sorted(&selection.packages) && hold.store == selection.store {
        return hold.unavailable.is_empty();
    }
    // Left-out packages need `accept_partial`, and the answer must list them.
    let left_off = selection.packages.len().saturating_sub(hold.packages.len())
        + usize::from(hold.store != selection.store);
    selection.accept_partial
        && hold.packages.iter().all(|package| selection.packages.contains(package))
        && (hold.store == selection.store || hold.store.is_none())
        && hold.unavailable.len() == left_off
}

fn sorted(list: &[String]) -> Vec<&str> {
    let mut list: Vec<&str> = list.iter().map(String::as_str).collect();
    list.sort_unstable();
    list
}
