//! Writes the verdict as JUnit's XML, which CI systems read: a test case for the verdict, for each threshold, for each
//! broken rule of the proof, and for each reason why the generator was the limit.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::threshold::{Fault, Judged};
use crate::verdict::{Verdict, ViolationReport, Word};

/// How a test case ended.
enum End {
    Passed,
    /// What was judged was not good enough.
    Failed(String),
    /// It could not be judged.
    Errored(String),
    Skipped(String),
}

struct Case {
    name: String,
    end: End,
    /// More than fits in a line.
    text: String,
}

impl Case {
    fn new(name: &str, end: End) -> Case {
        Case { name: name.to_owned(), end, text: String::new() }
    }
}

/// The whole document.
pub(crate) fn xml(verdict: &Verdict) -> String {
    let suites = [
        ("verdict", vec![of_verdict(verdict)]),
        ("thresholds", verdict.thresholds.iter().map(of_threshold).collect()),
        ("proof", of_proof(verdict)),
        ("generator", of_generator(verdict)),
    ];
    let seconds = verdict.finished_at.duration_since(verdict.started_at).as_secs_f64();
    let all: Vec<&Case> = suites.iter().flat_map(|(_, cases)| cases).collect();
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let _ = writeln!(xml, "<testsuites name=\"loadtest\" {} time=\"{seconds:.3}\">", counts(&all));
    for (name, cases) in &suites {
        let of_suite: Vec<&Case> = cases.iter().collect();
        let time = if *name == "verdict" { seconds } else { 0.0 };
        let _ = writeln!(
            xml,
            "  <testsuite name=\"loadtest.{name}\" {} time=\"{time:.3}\" timestamp=\"{}\" hostname=\"{}\">",
            counts(&of_suite),
            // The schema has no time zone: it is UTC.
            verdict.started_at.strftime("%Y-%m-%dT%H:%M:%S"),
            escaped(&verdict.identity.machine.hostname),
        );
        if *name == "verdict" {
            properties(&mut xml, verdict);
        }
        let class = format!("loadtest.{}.{name}", verdict.scenario);
        cases.iter().for_each(|case| case.write(&mut xml, &class, time));
        xml += "  </testsuite>\n";
    }
    xml + "</testsuites>\n"
}

fn counts(cases: &[&Case]) -> String {
    let count = |is: fn(&End) -> bool| cases.iter().filter(|case| is(&case.end)).count();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
        cases.len(),
        count(|end| matches!(end, End::Failed(_))),
        count(|end| matches!(end, End::Errored(_))),
        count(|end| matches!(end, End::Skipped(_))),
    )
}

fn properties(xml: &mut String, verdict: &Verdict) {
    let identity = &verdict.identity;
    let (seed, buyers) = (verdict.seed.to_string(), verdict.buyers.to_string());
    let profile = identity.profile.words();
    let properties = [
        ("run_id", &identity.run_id),
        ("tool", &identity.tool),
        ("command_line", &identity.command_line),
        ("profile", &profile),
        ("scenario", &verdict.scenario),
        ("sale", &verdict.sale),
        ("buyers", &buyers),
        ("seed", &seed),
    ];
    *xml += "    <properties>\n";
    for (name, value) in properties {
        let _ = writeln!(xml, "      <property name=\"{name}\" value=\"{}\"/>", escaped(value));
    }
    *xml += "    </properties>\n";
}

/// FAIL is a failure; INVALID is an error, since nothing was judged.
fn of_verdict(verdict: &Verdict) -> Case {
    let reasons = verdict.reasons.join("; ");
    let end = match verdict.verdict {
        Word::Pass => End::Passed,
        Word::Fail => End::Failed(reasons),
        Word::Invalid => End::Errored(reasons),
    };
    Case { text: verdict.reasons.join("\n"), ..Case::new("verdict", end) }
}

fn of_threshold(judged: &Judged) -> Case {
    let measured = format!("measured {}", judged.measured);
    let end = match judged.met {
        Some(true) => End::Passed,
        // The generator's own lateness may be the reason.
        Some(false) if judged.fault == Some(Fault::Generator) => End::Errored(measured),
        Some(false) => End::Failed(measured),
        None => End::Skipped(judged.measured.clone()),
    };
    Case::new(&judged.threshold, end)
}

/// A case for the proof as a whole, and one for each broken rule.
fn of_proof(verdict: &Verdict) -> Vec<Case> {
    let all = match verdict.violations_total {
        _ if !verdict.is_proved => End::Skipped("the ledger was not read".to_owned()),
        0 => End::Passed,
        broken => End::Failed(format!("{broken} violations")),
    };
    let mut by_rule = BTreeMap::<String, Vec<&ViolationReport>>::new();
    for report in &verdict.violations {
        by_rule.entry(report.violation.rule.name()).or_default().push(report);
    }
    let broken = by_rule.into_iter().map(|(rule, reports)| {
        let first = reports.first().map(|report| report.violation.what.clone()).unwrap_or_default();
        let text = reports.iter().map(|report| report.text()).collect();
        Case { text, ..Case::new(&rule, End::Failed(first)) }
    });
    std::iter::once(Case::new("the answers agree with the ledger", all)).chain(broken).collect()
}

/// A case for the generator as a whole, and one for each reason why it was the limit.
fn of_generator(verdict: &Verdict) -> Vec<Case> {
    let findings = &verdict.generator_findings;
    let all = match findings.len() {
        _ if verdict.generator.is_none() => End::Skipped("nothing was sent".to_owned()),
        0 => End::Passed,
        found => End::Errored(format!("{found} findings")),
    };
    let each = findings
        .iter()
        .enumerate()
        .map(|(n, finding)| Case::new(&format!("finding {}", n + 1), End::Errored(finding.clone())));
    std::iter::once(Case::new("the generator was not the limit", all)).chain(each).collect()
}

impl Case {
    fn write(&self, xml: &mut String, class: &str, time: f64) {
        let (class, name) = (escaped(class), escaped(&self.name));
        let _ = write!(xml, "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{time:.3}\"");
        let (element, message) = match &self.end {
            End::Passed => {
                *xml += "/>\n";
                return;
            }
            End::Failed(message) => ("failure", message),
            End::Errored(message) => ("error", message),
            End::Skipped(message) => ("skipped", message),
        };
        let message = escaped(message);
        let text = if self.text.is_empty() { message.clone() } else { escaped(&self.text) };
        let rest = match element {
            // Its schema has no text.
            "skipped" => "/>".to_owned(),
            element => format!(" type=\"{element}\">{text}</{element}>"),
        };
        let _ = writeln!(xml, ">\n      <{element} message=\"{message}\"{rest}\n    </testcase>");
    }
}

/// Text between tags and in attributes; what XML can't have is replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' => escaped += "&#10;",
            '\t' => escaped += "&#9;",
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
