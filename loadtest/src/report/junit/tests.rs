//! Unit tests of `junit.rs`; `tests/it/outputs.rs` reads it with an XML parser.

use super::*;
use crate::report::tests::fixtures::{rush, verdict};

/// What begins with this, up to its end.
fn elements<'x>(xml: &'x str, begin: &str) -> Vec<&'x str> {
    xml.split(begin).skip(1).map(|rest| rest.split_once('>').unwrap().0).collect()
}

#[test]
fn each_threshold_rule_and_finding_has_a_case_and_the_counts_are_theirs() {
    let found = vec!["CPU was short".to_owned(), "starts were late".to_owned()];
    let xml = xml(&Verdict { generator_findings: found, ..verdict(&rush(), "") });
    let cases = elements(&xml, "<testcase ");
    let names =
        ["verdict", "winners.p99 &lt; 250ms", "losers.p99 &lt; 250ms", "the answers agree with the ledger"];
    let more = ["acknowledged-is-in-ledger", "the generator was not the limit", "finding 1", "finding 2"];
    for name in names.iter().chain(&more) {
        assert_eq!(
            cases.iter().filter(|case| case.contains(&format!("name=\"{name}\""))).count(),
            1,
            "{name}"
        );
    }
    assert_eq!(cases.len(), 8);
    let whole = elements(&xml, "<testsuites ")[0];
    assert!(whole.contains("tests=\"8\" failures=\"4\" errors=\"3\" skipped=\"1\""), "{whole}");
    for (element, count) in [("<failure ", 4), ("<error ", 3), ("<skipped ", 1), ("<testsuite ", 4)] {
        assert_eq!(elements(&xml, element).len(), count, "{element}");
    }
    assert!(xml.contains("measured 470 ms"));
}

#[test]
fn an_invalid_run_is_an_error_and_a_good_one_has_none() {
    let good = || {
        let mut good = Verdict { verdict: Word::Pass, reasons: Vec::new(), ..verdict(&rush(), "") };
        good.thresholds.retain(|judged| judged.met.is_none());
        (good.violations, good.violations_total) = (Vec::new(), 0);
        good
    };
    let passed = xml(&good());
    assert!(passed.contains("failures=\"0\" errors=\"0\" skipped=\"1\""), "{passed}");
    let reasons = vec!["no tap was decided".to_owned()];
    let invalid = Verdict { verdict: Word::Invalid, reasons, generator: None, is_proved: false, ..good() };
    let invalid = xml(&invalid);
    assert!(invalid.contains("<error message=\"no tap was decided\" type=\"error\">"), "{invalid}");
    for skipped in ["nothing was sent", "the ledger was not read"] {
        assert!(invalid.contains(&format!("<skipped message=\"{skipped}\"/>")), "{invalid}");
    }
}

#[test]
fn texts_stay_texts() {
    let xml = xml(&verdict(&rush(), "</failure>]]>&\"'\u{0}\u{1b}\u{ffff}"));
    assert!(xml.contains("&lt;/failure&gt;]]&gt;&amp;&quot;'\u{fffd}\u{fffd}\u{fffd}"));
    assert!(!xml.contains(['\u{0}', '\u{1b}', '\u{ffff}']) && !xml.contains("</failure>]"));
}
