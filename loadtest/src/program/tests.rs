//! Unit tests of `program.rs`.

use std::sync::Arc;
use std::time::Duration;

use goose::goose::Transaction;

use super::*;

fn nothing() -> Transaction {
    Transaction::new(Arc::new(|_| Box::pin(async { Ok(()) })))
}

fn named(name: &str) -> GooseScenario {
    GooseScenario::new(name).register_transaction(nothing())
}

#[test]
fn what_can_not_be_a_journey_is_refused_with_a_reason() {
    let waiting = named("waits").set_wait_time(Duration::from_secs(1), Duration::from_secs(2)).unwrap();
    for (scenario, words) in [
        (named("Two words"), "must be 1 to 32 of a-z"),
        (named("-"), "with a letter first"),
        (named("spike"), "is taken by a command"),
        (named("merge"), "is taken by a command"),
        (GooseScenario::new("empty"), "has no transaction"),
        (
            GooseScenario::new("starts").register_transaction(nothing().set_on_start()),
            "the first or the last",
        ),
        (waiting, "use `think` or `rest`"),
    ] {
        let mistake = mistake(&scenario).expect(words);
        assert!(mistake.contains(words), "{mistake}");
    }
    assert_eq!(mistake(&named("my-scenario-2")), None);
    let (one, other) = (named("one"), named("other"));
    assert_eq!(
        mistakes(&[&one, &other, &one]),
        ["there are two scenarios \"one\": give one of them another name"]
    );
}
