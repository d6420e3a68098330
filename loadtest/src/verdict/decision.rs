//! Decides between PASS, FAIL and INVALID.

use std::collections::BTreeMap;

use crate::base::outcome::Outcome;
use crate::base::span;
use crate::figures::Figures;
use crate::proof::run_record::Run;
use crate::self_monitoring::SEND_SOONER;
use crate::threshold::{self, Fault, Judged};
use crate::verdict::{Findings, Word};

/// The verdict, and why it is not PASS. In this order: a broken rule fails a run whatever else there is. What the
/// generator can't do makes it INVALID: its figures are not the server's. A missed threshold fails it, but not if the
/// lateness of the generator's own starts may be the reason.
pub(super) fn decide(run: &Run, figures: &Figures, findings: &Findings) -> (Word, Vec<String>) {
    if !findings.violations.is_empty() {
        let mut rules = BTreeMap::<_, usize>::new();
        findings.violations.iter().for_each(|violation| *rules.entry(violation.rule).or_default() += 1);
        return (Word::Fail, rules.into_iter().map(|(rule, n)| format!("{} {n}×", rule.name())).collect());
    }
    if let Some(missing) = &run.missing {
        return (Word::Invalid, vec![format!("{missing}: the answers of the missing parts are not proved")]);
    }
    if !findings.generator.is_empty() {
        return (Word::Invalid, findings.generator.clone());
    }
    let missed_by = |fault| {
        let missed = findings.thresholds.iter().filter(move |judged| judged.fault == Some(fault));
        missed.map(Judged::words)
    };
    let mut failed: Vec<String> = missed_by(Fault::Server).collect();
    if let (false, Some(threshold)) = (failed.is_empty(), &run.ended_early) {
        failed.push(format!("ended early by --abort-on-fail: {threshold} could not be met any more"));
    }
    failed.extend(findings.regressions.iter().map(|worse| format!("worse than the baseline: {worse}")));
    if !failed.is_empty() {
        return (Word::Fail, failed);
    }
    let late = span::words(threshold::latest(figures));
    let explained = |missed: String| {
        format!(
            "{missed}, and the starts of the generator itself were up to {late} late, or its requests queued, which may \
             be why: {SEND_SOONER}"
        )
    };
    let explained: Vec<String> = missed_by(Fault::Generator).map(explained).collect();
    if !explained.is_empty() {
        return (Word::Invalid, explained);
    }
    without_a_miss(run, figures, findings)
}

/// The verdict where no threshold is missed: whether there was anything to judge.
fn without_a_miss(run: &Run, figures: &Figures, findings: &Findings) -> (Word, Vec<String>) {
    let of = |wanted: fn(Outcome) -> bool| figures.latency(|_, outcome| wanted(outcome)).count();
    let (taps, shed) = (of(|_| true), of(|outcome| outcome == Outcome::Shed));
    let requests = || figures.requests.values();
    let (sent, sheds): (u64, u64) =
        (requests().map(|of| of.sent_count()).sum(), requests().map(|of| of.shed).sum());
    let nothing = if run.taps && taps > 0 && taps == shed {
        return (Word::Fail, vec![format!("all of {taps} taps were shed")]);
    } else if !run.taps && sent > 0 && sent == sheds {
        return (Word::Fail, vec![format!("all of {sent} requests were shed")]);
    } else if run.taps && of(Outcome::decided) == 0 {
        "no tap was decided"
    } else if run.taps && of(Outcome::holds) + findings.unknown_held == 0 {
        "no buyer got a reservation"
    } else if let Some(unfinished) = findings.unfinished {
        unfinished
    } else if !run.taps && requests().all(|requests| requests.answered_count() == 0) {
        "no request was answered"
    } else if !findings.thresholds.is_empty() && findings.thresholds.iter().all(|judged| judged.met.is_none())
    {
        "none of the thresholds had anything to judge"
    } else if run.ended_early.is_some() {
        // Judged by other thresholds than those that ended it.
        "ended early by --abort-on-fail; what had not started is missing"
    } else {
        return (Word::Pass, Vec::new());
    };
    (Word::Invalid, vec![nothing.to_owned()])
}
