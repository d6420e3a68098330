//! What the doctor says: a line for each check, for people and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// How a check ended, the worse the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// The launch can go on with it, but somebody should want it so.
    Warn,
    /// The launch must not go on with it.
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it ended.
    pub verdict: Severity,
    /// What was looked at: `host`, `redis`, `sale small`.
    pub area: String,
    /// Which check.
    pub check: &'static str,
    /// What was found.
    pub found: String,
    /// What to do about it; null where all is well.
    pub todo: Option<String>,
}

/// The checks of one area, in their order.
#[derive(Debug, Default)]
pub(super) struct Findings {
    area: String,
    all: Vec<Finding>,
}

impl Findings {
    /// None yet.
    pub(super) fn of(area: impl Into<String>) -> Self {
        Self { area: area.into(), all: Vec::new() }
    }

    pub(super) fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.add(Severity::Ok, check, found.into(), None);
    }

    pub(super) fn warn(&mut self, check: &'static str, found: impl Into<String>, todo: impl Into<String>) {
        self.add(Severity::Warn, check, found.into(), Some(todo.into()));
    }

    pub(super) fn fail(&mut self, check: &'static str, found: impl Into<String>, todo: impl Into<String>) {
        self.add(Severity::Fail, check, found.into(), Some(todo.into()));
    }

    /// One of the three, by a verdict that was found.
    pub(super) fn add_with_severity(
        &mut self,
        verdict: Severity,
        check: &'static str,
        found: String,
        todo: &str,
    ) {
        self.add(verdict, check, found, (verdict != Severity::Ok).then(|| todo.to_owned()));
    }

    fn add(&mut self, verdict: Severity, check: &'static str, found: String, todo: Option<String>) {
        self.all.push(Finding { verdict, area: self.area.clone(), check, found, todo });
    }

    /// What was said.
    pub(super) fn end(self) -> Vec<Finding> {
        self.all
    }
}

/// All that was found.
#[derive(Debug, Serialize)]
pub struct DoctorReport {
    /// The worst of all lines.
    pub verdict: Severity,
    /// How many lines are well.
    pub ok: usize,
    /// How many warn.
    pub warn: usize,
    /// How many fail.
    pub fail: usize,
    /// Every check that could be made.
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

    /// For people: aligned, what to do under what was found, in colours where they show.
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
            // Writing into a String can't fail.
            let _ = writeln!(
                text,
                "{word}  {:<area$}  {:<check$}  {}",
                line.area,
                line.check,
                plain(&line.found)
            );
            if let Some(todo) = &line.todo {
                let _ = writeln!(text, "{:1$}→ {2}", "", 6 + area + 2 + check + 2, plain(todo));
            }
        }
        let _ = writeln!(text, "{} ok, {} warn, {} fail", self.ok, self.warn, self.fail);
        text
    }
}

/// On one line and without control characters: some of what is shown was written by others.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The checks that did not end well, and how they did.
#[cfg(test)]
pub(super) fn without_passing(lines: Vec<Finding>) -> Vec<(&'static str, Severity)> {
    let lines = lines.into_iter().filter(|line| line.verdict != Severity::Ok);
    lines.map(|line| (line.check, line.verdict)).collect()
}

#[cfg(test)]
mod tests;
