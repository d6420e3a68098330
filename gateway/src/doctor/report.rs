//! The report of the checks: a line for each finding, as text and as JSON; and how findings write sizes, times,
//! lists and differences.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::domain::text::plain;

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

    /// Aligned text, a line for each finding with its fix at the end, in colours for a terminal.
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
            let todo = line.todo.as_ref().map(|todo| format!(" → {}", plain(todo))).unwrap_or_default();
            let _ = writeln!(text, "{word}  {:<area$}  {:<check$}  {found}{todo}", line.area, line.check);
        }
        let _ = writeln!(text, "{} ok, {} warn, {} fail", self.ok, self.warn, self.fail);
        text
    }
}

/// A size.
pub(super) fn bytes(n: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|(_, size)| n >= *size) {
        #[expect(clippy::cast_precision_loss, reason = "it is rounded to a tenth")]
        Some((unit, size)) => format!("{:.1} {unit}", n as f64 / size as f64),
        None => format!("{n} bytes"),
    }
}

/// A time in its two largest units.
pub(super) fn age(seconds: u64) -> String {
    let parts = [
        ("d", seconds / 86_400),
        ("h", seconds / 3_600 % 24),
        ("min", seconds / 60 % 60),
        ("s", seconds % 60),
    ];
    let first = parts.iter().position(|(_, n)| *n > 0).unwrap_or(parts.len() - 1);
    let listed =
        parts.iter().skip(first).take(2).filter(|(_, n)| *n > 0).map(|(unit, n)| format!("{n} {unit}"));
    let listed: Vec<String> = listed.collect();
    if listed.is_empty() { "0 s".to_owned() } else { listed.join(" ") }
}

/// The first few of a list, and the number of the rest.
pub(super) fn some<T: AsRef<str>>(list: &[T]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = list.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match list.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// As [`some`]; `None` for an empty list.
pub(super) fn any<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> Option<String> {
    let list = Vec::from_iter(list);
    (!list.is_empty()).then(|| some(&list))
}

/// The differences of two documents, as JSON pointers.
pub(super) fn differing(one: &str, other: &str) -> Vec<String> {
    fn collect_differences(at: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
        let keys: Vec<String> = match (one, other) {
            (Value::Object(a), Value::Object(b)) => {
                a.keys().chain(b.keys()).collect::<BTreeSet<_>>().into_iter().cloned().collect()
            }
            (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len())).map(|n| n.to_string()).collect(),
            _ if one != other => return found.push(at.to_owned()),
            _ => return,
        };
        for key in keys.iter().map(|key| format!("/{key}")) {
            let of = |parent: &'_ Value| parent.pointer(&key).cloned().unwrap_or_default();
            collect_differences(&format!("{at}{key}"), &of(one), &of(other), found);
        }
    }
    let read = |text: &str| serde_json::from_str(text).unwrap_or_default();
    let mut found = Vec::new();
    collect_differences("", &read(one), &read(other), &mut found);
    found
}

/// The findings that are not good.
#[cfg(test)]
pub(super) fn without_passing(lines: Vec<Finding>) -> Vec<(&'static str, Severity)> {
    let lines = lines.into_iter().filter(|line| line.verdict != Severity::Ok);
    lines.map(|line| (line.check, line.verdict)).collect()
}

#[cfg(test)]
mod tests;
