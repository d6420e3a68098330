//! Tests gateways with wrong answers to taps.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use super::{assert_caught, through};
use crate::proxy::{Answer, Count};
use crate::stage::{Run, Stage, definition};
use crate::together::together;

/// Longer than an answer from memory may be old, together with the pause before a retry.
const A_WHILE: Duration = Duration::from_millis(600);
/// Everybody wants the same.
const ALIKE: [&str; 8] = [
    "--set",
    "buyers.models={air-white=1}",
    "--set",
    "buyers.packages={cover=0,maintenance=0}",
    "--set",
    "buyers.cities={Guangzhou=0,\"上海\"=0,Beijing=1}",
    "--set",
    "buyers.accept_partial=0",
];

/// An open sale, of which there is enough for everybody.
fn open() -> Stage {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    stage
}

/// Two whites and one black.
fn scarce() -> Stage {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true).replace("stock = 60", "stock = 2").replace("stock = 40", "stock = 1"));
    stage
}

#[test]
fn gateways_that_falsify_answers_to_taps_are_caught() {
    together!(
        an_acknowledged_and_lost_reservation_is_caught,
        more_acknowledgements_than_stock_are_caught,
        one_reservation_acknowledged_to_two_buyers_is_caught,
        a_replay_that_shows_another_number_is_caught,
        another_price_is_caught,
        another_deadline_is_caught,
        another_instant_of_a_confirm_is_caught,
        a_refused_winner_is_caught,
        a_winner_whose_answer_was_lost_and_whose_retry_is_refused_is_caught,
        a_winner_whose_second_request_is_refused_is_caught,
        a_tap_that_buys_twice_is_caught,
        a_retry_that_buys_again_is_caught,
        stock_that_is_forgotten_is_caught,
        a_final_no_while_a_hold_is_outstanding_is_caught,
        a_purchase_limit_that_was_not_reached_is_caught,
        a_pause_and_a_close_that_were_not_are_caught,
        what_was_sold_out_but_not_asked_for_is_caught,
        another_store_than_was_asked_for_is_caught,
        a_forged_token_that_is_let_in_is_caught,
        a_refusal_without_retry_after_is_caught,
    );
}

fn an_acknowledged_and_lost_reservation_is_caught() {
    let (stage, taps) = (open(), Count::default());
    let run = through(&stage, "spike", &["--buyers", "6"], move |request, gateway| {
        let is_lost = request.is_tap() && taps.next() == 2;
        if is_lost { Some(Answer::made_up(request)) } else { gateway.answer(request) }
    });
    let words = "number 4711 was acknowledged, the ledger does not have it";
    assert_caught(&stage, &run, &["acknowledged-is-in-ledger"], &[words, "201 {"]);
    assert_eq!(
        (run.outcome("won"), run.verdict()["violations_total"].as_u64()),
        (6, Some(1)),
        "{}",
        run.text
    );
}

fn more_acknowledgements_than_stock_are_caught() {
    let stage = scarce();
    let run = through(&stage, "spike", &["--buyers", "20"], |request, gateway| {
        let answer = gateway.answer(request)?;
        Some(if answer.is_sold_out() { Answer::made_up(request) } else { answer })
    });
    assert_caught(
        &stage,
        &run,
        &["acknowledged-is-in-ledger"],
        &["the ledger does not have it", "more like these"],
    );
    // All taps were acknowledged; the stock is three.
    let oversold = run.verdict()["violations_total"].as_u64().unwrap();
    assert!(run.outcome("won") == 20 && oversold >= 17, "{}", run.text);
}

fn one_reservation_acknowledged_to_two_buyers_is_caught() {
    let (stage, first) = (open(), Mutex::new(None));
    let more = [&ALIKE[..], &["--buyers", "2"]].concat();
    let run = through(&stage, "spike", &more, move |request, gateway| {
        if !request.is_tap() {
            return gateway.answer(request);
        }
        let mut first = first.lock().unwrap();
        if first.is_none() {
            *first = gateway.answer(request);
        }
        first.clone()
    });
    let words = ["shown to the key lt-", "the ledger has (\"buyer-"];
    assert_caught(&stage, &run, &["acknowledged-is-in-ledger", "bought-once"], &words);
}

