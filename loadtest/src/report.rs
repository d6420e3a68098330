//! Prints the verdict at the terminal: short, the reasons last. The page of the run is made in `report/page.rs`.

mod about;
mod charts;
mod goose;
mod hdr;
mod html;
mod junit;
mod markdown;
mod page;
mod seconds;
pub(crate) mod summary;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use crate::base::console;
use crate::base::failure::Failure;
use crate::base::span::words_of_ms as ms;
use crate::figures::Figures;
use crate::load::history::Exchange;
use crate::proof::admin::AuditItem;
use crate::proof::rules::{Violation, at_most_of_each_kind};
use crate::threshold::{Fault, Judged};
use crate::verdict::baseline::Direction;
use crate::verdict::{StoreFigures, Verdict, ViolationReport};

pub(crate) use page::write;

/// Writes what only the figures are needed for: they are there whatever comes of the proof.
pub(crate) fn write_figures(dir: &Path, figures: &Figures) -> Result<(), Failure> {
    hdr::write(dir, figures)?;
    seconds::write(dir, figures)
}

/// The others are in verdict.json, up to a bound.
const PRINTED_PER_KIND_MAX: usize = 2;

impl Verdict {
    /// Prints the verdict for people.
    pub(crate) fn print(&self) {
        let outcomes: Vec<String> =
            self.outcomes.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {n}")).collect();
        if !outcomes.is_empty() {
            console::line(&format!("outcomes  {}; retries {}", outcomes.join(", "), self.retries));
        }
        if let Some(bots) = self.scenarios.get("bots") {
            let bots: Vec<String> = bots.iter().map(|(name, of)| format!("{name} {}", of.count)).collect();
            console::line(&format!("bots      {}", bots.join(", ")));
        }
        self.print_times();
        for item in &self.items {
            console::line(&format!("ledger    {}", equation(item)));
        }
        for line in self.stores.iter().flat_map(stores_equation) {
            console::line(&format!("ledger    {line}"));
        }
        for judged in &self.thresholds {
            console::line(&format!("threshold {}: {}, {}", judged.threshold, judged.measured, met(judged)));
        }
        for difference in self.baseline.iter().filter(|difference| difference.direction != Direction::Same) {
            console::line(&format!("baseline  {}", difference.words()));
        }
        for note in &self.notes {
            console::line(&format!("note      {note}"));
        }
        self.print_violations();
        console::line(&self.sentence());
    }

    fn print_times(&self) {
        if let Some(skew) = self.t0.skew_ms {
            let after = self.t0.after_ms.words();
            console::line(&format!(
                "opening   {} from the first tap to the last; lateness of its taps {after}",
                ms(skew)
            ));
        }
        let arrivals = &self.arrivals;
        if arrivals.intended > 0 {
            console::line(&format!(
                "starts    {} of {} intended, {} late; start lateness {}",
                arrivals.intended - arrivals.unsent,
                arrivals.intended,
                arrivals.late,
                arrivals.lateness_ms.words()
            ));
        }
        for name in ["winners", "losers"] {
            if let Some(of) = self.latency_ms.get(name).filter(|of| of.count > 0) {
                console::line(&format!("{name:<9} {}; {}", of.count, of.words()));
            }
        }
        for (scenario, of) in &self.journeys_ms {
            console::line(&format!("journey   {scenario}: {}; {}", of.count, of.words()));
        }
        for (name, of) in &self.requests {
            console::line(&format!("request   {name}: {}", of.words()));
        }
        // Of one gateway that would be the same again.
        for gateway in self.gateways.iter().filter(|_| self.gateways.len() > 1) {
            console::line(&format!("gateway   {}", gateway.words()));
        }
    }

    fn print_violations(&self) {
        let printed = to_be_printed(&self.violations);
        printed.iter().for_each(|text| console::text(text));
        let printed = printed.len();
        if self.violations_total > printed {
            let more = self.violations_total - printed;
            console::line(&format!("violation … and {more} more like these"));
        }
    }

    /// PASS, or what else it is and why.
    pub(crate) fn sentence(&self) -> String {
        let word = self.verdict.name();
        match self.reasons.is_empty() {
            true => word.to_owned(),
            false => format!("{word}: {}", self.reasons.join("; ")),
        }
    }
}

fn met(judged: &Judged) -> &'static str {
    match (judged.met, judged.fault) {
        (Some(true), _) => "met",
        (Some(false), Some(Fault::Generator)) => "MISSED, perhaps by the generator alone",
        (Some(false), _) => "MISSED",
        (None, _) => "nothing to judge",
    }
}

/// The first violations of each kind. A buyer's history comes with the first printed violation,
/// even if an unprinted one precedes it.
fn to_be_printed(violations: &[ViolationReport]) -> Vec<String> {
    let mut buyer_histories: HashMap<&str, &ViolationReport> = HashMap::new();
    for history in
        violations.iter().filter(|history| !history.history.is_empty() || !history.ledger.is_empty())
    {
        buyer_histories.insert(history.violation.buyer.as_deref().unwrap_or_default(), history);
    }
    let mut is_printed = at_most_of_each_kind(PRINTED_PER_KIND_MAX);
    let first_ones = violations.iter().filter(|history| is_printed(&history.violation));
    first_ones
        .map(|history| {
            let buyer_history =
                history.violation.buyer.as_deref().and_then(|buyer| buyer_histories.remove(buyer));
            history.head() + &buyer_history.map(ViolationReport::buyer_history).unwrap_or_default()
        })
        .collect()
}

impl ViolationReport {
    /// The broken rule, with the buyer's exchanges and ledger entries.
    fn text(&self) -> String {
        self.head() + &self.buyer_history()
    }

    fn head(&self) -> String {
        let Violation { rule, buyer, reservation, what } = &self.violation;
        let subject =
            [buyer, reservation].into_iter().flatten().map(|name| format!(" {name}")).collect::<String>();
        format!("violation {}{subject}: {what}\n", rule.name())
    }

    fn buyer_history(&self) -> String {
        let mut text = String::new();
        for Exchange { at, took_ms, request, answer, trace, request_id } in &self.history {
            let trace = trace.map(|trace| format!(" traceparent: {trace}")).unwrap_or_default();
            let id = request_id.as_ref().map(|id| format!(" (X-Request-Id {id})")).unwrap_or_default();
            text += &format!("    {at} {request}{trace}\n        after {took_ms:.1} ms {answer}{id}\n");
        }
        for line in &self.ledger {
            text += &format!("    ledger {line}\n");
        }
        text
    }
}

fn equation(item: &AuditItem) -> String {
    let AuditItem { item, total, free, aside, held, confirmed, drift } = item;
    let drift = drift.unwrap_or(0);
    let aside = aside.map(|aside| format!(" + aside {aside}")).unwrap_or_default();
    match (total, free) {
        (Some(total), Some(free)) => {
            format!(
                "{item}: free {free}{aside} + held {held} + confirmed {confirmed} = {total}, drift {drift}"
            )
        }
        _ => format!("{item}: held {held} + confirmed {confirmed}, no limit, drift {drift}"),
    }
}

/// A store without a limit has nothing free and no total: it stands apart, or the sum would not be one.
fn stores_equation(stores: &StoreFigures) -> Vec<String> {
    let StoreFigures {
        total,
        free,
        held,
        confirmed,
        drift,
        unlimited_held,
        unlimited_confirmed,
        unlimited_drift,
    } = stores;
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
