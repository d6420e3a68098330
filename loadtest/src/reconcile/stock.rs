//! Owns the rules about stock: the audit's equation, its agreement with the journal, and that nothing was oversold.

use super::{Evidence, Rule, Violation};
use crate::ledger::Book;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

/// A stock that may have no limit; `Unlimited` is the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stock {
    Of(u64),
    Unlimited,
}

/// The least and the most that each item's stock was, before the run and after it.
pub(super) struct Stocks<'a>(HashMap<&'a str, (Stock, Stock)>);

impl fmt::Display for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stock::Of(total) => total.fmt(f),
            Stock::Unlimited => f.write_str("an unlimited stock"),
        }
    }
}

impl<'a> Stocks<'a> {
    pub(super) fn of(evidence: &'a Evidence<'_>) -> Stocks<'a> {
        let before = evidence.totals_before.iter().map(|(item, total)| (item.as_str(), *total));
        let after = evidence.audit.items.iter().map(|audited| {
            let total = audited.total.map(|total| u64::try_from(total).unwrap_or(0));
            (audited.item.as_str(), total)
        });
        let mut stocks = HashMap::new();
        for (item, total) in before.chain(after) {
            let stock = total.map_or(Stock::Unlimited, Stock::Of);
            let (least, most) = stocks.entry(item).or_insert((stock, stock));
            *least = stock.min(*least);
            *most = stock.max(*most);
        }
        Stocks(stocks)
    }

    /// None for an item that the sale does not have.
    pub(super) fn least(&self, item: &str) -> Option<Stock> {
        self.0.get(item).map(|(least, _)| *least)
    }

    fn most(&self, item: &str) -> Option<Stock> {
        self.0.get(item).map(|(_, most)| *most)
    }
}

/// No item was ever taken more often than there was of it; a restock during the run counts
/// in favour of the gateway.
pub(super) fn check_peaks(stocks: &Stocks<'_>, book: &Book, found: &mut Vec<Violation>) {
    for (item, taken) in &book.taken {
        // What the sale does not have can't be taken at all.
        if let Stock::Of(total) = stocks.most(item).unwrap_or(Stock::Of(0))
            && taken.peak > total
        {
            let what = format!("{item}: {} were taken at once, there are {total}", taken.peak);
            found.push(Violation { rule: Rule::NotOversold, buyer: None, reservation: None, what });
        }
    }
}

/// The audit's sums are right, and they are those of the journal at the audit's sequence.
pub(super) fn check_audit(evidence: &Evidence<'_>, found: &mut Vec<Violation>) {
    let audit = evidence.audit;
    let mut say = |rule, what| found.push(Violation { rule, buyer: None, reservation: None, what });
    if audit.verdict != "balanced" {
        say(Rule::AuditBalanced, format!("the audit's verdict is {}", audit.verdict));
    }
    for problem in &audit.problems {
        let problem = problem.as_str().map_or_else(|| problem.to_string(), str::to_owned);
        say(Rule::AuditBalanced, format!("the audit says: {problem}"));
    }
    let then = Book::replay(evidence.changes, evidence.per_buyer, audit.sequence);
    for item in &audit.items {
        let name = &item.item;
        if item.drift.unwrap_or(0) != 0 {
            say(Rule::AuditBalanced, format!("{name} drifts by {}", item.drift.unwrap_or(0)));
        }
        if item.free.is_some_and(|free| free < 0) {
            say(Rule::AuditBalanced, format!("{name} has {} free", item.free.unwrap_or(0)));
        }
        if item.total.is_some_and(|total| item.held + item.confirmed > total) {
            say(
                Rule::AuditBalanced,
                format!(
                    "{name}: {} held and {} confirmed of {}",
                    item.held,
                    item.confirmed,
                    item.total.unwrap_or_default()
                ),
            );
        }
        // The audit says it of itself; do the sum again.
        if let (Some(total), Some(free)) = (item.total, item.free)
            && free + item.held + item.confirmed != total
        {
            say(
                Rule::AuditBalanced,
                format!("{name}: {free} + {} + {} is not {total}", item.held, item.confirmed),
            );
        }
        let journal = then.taken.get(name).copied().unwrap_or_default();
        if i64::try_from(journal.held) != Ok(item.held)
            || i64::try_from(journal.confirmed) != Ok(item.confirmed)
        {
            let what = format!(
                "{name} at {}: the audit counts {} held and {} confirmed, the journal {} and {}",
                audit.sequence, item.held, item.confirmed, journal.held, journal.confirmed
            );
            say(Rule::AuditIsTheJournal, what);
        }
    }
    let known: BTreeSet<&str> = audit.items.iter().map(|item| item.item.as_str()).collect();
    for (name, taken) in then.taken.iter().filter(|(name, _)| !known.contains(name.as_str())) {
        if taken.held + taken.confirmed > 0 {
            say(Rule::AuditIsTheJournal, format!("{name} is taken, but the audit does not list it"));
        }
    }
}