/// Every 201 is changed so.
fn each_new_hold(change: fn(&mut serde_json::Value), words: &[&str]) {
    let stage = open();
    let run = through(&stage, "spike", &["--buyers", "4"], move |request, gateway| {
        let mut answer = gateway.answer(request)?;
        if request.is_tap() && answer.status == 201 {
            let mut hold = answer.json();
            change(&mut hold);
            answer.body = hold.to_string();
        }
        Some(answer)
    });
    assert_caught(&stage, &run, &["acknowledged-is-in-ledger"], words);
    assert_eq!(run.verdict()["violations_total"], json!(4), "{}", run.text);
}

fn another_price_is_caught() {
    each_new_hold(
        |hold| hold["price"]["lines"][0]["amount"] = json!(1),
        &["version 1: the price Price {", "the definition has Price {"],
    );
}

fn another_deadline_is_caught() {
    each_new_hold(
        |hold| {
            let expires_at: jiff::Timestamp = hold["expires_at"].as_str().unwrap().parse().unwrap();
            hold["expires_at"] = json!(expires_at + jiff::SignedDuration::from_secs(60));
        },
        &["expires_at was shown 180000 ms after held_at, expected 119999 to 120001 ms"],
    );
}

fn another_instant_of_a_confirm_is_caught() {
    let stage = open();
    let more = ["--buyers", "4", "--set", "buyers.confirm=100"];
    let run = through(&stage, "spike", &more, |request, gateway| {
        let mut answer = gateway.answer(request)?;
        if request.path.ends_with("/confirm") {
            let mut shown = answer.json();
            shown["held_at"] = json!("2020-01-01T00:00:00.000Z");
            answer.body = shown.to_string();
        }
        Some(answer)
    });
    assert_caught(
        &stage,
        &run,
        &["steps-as-acknowledged"],
        &["held_at 2020-01-01T00:00:00Z was shown, the ledger has"],
    );
}

fn a_replay_that_shows_another_number_is_caught() {
    let stage = open();
    let more = ["--buyers", "4", "--set", "buyers.twice=100"];
    let run = through(&stage, "spike", &more, |request, gateway| {
        let mut answer = gateway.answer(request)?;
        if request.is_tap() && answer.status == 200 {
            let mut hold = answer.json();
            hold["number"] = json!(hold["number"].as_u64().unwrap() + 100);
            answer.body = hold.to_string();
        }
        Some(answer)
    });
    assert_caught(&stage, &run, &["acknowledged-is-in-ledger", "same-again"], &["showed number"]);
}

fn a_refused_winner_is_caught() {
    let (stage, taps) = (open(), Count::default());
    let run = through(&stage, "spike", &["--buyers", "4"], move |request, gateway| {
        let answer = gateway.answer(request);
        if request.is_tap() && taps.next() == 1 { Some(Answer::sold_out(request, false)) } else { answer }
    });
    let words = ["(sold_out), but the ledger has a reservation", "that was never shown", "    ledger "];
    assert_caught(&stage, &run, &["refused-holds-nothing", "sold-out-was-true"], &words);
}

fn a_winner_whose_answer_was_lost_and_whose_retry_is_refused_is_caught() {
    let (stage, taps, lost) = (open(), Count::default(), Mutex::new(None));
    let run = through(&stage, "spike", &["--buyers", "3"], move |request, gateway| {
        if !request.is_tap() {
            return gateway.answer(request);
        }
        if lost.lock().unwrap().as_deref() == Some(request.key()) {
            return Some(Answer::sold_out(request, false));
        }
        let answer = gateway.answer(request);
        if taps.next() > 0 {
            return answer;
        }
        *lost.lock().unwrap() = Some(request.key().to_owned());
        std::thread::sleep(A_WHILE);
        None
    });
    let words = ["(sold_out), but the ledger has a reservation", "none: "];
    assert_caught(&stage, &run, &["refused-holds-nothing", "sold-out-was-true"], &words);
}

