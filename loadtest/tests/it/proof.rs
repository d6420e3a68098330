//! Tests the proof with real programs: a proxy or an edited ledger breaks each rule, and `loadtest`
//! must report FAIL, the rule and the buyer. Innocent faults must PASS.

mod answers;
mod changes;
mod innocent;
mod ledger;

use std::collections::BTreeSet;

use crate::proxy::{Answer, Behind, Proxy, Request};
use crate::stage::{Run, Stage};

/// Buyers do not think, pay, cancel or tap twice, so that only the fault is found.
const PLAIN: [&str; 8] = [
    "--set",
    "buyers.think=[\"0s\",\"0s\"]",
    "--set",
    "buyers.confirm=0",
    "--set",
    "buyers.cancel=0",
    "--set",
    "buyers.twice=0",
];

/// Runs a scenario against a gateway that is as broken as the rule makes it.
fn through<R>(stage: &Stage, scenario: &str, more: &[&str], rule: R) -> Run
where
    R: Fn(&Request, &Behind) -> Option<Answer> + Send + Sync + 'static,
{
    let proxy = Proxy::before(&stage.gateways(), rule);
    stage.run(scenario, &proxy.url(), &[&PLAIN, more].concat())
}

/// Checks that the run failed for these rules only, with these words, and shows the buyer's
/// history.
fn assert_caught(stage: &Stage, run: &Run, rules: &[&str], words: &[&str]) {
    let text = &run.text;
    assert_eq!(run.code, 1, "{text}");
    let verdict = run.verdict();
    let reports = verdict["violations"].as_array().unwrap();
    let broken: BTreeSet<&str> = reports.iter().map(|report| report["rule"].as_str().unwrap()).collect();
    assert_eq!(broken, rules.iter().copied().collect(), "{text}");
    assert_eq!(verdict["verdict"], "FAIL");
    let last = text.lines().rev().nth(1).unwrap();
    assert!(last.starts_with("FAIL: ") && rules.iter().all(|rule| last.contains(rule)), "{text}");
    for words in words {
        assert!(text.contains(words), "{words:?} is missing in {text}");
    }
    if let Some(report) = reports.iter().find(|report| report["buyer"].is_string()) {
        let history = report["history"].as_array().expect("the buyer's exchanges");
        for exchange in history {
            let member = |name: &str| exchange[name].as_str().unwrap();
            let took = exchange["took_ms"].as_f64().unwrap();
            let id = exchange.get("request_id").and_then(|id| id.as_str());
            let history_text = format!(
                "    {} {} traceparent: {}\n        after {took:.1} ms {}{}\n",
                member("at"),
                member("request"),
                member("trace"),
                member("answer"),
                id.map(|id| format!(" (X-Request-Id {id})")).unwrap_or_default()
            );
            assert!(text.contains(&history_text), "{history_text:?} is missing in {text}");
        }
        for line in report["ledger"].as_array().into_iter().flatten() {
            let line = format!("    ledger {}\n", line.as_str().unwrap());
            assert!(text.contains(&line), "{line:?} is missing in {text}");
        }
    }
    for secret in stage.secrets() {
        assert!(!text.contains(&secret));
        for file in ["report.html", "report.md", "verdict.json", "run-record.json"] {
            assert!(!run.report(file).contains(&secret), "{file} has a secret");
        }
    }
}
