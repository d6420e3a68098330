//! Owns the verdict as people read it: short, the reasons last.

use crate::admin::AuditItem;
use crate::reconcile::Violation;
use crate::say;
use crate::told::Exchange;
use crate::verdict::{Quantiles, Stores, Verdict, ViolationReport, Word};
use std::collections::BTreeMap;

/// The others are in verdict.json, up to a bound.
const PRINTED_PER_RULE_MAX: usize = 3;

impl Verdict {
    /// Prints the verdict for people.
    pub(crate) fn print(&self) {
        let outcomes: Vec<String> =
            self.outcomes.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {n}")).collect();
        if !outcomes.is_empty() {
            say::line(&format!("outcomes  {}; retries {}", outcomes.join(", "), self.retries));
            say::line(&format!("taps      sent within {} of the instant", self.tap_skew_ms.words()));
            say::line(&format!("won       after {}", self.latency_ms.won.words()));
            say::line(&format!("lost      after {}", self.latency_ms.lost.words()));
            say::line(&format!("request   answered after {}", self.latency_ms.request.words()));
        }
        for item in &self.items {
            say::line(&format!("ledger    {}", equation(item)));
        }
        if let Some(stores) = &self.stores {
            for line in stores_equation(stores) {
                say::line(&format!("ledger    {line}"));
            }
        }
        for note in &self.notes {
            say::line(&format!("note      {note}"));
        }
        let mut of_rule = BTreeMap::<_, usize>::new();
        let mut printed = 0;
        for told in &self.violations {
            let n = of_rule.entry(told.violation.rule).or_default();
            *n += 1;
            if *n <= PRINTED_PER_RULE_MAX {
                told.print();
                printed += 1;
            }
        }
        if self.violations_total > printed {
            let more = self.violations_total - printed;
            say::line(&format!("violation … and {more} more like these"));
        }
        say::line(&self.sentence());
    }

    /// PASS, or what else it is and why.
    pub(crate) fn sentence(&self) -> String {
        let word = match self.verdict {
            Word::Pass => "PASS",
            Word::Fail => "FAIL",
            Word::NothingProved => "NOTHING PROVED",
        };
        match self.reasons.is_empty() {
            true => word.to_owned(),
            false => format!("{word}: {}", self.reasons.join("; ")),
        }
    }
}

impl Quantiles {
    fn words(&self) -> String {
        if self.max == 0.0 {
            return "– (nobody)".to_owned();
        }
        format!(
            "p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms",
            self.p50, self.p99, self.p999, self.max
        )
    }
}

impl ViolationReport {
    fn print(&self) {
        let Violation { rule, buyer, reservation, what } = &self.violation;
        let who =
            [buyer, reservation].into_iter().flatten().map(|name| format!(" {name}")).collect::<String>();
        say::line(&format!("violation {rule:?}{who}: {what}"));
        for Exchange { at, took_ms, request, answer } in &self.history {
            say::line(&format!("    {at} {request}\n        after {took_ms:.1} ms {answer}"));
        }
        for line in &self.ledger {
            say::line(&format!("    ledger {line}"));
        }
    }
}

fn equation(item: &AuditItem) -> String {
    let AuditItem { item, total, free, held, confirmed, drift } = item;
    match (total, free) {
        (Some(total), Some(free)) => {
            format!(
                "{item}: free {free} + held {held} + confirmed {confirmed} = {total}, drift {}",
                drift.unwrap_or(0)
            )
        }
        _ => format!("{item}: held {held} + confirmed {confirmed}, no limit, drift {}", drift.unwrap_or(0)),
    }
}

/// A store without a limit has nothing free and no total: it stands apart, or the sum would not be one.
fn stores_equation(stores: &Stores) -> Vec<String> {
    let Stores { total, free, held, confirmed, drift, unlimited_held, unlimited_confirmed, unlimited_drift } =
        stores;
    let mut lines = vec![format!(
        "all stores: free {free} + held {held} + confirmed {confirmed} = {total}, drift {drift}"
    )];
    if (unlimited_held, unlimited_confirmed, unlimited_drift) != (&0, &0, &0) {
        lines.push(format!(
            "stores without a limit: held {unlimited_held} + confirmed {unlimited_confirmed}, drift {unlimited_drift}"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_equation_adds_up_and_unlimited_ones_stand_apart() {
        let stores = Stores {
            total: 105,
            free: 39,
            held: 22,
            confirmed: 44,
            drift: 0,
            unlimited_held: 8,
            unlimited_confirmed: 9,
            unlimited_drift: 0,
        };
        assert_eq!(
            stores_equation(&stores),
            [
                "all stores: free 39 + held 22 + confirmed 44 = 105, drift 0",
                "stores without a limit: held 8 + confirmed 9, drift 0",
            ]
        );
    }
}
