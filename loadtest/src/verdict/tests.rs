//! Tests the verdict and the members of verdict.json.

use std::time::Duration;

use super::*;
use crate::figures::AnswerClass;
use crate::proof::rules::Rule;
use crate::threshold::Fault;

fn run() -> Run {
    Run {
        identity: Identity::default(),
        scenario: "spike".to_owned(),
        sale: "s".to_owned(),
        seed: 1,
        shards: Vec::new(),
        buyers: 9,
        buyers_of_all: 9,
        missing: None,
        taps: true,
        opening: Timestamp::UNIX_EPOCH,
        started_at: Timestamp::UNIX_EPOCH,
        finished_at: Timestamp::UNIX_EPOCH,
        clock_error_ms: 1.0,
        started_after: 0,
        totals_before: BTreeMap::new(),
        targets: Vec::new(),
        profile: toml::Table::new(),
        arrivals: None,
        ended_early: None,
        notes: Vec::new(),
    }
}

fn figures(outcomes: &[(Outcome, u64)]) -> Figures {
    let mut figures = Figures::default();
    for (outcome, count) in outcomes {
        (0..*count).for_each(|_| figures.ended(Scenario::SPIKE, *outcome, 0, Duration::from_millis(5)));
    }
    figures
}

fn findings() -> Findings {
    Findings {
        violations: Vec::new(),
        unknown_held: 0,
        unfinished: None,
        thresholds: Vec::new(),
        generator: Vec::new(),
        baseline: Vec::new(),
        regressions: Vec::new(),
        notes: Vec::new(),
    }
}

fn violation() -> Violation {
    Violation { rule: Rule::NotOversold, buyer: Some("b".to_owned()), reservation: None, what: String::new() }
}

fn judged(met: Option<bool>) -> Judged {
    Judged {
        threshold: "won.p99 < 1 ms".to_owned(),
        measured: "5 ms".to_owned(),
        met,
        fault: met.is_some_and(|met| !met).then_some(Fault::Server),
    }
}

fn word(outcomes: &[(Outcome, u64)], findings: Findings) -> Word {
    decision::decide(&run(), &figures(outcomes), &findings).0
}

const WON: &[(Outcome, u64)] = &[(Outcome::SoldOut, 9), (Outcome::Won, 1)];

#[test]
fn a_violation_fails_whatever_else_there_is() {
    let broken =
        || Findings { violations: vec![violation()], generator: vec!["tired".to_owned()], ..findings() };
    assert_eq!(word(WON, broken()), Word::Fail);
    assert_eq!(word(&[], broken()), Word::Fail);
}

#[test]
fn a_run_without_decisions_or_winners_is_invalid() {
    assert_eq!(word(&[(Outcome::Unknown, 9), (Outcome::Shed, 1)], findings()), Word::Invalid);
    assert_eq!(word(&[], findings()), Word::Invalid);
    assert_eq!(word(&[(Outcome::SoldOut, 9)], findings()), Word::Invalid);
    assert_eq!(word(WON, findings()), Word::Pass);
    let found = Findings { unknown_held: 1, ..findings() };
    assert_eq!(word(&[(Outcome::SoldOut, 9), (Outcome::Unknown, 1)], found), Word::Pass);
}

#[test]
fn a_missed_threshold_fails_unless_the_generator_was_the_limit() {
    let missed = || Findings { thresholds: vec![judged(Some(true)), judged(Some(false))], ..findings() };
    assert_eq!(word(WON, missed()), Word::Fail);
    assert_eq!(word(WON, Findings { generator: vec!["late".to_owned()], ..missed() }), Word::Invalid);
    let unjudged = |others: &[Judged]| [&[judged(None)], others].concat();
    assert_eq!(word(WON, Findings { thresholds: unjudged(&[judged(Some(true))]), ..findings() }), Word::Pass);
    assert_eq!(word(WON, Findings { thresholds: unjudged(&[]), ..findings() }), Word::Invalid);
    // Also a server that decided nothing.
    assert_eq!(word(&[(Outcome::Shed, 9)], missed()), Word::Fail);
}

#[test]
fn a_server_that_shed_everything_fails() {
    assert_eq!(word(&[(Outcome::Shed, 9)], findings()), Word::Fail);
    let tired = Findings { generator: vec!["tired".to_owned()], ..findings() };
    assert_eq!(word(&[(Outcome::Shed, 9)], tired), Word::Invalid);
    let looks = Run { taps: false, ..run() };
    let mut seen = Figures::default();
    seen.answered("look", 0, Duration::from_millis(1), (503, AnswerClass::Shed));
    let (word, reasons) = decision::decide(&looks, &seen, &findings());
    assert_eq!((word, &*reasons[0]), (Word::Fail, "all of 1 requests were shed"));
}

