//! The report of the checks: a line for each finding, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// The severity of a finding, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good.
    Ok,
    /// The launch can proceed, but an operator should confirm it.
    Warn,
    /// The launch must not proceed.
    Fail,
}

impl Severity {
    /// The worst that applies.
    pub(super) fn worst(fails: bool, warns: bool) -> Self {
        match (fails, warns) {
            (true, _) => Self::Fail,
            (_, true) => Self::Warn,
            _ => Self::Ok,
        }
    }
}

/// The finding of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The severity.
    pub verdict: Severity,
    /// The subject: `host`, `redis`, `sale small`.
    pub area: String,
    /// The check.
    pub check: &'static str,
    /// The facts that were found.
    pub found: String,
    /// How to fix it; null for a good finding.
    pub todo: Option<String>,
}

/// The findings of one area, in their order.
#[derive(Debug, Default)]
pub(super) struct Findings {
    area: String,
    all: Vec<Finding>,
}

impl Findings {
    /// An empty list.
    pub(super) fn of(area: impl Into<String>) -> Self {
        Self { area: area.into(), all: Vec::new() }
    }

    pub(super) fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.add(Severity::Ok, check, found, "");
    }

    pub(super) fn warn(&mut self, check: &'static str, found: impl Into<String>, todo: impl Into<String>) {
        self.add(Severity::Warn, check, found, todo);
    }

    pub(super) fn fail(&mut self, check: &'static str, found: impl Into<String>, todo: impl Into<String>) {
        self.add(Severity::Fail, check, found, todo);
    }

    /// A failure for each of these.
    pub(super) fn fail_each(&mut self, check: &'static str, all: &[String], todo: &str) {
        all.iter().for_each(|found| self.fail(check, found, todo));
    }

    /// A warning if this holds, else a good finding.
    pub(super) fn warn_if(&mut self, holds: bool, check: &'static str, found: String, todo: &str) {
        self.add(Severity::worst(false, holds), check, found, todo);
    }

    /// A failure if this holds, else a good finding.
    pub(super) fn fail_if(&mut self, holds: bool, check: &'static str, found: String, todo: &str) {
        self.add(Severity::worst(holds, false), check, found, todo);
    }

    /// Adds a finding of this severity; a good one has nothing to do.
    pub(super) fn add(
        &mut self,
        verdict: Severity,
        check: &'static str,
        found: impl Into<String>,
        todo: impl Into<String>,
    ) {
        let todo = (verdict != Severity::Ok).then(|| todo.into());
        self.all.push(Finding { verdict, area: self.area.clone(), check, found: found.into(), todo });
    }

    /// The findings.
    pub(super) fn end(self) -> Vec<Finding> {
        self.all
    }
}

/// All findings.
#[derive(Debug, Serialize)]
pub struct DoctorReport {
    /// The worst severity.
    pub verdict: Severity,
    /// Number of good findings.
    pub ok: usize,
    /// Number of warnings.
    pub warn: usize,
    /// Number of failures.
    pub fail: usize,
    /// Every check that could run.
    pub lines: Vec<Finding>,
}

impl DoctorReport {
    pub(super) fn new(lines: Vec<Finding>) -> Self {
        let count = |verdict| lines.iter().filter(|line| line.verdict == verdict).count();
        Self {
            verdict: lines.iter().map(|line| line.verdict).max().unwrap_or(Severity::Ok),
            ok: count(Severity::Ok),
            warn: count(Severity::Warn),
            fail: count(Severity::Fail),
            lines,
        }
    }

    /// Aligned text, the fix under each finding, in colours for a terminal.
    pub(super) fn text(&self, has_colours: bool) -> String {
        let width =
            |of: fn(&Finding) -> &str| self.lines.iter().map(|l| of(l).chars().count()).max().unwrap_or(0);
        let (area, check) = (width(|l| &l.area), width(|l| l.check));
        let mut text = String::new();
        for line in &self.lines {
            let (word, colour) = match line.verdict {
                Severity::Ok => ("ok  ", "32"),
                Severity::Warn => ("warn", "33"),
                Severity::Fail => ("FAIL", "31;1"),
            };
            let word = if has_colours { format!("\u{1b}[{colour}m{word}\u{1b}[0m") } else { word.to_owned() };
            let found = plain(&line.found);
            // Writing into a String can't fail.
            let _ = writeln!(text, "{word}  {:<area$}  {:<check$}  {found}", line.area, line.check);
            if let Some(todo) = &line.todo {
                let _ = writeln!(text, "{:1$}→ {2}", "", 6 + area + 2 + check + 2, plain(todo));
            }
        }
        let _ = writeln!(text, "{} ok, {} warn, {} fail", self.ok, self.warn, self.fail);
        text
    }
}

/// On one line and without control characters: some of the text comes from other systems.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The findings that are not good.
#[cfg(test)]
pub(super) fn without_passing(lines: Vec<Finding>) -> Vec<(&'static str, Severity)> {
    let lines = lines.into_iter().filter(|line| line.verdict != Severity::Ok);
    lines.map(|line| (line.check, line.verdict)).collect()
}

#[cfg(test)]
mod tests;
