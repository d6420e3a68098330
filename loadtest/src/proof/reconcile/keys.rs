//! The rules about one key: what it was shown is in the ledger, as it was wished for, the same each time, and was
//! confirmed and cancelled as told.

use std::collections::BTreeSet;

use crate::load::told::{Hold, Step, Told};
use crate::proof::ledger::{Book, Change, Entry, State};
use crate::proof::reconcile::{Evidence, Rule, Violation, of};

pub(crate) fn check(evidence: &Evidence<'_>, book: &Book<'_>, told: &Told, found: &mut Vec<Violation>) {
    let mut say =
        |rule, reservation: Option<&str>, what| found.push(of(&told.buyer, rule, reservation, what));
    for complaint in &told.complaints {
        say(Rule::Contract, None, complaint.clone());
    }
    for hold in &told.holds {
        if let Some(what) = differs(hold, book, &told.buyer) {
            say(Rule::AcknowledgedIsInLedger, Some(&hold.id), what);
        }
        // A later version is what he made of it himself.
        if hold.version <= 1 && !is_as_wished(hold, told) {
            let what = format!(
                "wished {:?}, got model {} packages {:?} store {:?} unavailable {:?}",
                told.wish, hold.model, hold.packages, hold.store, hold.unavailable
            );
            say(Rule::AsWished, Some(&hold.id), what);
        }
    }
    if let Some(first) = told.holds.first() {
        for hold in told.holds.iter().filter(|hold| hold.id != first.id || hold.number != first.number) {
            let what = format!("the key {} showed number {} as {} before", told.key, first.number, first.id);
            say(Rule::SameAgain, Some(&hold.id), what);
        }
    }
    let own: BTreeSet<&str> = told.holds.iter().map(|hold| hold.id.as_str()).collect();
    for id in own {
        // A reservation that is not in the ledger has been reported already.
        if let Some(entry) = book.entries.get(id) {
            check_steps(evidence, entry, told, |what| say(Rule::StepsAsTold, Some(id), what));
        }
    }
}

fn check_steps(evidence: &Evidence<'_>, entry: &Entry<'_>, told: &Told, mut say: impl FnMut(String)) {
    // A run with a seed of old meets its old reservations: what happened to them before does not count.
    let since = |step: Option<&Change>| step.is_some_and(|step| step.sequence() > evidence.started_after);
    let steps = [("confirm", &told.confirm, entry.confirmed), ("cancel", &told.cancel, entry.cancelled)];
    for (name, step, there) in steps {
        match step {
            Step::Done if there.is_none() => say(format!("the {name} was acknowledged, the ledger has none")),
            Step::NotTried if since(there) => say(format!("nobody asked for the {name} that the ledger has")),
            Step::Refused(why) if since(there) => {
                say(format!("the {name} was refused ({why}), but the ledger has it"));
            }
            _ => {}
        }
    }
    if told.confirm != Step::Done {
        return;
    }
    if let Some(confirmed) = entry.confirmed
        && confirmed.payment.as_deref() != Some(&told.payment)
    {
        say(format!("confirmed with {:?}, the ledger has {:?}", told.payment, confirmed.payment));
    }
    if entry.state == State::Expired {
        say("expired after it was confirmed".to_owned());
    }
}

/// In words how a reservation was shown otherwise than the ledger has it, at the version that was shown.
pub(crate) fn differs(hold: &Hold, book: &Book<'_>, buyer: &str) -> Option<String> {
    let Some(entry) = book.entries.get(hold.id.as_str()) else {
        return Some(format!("number {} was acknowledged, the ledger does not have it", hold.number));
    };
    let Some(ledger) = entry.at_version(hold.version) else {
        let last = entry.versions.len();
        return Some(format!("version {} was shown, the ledger has {last}", hold.version));
    };
    let told = (buyer, hold.number, &hold.model, sorted(&hold.packages), &hold.store);
    let there = (
        ledger.buyer.as_str(),
        entry.reserve().number,
        &ledger.model,
        sorted(&ledger.packages),
        &ledger.store,
    );
    (told != there).then(|| format!("version {}: told {told:?}, the ledger has {there:?}", hold.version))
}

fn is_as_wished(hold: &Hold, told: &Told) -> bool {
    let wish = &told.wish;
    if hold.model != wish.model {
        return false;
    }
    if sorted(&hold.packages) == sorted(&wish.packages) && hold.store == wish.store {
        return hold.unavailable.is_empty();
    }
    // Something was left off: he must have agreed, and be told how much it was.
    let left_off =
        wish.packages.len().saturating_sub(hold.packages.len()) + usize::from(hold.store != wish.store);
    wish.accept_partial
        && hold.packages.iter().all(|package| wish.packages.contains(package))
        && (hold.store == wish.store || hold.store.is_none())
        && hold.unavailable.len() == left_off
}

fn sorted(list: &[String]) -> Vec<&str> {
    let mut list: Vec<&str> = list.iter().map(String::as_str).collect();
    list.sort_unstable();
    list
}