fn a_winner_whose_second_request_is_refused_is_caught() {
    let (stage, seen) = (open(), Mutex::new(HashMap::<String, usize>::new()));
    let more = ["--buyers", "2", "--set", "buyers.twice=100"];
    let run = through(&stage, "spike", &more, move |request, gateway| {
        if !request.is_tap() {
            return gateway.answer(request);
        }
        let nth = {
            let mut seen = seen.lock().unwrap();
            let nth = seen.entry(request.key().to_owned()).or_default();
            *nth += 1;
            *nth
        };
        match nth {
            1 => gateway.answer(request),
            2 => {
                std::thread::sleep(A_WHILE);
                None
            }
            _ => Some(Answer::sold_out(request, false)),
        }
    });
    let words = ["which had won at", "and was refused as sold out"];
    assert_caught(&stage, &run, &["sold-out-was-true", "winner-never-lost"], &words);
}

fn a_tap_that_buys_twice_is_caught() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true).replace("\nhold = ", "\nper_buyer = 2\nhold = "));
    let run = through(&stage, "spike", &["--buyers", "3"], |request, gateway| {
        let answer = gateway.answer(request);
        if request.is_tap() {
            let mut again = request.clone();
            again.headers = again.headers.with("idempotency-key", &format!("{}-again", request.key()));
            assert_eq!(gateway.answer(&again).unwrap().status, 201);
        }
        answer
    });
    let words = ["(won) bought ", "a reservation, taken at ", "    ledger "];
    assert_caught(&stage, &run, &["bought-once", "refused-holds-nothing"], &words);
}

fn a_retry_that_buys_again_is_caught() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true).replace("\nhold = ", "\nper_buyer = 2\nhold = "));
    let seen = Mutex::new(HashSet::new());
    let more = ["--buyers", "3", "--set", "retry-storm={patience=\"1s\",new_key=0}"];
    let run = through(&stage, "retry-storm", &more, move |request, gateway| {
        if !request.is_tap() || !seen.lock().unwrap().insert(request.key().to_owned()) {
            return gateway.answer(request);
        }
        // It does not recognise the key, because it stored another one.
        let mut first = request.clone();
        first.headers = first.headers.with("idempotency-key", &format!("{}-first", request.key()));
        gateway.answer(&first).filter(|_| false)
    });
    assert_caught(&stage, &run, &["bought-once", "refused-holds-nothing"], &["(resolved) bought ", "none: "]);
}

fn stock_that_is_forgotten_is_caught() {
    let (stage, taps) = (open(), Count::default());
    let crowd = "crowd={lead=\"1s\",at_opening=50,tail=\"1s\",looks_again=0}";
    let run = through(&stage, "crowd", &["--buyers", "6", "--set", crowd], move |request, gateway| {
        let forgets = request.is_tap() && taps.next() % 2 == 1;
        if forgets { Some(Answer::sold_out(request, false)) } else { gateway.answer(request) }
    });
    assert_caught(&stage, &run, &["sold-out-was-true"], &["sold out at "]);
}

fn a_final_no_while_a_hold_is_outstanding_is_caught() {
    let (stage, taps) = (open(), Count::default());
    // The first wins; the last come more than a second later.
    let more = ["--buyers", "8", "--arrivals", "constant:3/s"];
    let run = through(&stage, "spike", &more, move |request, gateway| {
        let is_refused = request.is_tap() && taps.next() > 0;
        if is_refused { Some(Answer::sold_out(request, true)) } else { gateway.answer(request) }
    });
    let words = ["but a hold was outstanding from"];
    assert_caught(&stage, &run, &["final-is-final", "sold-out-was-true"], &words);
}

