//! Unit tests of `history.rs`.

use super::*;

#[test]
fn a_history_is_bounded_and_keeps_both_ends() {
    let mut history = ExchangeLog::default();
    for n in 0..100 {
        history.push(Exchange::new(Timestamp::UNIX_EPOCH, f64::from(n), String::new(), String::new()));
    }
    assert_eq!((history.exchanges.len(), history.left_out), (EXCHANGES_MAX, 100 - EXCHANGES_MAX));
    assert_eq!(history.exchanges.first().map(|e| e.took_ms), Some(0.0));
    assert_eq!(history.exchanges.last().map(|e| e.took_ms), Some(99.0));
}

#[test]
fn lost_answers_are_counted() {
    let mut history = ExchangeLog::default();
    let answers = [
        "201 {}",
        "none: timed out",
        "503 {\"type\":\"/problems/outcome-unknown\"}",
        "503 {\"type\":\"/problems/temporary-reduced-capacity\"}",
        "502 Bad Gateway",
    ];
    for answer in answers {
        history.push(Exchange::new(Timestamp::UNIX_EPOCH, 1.0, String::new(), answer.to_owned()));
    }
    assert_eq!(history.lost, 3);
    history.keep_ends(SHORT);
    assert_eq!((history.lost, history.left_out, history.exchanges.len()), (3, 1, 2 * SHORT));
}

#[test]
fn a_run_of_many_buyers_keeps_the_exchanges_of_those_in_trouble() {
    let with = |outcome, answers: &[&str]| {
        let mut history = TapHistory::new("b".into(), "k".into(), Scenario::SOAK, Selection::default());
        history.outcome = Some(outcome);
        for answer in answers {
            let (at, request, answer) = (Timestamp::UNIX_EPOCH, String::new(), (*answer).to_owned());
            history.log.push(Exchange { at, took_ms: 1.0, request, answer, trace: None, request_id: None });
        }
        history
    };
    let six = ["201 {}"; 6];
    for (buyers, outcome, answers, kept) in [
        (KEEP_ALL_MAX, Outcome::Won, &six[..], 6),
        (KEEP_ENDS_MAX, Outcome::Won, &six, 4),
        (KEEP_ENDS_MAX + 1, Outcome::Won, &six, 0),
        (KEEP_ENDS_MAX + 1, Outcome::Wrong, &six, 4),
        (KEEP_ENDS_MAX + 1, Outcome::Resolved, &["none: timed out", "200 {}"], 2),
    ] {
        let mut history = with(outcome, answers);
        history.shorten(ExchangesKept::of(buyers));
        let log = &history.log;
        assert_eq!((log.exchanges.len(), log.left_out), (kept, answers.len() - kept), "{buyers} {outcome:?}");
    }
}

#[test]
fn long_answers_are_cut_between_characters() {
    assert_eq!(clip("short"), "short");
    assert!(clip(&"车".repeat(1000)).ends_with("(3000 bytes)"));
}
