//! Prints a paragraph for each launch, and writes the tables of faults and levels.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde_json::json;
use testkit::options::{Level, Named};
use testkit::print_line;

use crate::faults::{Fault, Need};
use crate::judge::{Ending, LaunchFindings};
use crate::schedule::Launch;

/// How many broken guarantees of one launch are printed.
const BROKEN_SHOWN: usize = 10;

/// A complete run.
pub(crate) struct Run {
    seed: u64,
    minutes: Option<u64>,
    pub(crate) launches: Vec<(Launch, LaunchFindings)>,
    /// How many did not finish.
    pub(crate) failed: usize,
    /// Faults that this machine can't inject, and why.
    pub(crate) skipped: BTreeMap<Fault, String>,
}

/// All faults and levels.
pub(crate) fn list() {
    print_line("faults:");
    for fault in Fault::value_variants() {
        let need = match fault.need() {
            Need::Nothing => "",
            Need::Nft => " [nft]",
            Need::Mount => " [mount]",
            Need::Faketime => " [faketime]",
        };
        print_line(&format!("  {:<17} {}{need}", fault.name(), fault.about()));
        for level in Level::value_variants() {
            if let Some(why) = fault.is_not_applicable_at(*level) {
                print_line(&format!("  {:<17} (not at {}: {why})", "", level.name()));
            }
        }
    }
    print_line("levels:");
    for level in Level::value_variants() {
        print_line(&format!("  {:<17} {}", level.name(), level.about()));
    }
}

/// What came of a launch.
pub(crate) fn print(launch: &Launch, findings: &LaunchFindings) {
    let word = if findings.broken.is_empty() { "ok    " } else { "BROKEN" };
    let outcomes = findings.observed.outcomes.iter().map(|(name, count)| format!("{count} {name}"));
    print_line(&format!(
        "{word} {:<16} {:<8} {}; {} acknowledged; {}; {} put off, {} unsure",
        launch.fault.name(),
        launch.level.name(),
        in_words(findings),
        findings.acknowledged,
        outcomes.collect::<Vec<_>>().join(", "),
        findings.observed.put_off,
        findings.observed.unsure,
    ));
    if !findings.problem.is_empty() {
        print_line(&format!("       {}", findings.problem));
    }
    for broken in findings.broken.iter().take(BROKEN_SHOWN) {
        print_line(&format!("       {broken}"));
    }
    if findings.broken.len() > BROKEN_SHOWN {
        print_line(&format!("       and {} more", findings.broken.len() - BROKEN_SHOWN));
    }
    if !findings.broken.is_empty() {
        print_line(&format!(
            "       again: scripts/chaos --seed {} --round {} --faults {} --levels {}",
            launch.seed,
            launch.round,
            launch.fault.name(),
            launch.level.name()
        ));
    }
}

/// How the launch ended, and what was lost.
fn in_words(findings: &LaunchFindings) -> String {
    let mut words = match findings.ending {
        Ending::Whole => "whole".to_owned(),
        Ending::Replayed => format!("whole, {} replayed", findings.replayed),
        Ending::Fenced => "fenced".to_owned(),
        Ending::WentOn => "open with a loss".to_owned(),
    };
    let losses = [
        (findings.lost, "reservations lost"),
        (findings.lost_changes, "changes lost"),
        (findings.beyond_stock, "sold twice"),
    ];
    for (count, what) in losses.into_iter().filter(|(count, _)| *count > 0) {
        words += &format!(", {count} {what}");
    }
    words
}

impl Run {
    pub(crate) fn new(seed: u64, minutes: Option<u64>) -> Self {
        Self { seed, minutes, launches: Vec::new(), failed: 0, skipped: BTreeMap::new() }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken() > 0
    }

    fn broken(&self) -> usize {
        self.launches.iter().filter(|(_, findings)| !findings.broken.is_empty()).count()
    }

    /// The tables, and the end.
    pub(crate) fn print(&self) {
        print_line(&format!("\n{}", self.markdown()));
        let (seed, all, broken, skipped) =
            (self.seed, self.launches.len(), self.broken(), self.skipped.len());
        print_line(&format!(
            "seed {seed}: {all} launches, {broken} with a broken guarantee, {skipped} faults skipped"
        ));
    }

    /// Two tables: what was lost, and what buyers saw.
    pub(crate) fn markdown(&self) -> String {
        let lost = |all: &[&LaunchFindings]| {
            let mut words: Vec<String> = all.iter().map(|findings| in_words(findings)).collect();
            words.sort();
            words.dedup();
            let broken = all.iter().any(|findings| !findings.broken.is_empty());
            format!("{}{}", words.join(" / "), if broken { " **(broken)**" } else { "" })
        };
        let observed = |all: &[&LaunchFindings]| {
            let (mut put_off, mut unsure, mut taps) = (0, 0, 0);
            for observed in all.iter().map(|findings| &findings.observed) {
                (put_off, unsure) = (put_off + observed.put_off, unsure + observed.unsure);
                taps += observed.outcomes.values().sum::<u64>();
            }
            format!("{put_off} + {unsure} of {taps}")
        };
        format!(
            "{}\nTaps that were shed at first + taps whose answer was lost or unknown at first:\n\n{}",
            self.table(lost),
            self.table(observed)
        )
    }

    fn table(&self, cell: impl Fn(&[&LaunchFindings]) -> String) -> String {
        let levels = Level::value_variants();
        let head: Vec<String> = levels.iter().map(|level| format!("`{}`", level.option())).collect();
        let mut text =
            format!("| fault | {} |\n| --- |{}\n", head.join(" | "), " --- |".repeat(levels.len()));
        for fault in Fault::value_variants() {
            let of = |level: Level| -> Vec<&LaunchFindings> {
                let is_it = |launch: &Launch| launch.fault == *fault && launch.level == level;
                self.launches.iter().filter(|(launch, _)| is_it(launch)).map(|(_, found)| found).collect()
            };
            if levels.iter().all(|level| of(*level).is_empty()) {
                continue;
            }
            let cells = levels.iter().map(|level| match (of(*level), fault.is_not_applicable_at(*level)) {
                (all, None) if !all.is_empty() => cell(&all),
                (_, Some(_)) => "–".to_owned(),
                _ => "not run".to_owned(),
            });
            text += &format!("| {} | {} |\n", fault.name(), cells.collect::<Vec<_>>().join(" | "));
        }
        text
    }

    /// Everything.
    pub(crate) fn json(&self) -> String {
        let launches = self.launches.iter();
        let launches: Vec<_> =
            launches.map(|(launch, findings)| json!({"launch": launch, "findings": findings})).collect();
        let all = json!({
            "seed": self.seed,
            "minutes": self.minutes,
            "is_broken": self.is_broken(),
            "failed": self.failed,
            "skipped": self.skipped,
            "launches": launches,
        });
        format!("{all:#}")
    }
}