#[test]
fn a_miss_that_lateness_explains_proves_nothing() {
    let explained = || Judged { fault: Some(Fault::Generator), ..judged(Some(false)) };
    let mut late = figures(WON);
    late.started(0, 80_000, Duration::ZERO, Duration::from_secs(1));
    let (word, reasons) =
        decision::decide(&run(), &late, &Findings { thresholds: vec![explained()], ..findings() });
    assert_eq!(word, Word::Invalid);
    let reason = "won.p99 < 1 ms expected, measured 5 ms, and the starts of the generator itself were up to 80 ms late";
    assert!(reasons[0].starts_with(reason), "{reasons:?}");
    let both = Findings { thresholds: vec![explained(), judged(Some(false))], ..findings() };
    assert_eq!(decision::decide(&run(), &late, &both).0, Word::Fail);
}

#[test]
fn a_run_that_was_ended_early_says_so() {
    let early = Run { ended_early: Some("won.p99 < 1 ms".to_owned()), ..run() };
    let missed = Findings { thresholds: vec![judged(Some(false))], ..findings() };
    let (word, reasons) = decision::decide(&early, &figures(WON), &missed);
    assert_eq!(word, Word::Fail);
    assert_eq!(reasons[1], "ended early by --abort-on-fail: won.p99 < 1 ms could not be met any more");
    let met = Findings { thresholds: vec![judged(Some(true))], ..findings() };
    let (word, reasons) = decision::decide(&early, &figures(WON), &met);
    let missing = "ended early by --abort-on-fail; what had not started is missing";
    assert_eq!(
        (word, &*reasons[0]),
        (Word::Invalid, missing),
        "judged by other thresholds, it proves nothing"
    );
}

#[test]
fn what_is_worse_than_the_baseline_can_fail() {
    let worse = Findings { regressions: vec!["winners.p99: 1 ms before".to_owned()], ..findings() };
    let (word, reasons) = decision::decide(&run(), &figures(WON), &worse);
    assert_eq!((word, &*reasons[0]), (Word::Fail, "worse than the baseline: winners.p99: 1 ms before"));
}

#[test]
fn a_run_that_only_looks_has_no_winners() {
    let looks = Run { taps: false, ..run() };
    assert_eq!(decision::decide(&looks, &Figures::default(), &findings()).0, Word::Invalid);
    let mut seen = Figures::default();
    seen.answered("look", 0, Duration::from_millis(1), (200, AnswerClass::Decided));
    assert_eq!(decision::decide(&looks, &seen, &findings()).0, Word::Pass);
}

#[test]
fn many_violations_of_one_kind_do_not_hide_another() {
    let of = |rule, what: String| Violation { rule, what, ..violation() };
    let steps = |what| of(Rule::StepsAsAcknowledged, what);
    let mut many: Vec<_> =
        (0..500).map(|n| steps(format!("version {n}: the cancel was acknowledged"))).collect();
    many.push(of(Rule::AcknowledgedIsInLedger, "version 1: the cancel was acknowledged".to_owned()));
    many.push(steps("version 1: the confirm was acknowledged".to_owned()));
    let shown = with_histories(many, &PackedHistories::default(), &[]).unwrap();
    assert_eq!(shown.len(), PER_KIND_MAX + 2);
    assert_eq!(shown.last().unwrap().violation.what, "version 1: the confirm was acknowledged");

    // Names without digits make no end of kinds.
    let letters = (0..26_u8).map(|n| char::from(b'a' + n));
    let stores: Vec<_> = letters.map(|name| steps(format!("store:{name} has the slot"))).collect();
    assert_eq!(with_histories(stores, &PackedHistories::default(), &[]).unwrap().len(), 10);
}

#[test]
fn a_verdict_has_the_documented_members() {
    let audited = |item: &str| AuditItem {
        item: item.to_owned(),
        total: Some(3),
        free: Some(1),
        aside: None,
        held: 1,
        confirmed: 1,
        drift: Some(0),
    };
    let unlimited = AuditItem { total: None, free: None, ..audited("store:z") };
    let items = vec![audited("model:a"), audited("store:x"), audited("store:y"), unlimited];
    let audit = Audit { sequence: 1, verdict: "balanced".to_owned(), items, problems: vec![] };
    let run_record = RunRecord::new(run(), Health::default(), figures(WON), PackedHistories::default());
    let findings =
        Findings { violations: vec![violation()], thresholds: vec![judged(Some(true))], ..findings() };
    let verdict = Verdict::on(&run_record, &audit, &[], findings).unwrap();
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["verdict"], "FAIL");
    assert_eq!(json["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        json["stores"],
        serde_json::json!({"total": 6, "free": 2, "held": 2, "confirmed": 2, "drift": 0,
            "unlimited_held": 1, "unlimited_confirmed": 1, "unlimited_drift": 0})
    );
    assert_eq!(json["violations"][0]["rule"], "not-oversold");
    for outcome in Outcome::ALL {
        assert!(json["outcomes"][outcome.name()].is_u64(), "{}", outcome.name());
    }
    // Each is described where an operator looks for it.
    let described = include_str!("../../docs/report.md");
    for member in json.as_object().unwrap().keys() {
        assert!(described.contains(&format!("| `{member}` |")), "docs/report.md does not describe {member}");
    }
    assert_eq!(verdict.exit_code(), 1);
}
