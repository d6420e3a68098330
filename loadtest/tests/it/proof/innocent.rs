//! Faults that are nobody's: answers that are lost on the way are no broken promise.

use std::sync::Mutex;

use super::through;
use crate::proxy::{Answer, Count, Headers, Request};
use crate::stage::{Stage, definition};
use crate::together::together;

/// A third of these answers is lost after the gateway has given it, each in another way.
fn loses_a_third(of: fn(&Request) -> bool) -> impl Fn(&Request, &crate::proxy::Behind) -> Option<Answer> {
    let (asked, lost) = (Count::default(), Count::default());
    let last = Mutex::new(());
    move |request, gateway| {
        let answer = gateway.answer(request);
        if !of(request) || asked.next() % 3 != 2 {
            return answer;
        }
        let _one_at_a_time = last.lock().unwrap();
        match lost.next() % 3 {
            0 => None,
            1 => Some(Answer::problem(503, "outcome-unknown", serde_json::json!({"retry_after_ms": 1000})))
                .map(|answer| Answer { headers: answer.headers.with("retry-after", "1"), ..answer }),
            // What a load balancer says.
            _ => Some(Answer { status: 502, headers: Headers::default(), body: "Bad Gateway".to_owned() }),
        }
    }
}

#[test]
fn answers_that_are_lost_on_the_way_pass() {
    together!(
        answers_to_taps_that_are_lost_on_the_way_pass,
        answers_to_two_fingers_that_are_lost_when_stock_runs_out_pass,
        answers_to_amendments_and_payments_that_are_lost_on_the_way_pass,
    );
}

fn answers_to_taps_that_are_lost_on_the_way_pass() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let run = through(&stage, "spike", &["--buyers", "30"], loses_a_third(Request::is_tap));
    run.assert_passed();
    assert!(run.outcome("resolved") > 0 && run.verdict()["retries"].as_u64() >= Some(9), "{}", run.text);
    // One store is small.
    let decided = ["won", "resolved", "sold_out"].map(|name| run.outcome(name)).iter().sum::<u64>();
    assert_eq!(decided, 30, "{}", run.text);
}

fn answers_to_two_fingers_that_are_lost_when_stock_runs_out_pass() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true).replace("stock = 60", "stock = 8").replace("stock = 40", "stock = 4"));
    let more = ["--buyers", "40", "--set", "buyers.twice=100", "--set", "buyers.confirm=60"];
    let run = through(&stage, "spike", &more, loses_a_third(Request::is_tap));
    run.assert_passed();
    assert!(run.outcome("sold_out") > 0, "{}", run.text);
    let winners = run.verdict()["latency_ms"]["winners"]["count"].as_u64().unwrap();
    assert!(winners <= 12 && winners > 0, "{}", run.text);
}

fn answers_to_amendments_and_payments_that_are_lost_on_the_way_pass() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let more = ["--buyers", "12", "--arrivals", "constant:30/s"];
    let run = through(&stage, "customise", &more, loses_a_third(|request| request.method != "GET"));
    run.assert_passed();
    assert!(run.answered("amend") > 0 && run.answered("confirm") > 0, "{}", run.text);
    assert!(run.verdict()["lost"]["connection broken"].as_u64() > Some(0), "{}", run.text);
}
