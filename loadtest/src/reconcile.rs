//! Owns the proof: what each buyer was told against what the ledger says. Pure; every rule has a test that breaks it.

use crate::admin::Audit;
use crate::ledger::{Book, Change, Entry, MisstepKind, State};
use crate::told::{Hold, Outcome, Step, Told};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use stock::{Stock, Stocks};

mod stock;
#[cfg(test)]
mod tests;

/// All that the verdict rests on.
pub(crate) struct Evidence<'a> {
    pub(crate) per_buyer: u64,
    /// The sequence before the first tap: what the ledger held then is not this run's.
    pub(crate) started_after: u64,
    /// Stock before the run; the audit has it afterwards.
    pub(crate) totals_before: &'a BTreeMap<String, Option<u64>>,
    pub(crate) audit: &'a Audit,
    pub(crate) changes: &'a [Change],
    pub(crate) told: &'a [Told],
    /// What the support desk sees of buyers whose outcome is unknown: ids of reservations.
    pub(crate) desk: &'a HashMap<String, Vec<String>>,
}

/// The rule that a violation breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rule {
    /// The audit says balanced, without drift, with nothing below zero or above the total.
    AuditBalanced,
    /// The audit's numbers are what the journal adds up to at the audit's sequence.
    AuditIsTheJournal,
    /// No item was ever taken more often than there was of it.
    NotOversold,
    /// Numbers go 1, 2, 3 … in the journal's order.
    NumbersInOrder,
    /// Reservations only take the steps of the state machine.
    StepsAllowed,
    /// No buyer has more reservations alive than `per_buyer`.
    PerBuyer,
    /// One key buys once.
    BoughtOnce,
    /// A 201 or 200 is in the ledger, for that buyer, as it was told.
    AcknowledgedIsInLedger,
    /// What the buyer got is what he asked for, less what he was ready to do without.
    AsWished,
    /// Every answer to one key shows the same reservation.
    SameAgain,
    /// Who was refused holds nothing.
    RefusedHoldsNothing,
    /// `sold-out` with `final` is the last word.
    FinalIsFinal,
    /// What was called sold out was.
    SoldOutWasTrue,
    /// Who was told of a purchase limit has a reservation.
    PurchaseLimitWasTrue,
    /// Confirmed and cancelled are those that were told so, and no others.
    StepsAsTold,
    /// The support desk sees what the journal says.
    DeskSeesTheSame,
    /// Answers are those that the contract allows.
    Contract,
}

/// A rule that was broken.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) buyer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reservation: Option<String>,
    pub(crate) what: String,
}

/// Finds every broken rule. A clean run has none.
pub(crate) fn reconcile(evidence: &Evidence<'_>) -> Vec<Violation> {
    let book = Book::replay(evidence.changes, evidence.per_buyer, u64::MAX);
    let mut found = Vec::new();
    let stocks = Stocks::of(evidence);
    stock::check_audit(evidence, &mut found);
    stock::check_peaks(&stocks, &book, &mut found);
    check_journal(&book, &mut found);
    for told in evidence.told {
        let mut check = BuyerCheck { evidence, book: &book, stocks: &stocks, told, found: &mut found };
        check.all();
    }
    found
}

fn check_journal(book: &Book, found: &mut Vec<Violation>) {
    for misstep in &book.missteps {
        let rule = match misstep.kind {
            MisstepKind::Number => Rule::NumbersInOrder,
            MisstepKind::State => Rule::StepsAllowed,
            MisstepKind::TooManyPerBuyer => Rule::PerBuyer,
        };
        found.push(Violation {
            rule,
            buyer: Some(misstep.buyer.clone()),
            reservation: Some(misstep.reservation.clone()),
            what: misstep.what.clone(),
        });
    }
}

/// The rules about one buyer.
struct BuyerCheck<'a> {
    evidence: &'a Evidence<'a>,
    book: &'a Book,
    stocks: &'a Stocks<'a>,
    told: &'a Told,
    found: &'a mut Vec<Violation>,
}

