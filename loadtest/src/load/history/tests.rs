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
    history.shorten();
    assert_eq!((history.lost, history.left_out, history.exchanges.len()), (3, 1, 2 * SHORT));
}

#[test]
fn long_answers_are_cut_between_characters() {
    assert_eq!(clip("short"), "short");
    assert!(clip(&"车".repeat(1000)).ends_with("(3000 bytes)"));
}