fn a_purchase_limit_that_was_not_reached_is_caught() {
    let (stage, taps) = (open(), Count::default());
    let run = through(&stage, "spike", &["--buyers", "4"], move |request, gateway| {
        let is_refused = request.is_tap() && taps.next() == 0;
        let limit = || Answer::problem(409, "purchase-limit", json!({"reservations": ["r"]}));
        if is_refused { Some(limit()) } else { gateway.answer(request) }
    });
    let words = ["refused by a purchase limit without ever having reserved"];
    assert_caught(&stage, &run, &["purchase-limit-was-true"], &words);
}

fn a_pause_and_a_close_that_were_not_are_caught() {
    for (name, status, words) in [
        ("sale-paused", 409, "but it was not paused"),
        ("sale-closed", 410, "but nothing had closed it"),
        ("sale-not-open", 409, "but it had opened"),
    ] {
        let (stage, taps) = (open(), Count::default());
        let more = ["--buyers", "6", "--tries", "2"];
        let run = through(&stage, "spike", &more, move |request, gateway| {
            if !request.is_tap() || !taps.next().is_multiple_of(2) {
                return gateway.answer(request);
            }
            let refusal = Answer::problem(status, name, json!({"retry_after_ms": 10}));
            Some(Answer { headers: refusal.headers.with("retry-after", "1"), ..refusal })
        });
        assert_caught(&stage, &run, &["phase-was-true"], &["refused as", words]);
    }
}

fn what_was_sold_out_but_not_asked_for_is_caught() {
    let stage = scarce();
    let more = ["--buyers", "8", "--set", "buyers.models={air-white=1}"];
    // There is one black car, which the first takes; then the white ones are refused for it.
    let first = Mutex::new(true);
    let run = through(&stage, "spike", &more, move |request, gateway| {
        if !request.is_tap() {
            return gateway.answer(request);
        }
        let mut first = first.lock().unwrap();
        if std::mem::take(&mut *first) {
            let mut black = request.clone();
            let mut selection = black.json();
            selection["model"] = json!("air-black");
            black.body = selection.to_string();
            return gateway.answer(&black).filter(|_| false);
        }
        Some(Answer::problem(409, "sold-out", json!({"items": ["model:air-black"], "final": false})))
    });
    assert_eq!(run.code, 1, "{}", run.text);
    let words = "reported model:air-black sold out, which was not asked for: model:air-white";
    assert!(run.text.contains(words), "{}", run.text);
}

fn another_store_than_was_asked_for_is_caught() {
    let (stage, taps) = (open(), Count::default());
    let more = [&ALIKE[..], &["--buyers", "3"]].concat();
    let run = through(&stage, "spike", &more, move |request, gateway| {
        let mut request = request.clone();
        if request.is_tap() && taps.next() == 0 {
            let mut selection = request.json();
            selection["store"] = json!("sh-0001");
            request.body = selection.to_string();
        }
        gateway.answer(&request)
    });
    assert_caught(
        &stage,
        &run,
        &["as-requested"],
        &["requested Selection", "got model air-white", "sh-0001"],
    );
}

/// Few accounts, many connections, for a second.
fn bots<R>(stage: &Stage, rule: R) -> Run
where
    R: Fn(&crate::proxy::Request, &crate::proxy::Behind) -> Option<Answer> + Send + Sync + 'static,
{
    let more = ["--buyers", "4", "--set", "bots.connections=2", "--set", "bots.for=1s"];
    through(stage, "bots", &more, rule)
}

fn a_forged_token_that_is_let_in_is_caught() {
    let stage = open();
    let run = bots(&stage, |request, gateway| {
        let answer = gateway.answer(request)?;
        Some(if request.is_tap() && answer.status == 401 { Answer::made_up(request) } else { answer })
    });
    let words = ["an expired or forged token was accepted", "201 {"];
    assert_caught(&stage, &run, &["contract"], &words);
}

fn a_refusal_without_retry_after_is_caught() {
    let stage = open();
    let run = bots(&stage, |request, gateway| {
        let mut answer = gateway.answer(request)?;
        answer.headers = answer.headers.without("retry-after");
        Some(answer)
    });
    assert_caught(&stage, &run, &["contract"], &["429 quota-exceeded without Retry-After"]);
}