impl BuyerCheck<'_> {
    fn all(&mut self) {
        for complaint in &self.told.complaints {
            self.say(Rule::Contract, None, complaint.clone());
        }
        self.check_acknowledged();
        self.check_not_acknowledged();
        self.check_refusals();
        self.check_steps();
        self.check_desk();
    }

    fn say(&mut self, rule: Rule, reservation: Option<&str>, what: String) {
        let buyer = Some(self.told.buyer.clone());
        self.found.push(Violation { rule, buyer, reservation: reservation.map(str::to_owned), what });
    }

    /// This run's reservations of the buyer, as the ledger has them.
    fn own(&self) -> Vec<(&str, &Entry)> {
        let ids = self.book.of_buyer.get(&self.told.buyer).map(Vec::as_slice).unwrap_or_default();
        ids.iter()
            .filter_map(|id| self.book.entries.get(id).map(|entry| (id.as_str(), entry)))
            .filter(|(_, entry)| entry.reserved_at > self.evidence.started_after)
            .collect()
    }

    fn check_acknowledged(&mut self) {
        let (book, told) = (self.book, self.told);
        for hold in &told.holds {
            match book.entries.get(&hold.id) {
                None => {
                    let what =
                        format!("number {} was acknowledged, the ledger does not have it", hold.number);
                    self.say(Rule::AcknowledgedIsInLedger, Some(&hold.id), what);
                }
                Some(entry) => {
                    if let Some(what) = differs(hold, entry, &told.buyer) {
                        self.say(Rule::AcknowledgedIsInLedger, Some(&hold.id), what);
                    }
                }
            }
            if !is_as_wished(hold, told) {
                let what = format!(
                    "wished {:?}, got model {} packages {:?} store {:?} unavailable {:?}",
                    told.wish, hold.model, hold.packages, hold.store, hold.unavailable
                );
                self.say(Rule::AsWished, Some(&hold.id), what);
            }
        }
        if let Some(first) = told.holds.first() {
            for hold in told.holds.iter().filter(|hold| hold.id != first.id || hold.number != first.number) {
                let what = format!("the same key showed number {} as {} before", first.number, first.id);
                self.say(Rule::SameAgain, Some(&hold.id), what);
            }
        }
    }

    fn check_not_acknowledged(&mut self) {
        let own: Vec<String> = self.own().into_iter().map(|(id, _)| id.to_owned()).collect();
        if own.len() > 1 {
            self.say(
                Rule::BoughtOnce,
                own.last().map(String::as_str),
                format!("one key bought {}", own.join(" and ")),
            );
        }
        let last_word = self.told.sold_out.iter().any(|sold_out| sold_out.last);
        for id in own {
            if last_word {
                let what = "told that it is sold out for good, but the ledger has a reservation".to_owned();
                self.say(Rule::FinalIsFinal, Some(&id), what);
            } else if self.told.outcome != Some(Outcome::Unknown)
                && !self.told.holds.iter().any(|hold| hold.id == id)
            {
                let what = format!(
                    "told {:?}, but the ledger has a reservation that was never shown",
                    self.told.outcome
                );
                self.say(Rule::RefusedHoldsNothing, Some(&id), what);
            }
        }
    }

    fn check_refusals(&mut self) {
        let (book, told) = (self.book, self.told);
        for item in told.sold_out.iter().flat_map(|sold_out| &sold_out.items) {
            let peak = book.taken.get(item).map_or(0, |taken| taken.peak);
            match self.stocks.least(item) {
                Some(Stock::Of(total)) if peak >= total => {}
                Some(stock) => {
                    let what = format!(
                        "told that {item} is sold out, but of {stock} at most {peak} were ever taken"
                    );
                    self.say(Rule::SoldOutWasTrue, None, what);
                }
                None => self.say(
                    Rule::SoldOutWasTrue,
                    None,
                    format!("told of {item}, which the sale does not have"),
                ),
            }
        }
        if told.outcome == Some(Outcome::PurchaseLimit) && !book.of_buyer.contains_key(&told.buyer) {
            self.say(
                Rule::PurchaseLimitWasTrue,
                None,
                "told of a purchase limit without ever having reserved".to_owned(),
            );
        }
    }

    fn check_steps(&mut self) {
        let (book, told) = (self.book, self.told);
        let own: Vec<&str> =
            told.holds.iter().map(|hold| hold.id.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
        for id in own {
            // A reservation that is not in the ledger has been reported already.
            let Some(entry) = book.entries.get(id) else {
                continue;
            };
            // A run with a seed of old meets its old reservations: what happened to them before does not count.
            let since = |at: Option<u64>| at.is_some_and(|at| at > self.evidence.started_after);
            let steps = [
                ("confirm", &told.confirm, entry.confirmed_at),
                ("cancel", &told.cancel, entry.cancelled_at),
            ]
            .map(|(name, step, at)| (name, step, at.is_some(), since(at)));
            for (name, step, ever, now) in steps {
                let what = match step {
                    Step::Done if !ever => {
                        format!("the {name} was acknowledged, the ledger has none")
                    }
                    Step::NotTried if now => {
                        format!("nobody asked for the {name} that the ledger has")
                    }
                    Step::Refused(why) if now => {
                        format!("the {name} was refused ({why}), but the ledger has it")
                    }
                    _ => continue,
                };
                self.say(Rule::StepsAsTold, Some(id), what);
            }
            if told.confirm == Step::Done
                && entry.confirmed_at.is_some()
                && entry.payment.as_deref() != Some(&told.payment)
            {
                let what = format!("confirmed with {:?}, the ledger has {:?}", told.payment, entry.payment);
                self.say(Rule::StepsAsTold, Some(id), what);
            }
            if told.confirm == Step::Done && entry.state == State::Expired {
                self.say(Rule::StepsAsTold, Some(id), "expired after it was confirmed".to_owned());
            }
        }
    }

    fn check_desk(&mut self) {
        let Some(seen) = self.evidence.desk.get(&self.told.buyer) else {
            return;
        };
        let missing: Vec<String> =
            self.own().iter().map(|(id, _)| (*id).to_owned()).filter(|id| !seen.contains(id)).collect();
        for id in missing {
            self.say(
                Rule::DeskSeesTheSame,
                Some(&id),
                "in the journal, but the support desk does not see it".to_owned(),
            );
        }
    }
}

/// In words how a reservation was told otherwise than the ledger has it.
fn differs(hold: &Hold, entry: &Entry, buyer: &str) -> Option<String> {
    let told = (buyer, hold.number, &hold.model, sorted(&hold.packages), &hold.store);
    let ledger = (entry.buyer.as_str(), entry.number, &entry.model, sorted(&entry.packages), &entry.store);
    (told != ledger).then(|| format!("told {told:?}, the ledger has {ledger:?}"))
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
