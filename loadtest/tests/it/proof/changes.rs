//! Tests gateways with wrong answers to amendments, payments and cancellations.

use serde_json::Value;

use super::{assert_caught, through};
use crate::proxy::{Answer, Behind, Request};
use crate::stage::{Stage, definition};
use crate::together::together;

fn open() -> Stage {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    stage
}

/// The reservation of a request, with changes that the ledger lacks.
fn pretended(request: &Request, gateway: &Behind, change: impl FnOnce(&mut Value)) -> Option<Answer> {
    let path = request.path.trim_end_matches("/confirm").trim_end_matches("/cancel");
    let look = Request {
        connection: 0,
        method: "GET".to_owned(),
        path: path.to_owned(),
        headers: request.headers.clone().without("content-type"),
        body: String::new(),
    };
    let mut answer = gateway.answer(&look)?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut hold = answer.json();
    change(&mut hold);
    answer.body = hold.to_string();
    Some(answer)
}

/// All of eight buyers customise, within a second.
const CUSTOMISE: [&str; 4] = ["--buyers", "8", "--arrivals", "constant:20/s"];

#[test]
fn gateways_that_lie_about_changes_are_caught() {
    together!(
        an_amendment_that_is_acknowledged_and_not_made_is_caught,
        an_amendment_that_is_swallowed_is_caught,
        an_amendment_that_is_made_and_refused_is_caught,
        amendments_that_are_all_refused_as_sold_out_are_caught,
        amendments_that_are_all_refused_as_over_are_caught,
        a_payment_that_is_refused_as_outdated_is_caught,
        payments_and_cancellations_that_are_acknowledged_and_not_made_are_caught,
        a_payment_that_is_taken_and_refused_is_caught,
        refunds_that_are_all_refused_are_caught,
    );
}

fn an_amendment_that_is_acknowledged_and_not_made_is_caught() {
    let stage = open();
    let run = through(&stage, "customise", &CUSTOMISE, |request, gateway| {
        if request.method != "PATCH" {
            return gateway.answer(request);
        }
        pretended(request, gateway, |hold| {
            hold["version"] = (hold["version"].as_u64().unwrap() + 1).into();
            for (name, value) in request.json().as_object().unwrap() {
                hold[name] = value.clone();
            }
        })
    });
    assert_caught(
        &stage,
        &run,
        &["amend-as-acknowledged"],
        &["version 2 was shown, the ledger has 1", "PATCH http://"],
    );
}

fn an_amendment_that_is_swallowed_is_caught() {
    let stage = open();
    let run = through(&stage, "customise", &CUSTOMISE, |request, gateway| {
        let is_amend = request.method == "PATCH";
        if is_amend { pretended(request, gateway, |_| {}) } else { gateway.answer(request) }
    });
    let words = ["the amendment was acknowledged with version 1, but asked for ", "PATCH http://"];
    assert_caught(&stage, &run, &["amend-as-acknowledged"], &words);
}

fn an_amendment_that_is_made_and_refused_is_caught() {
    let stage = open();
    let run = through(&stage, "customise", &CUSTOMISE, |request, gateway| {
        let answer = gateway.answer(request);
        if request.method != "PATCH" {
            return answer;
        }
        Some(Answer::problem(
            409,
            "sold-out",
            serde_json::json!({"items": ["package:cover"], "final": false}),
        ))
    });
    let rules = ["amend-as-acknowledged", "sold-out-was-true"];
    assert_caught(&stage, &run, &rules, &["which no answer showed", "Amend"]);
}

fn amendments_that_are_all_refused_as_sold_out_are_caught() {
    let stage = open();
    let run = through(&stage, "customise", &CUSTOMISE, |request, gateway| {
        if request.method != "PATCH" {
            return gateway.answer(request);
        }
        let item = match request.json()["store"].as_str() {
            Some(store) => format!("store:{store}"),
            None => "package:cover".to_owned(),
        };
        Some(Answer::problem(409, "sold-out", serde_json::json!({"items": [item], "final": false})))
    });
    assert_caught(&stage, &run, &["sold-out-was-true"], &["the amend: reported store:", "but some was free"]);
}

fn amendments_that_are_all_refused_as_over_are_caught() {
    let stage = open();
    let run = through(&stage, "customise", &CUSTOMISE, |request, gateway| {
        let refusal = || serde_json::json!({"state": "held", "version": 1});
        let is_amend = request.method == "PATCH";
        if is_amend {
            Some(Answer::problem(409, "reservation-not-held", refusal()))
        } else {
            gateway.answer(request)
        }
    });
    let words = "the amend was refused (reservation-not-held), but the hold could not have ended by then";
    assert_caught(&stage, &run, &["amend-as-acknowledged"], &[words]);
}

fn a_payment_that_is_refused_as_outdated_is_caught() {
    let stage = open();
    let more = ["--buyers", "4", "--set", "buyers.confirm=100"];
    let run = through(&stage, "spike", &more, |request, gateway| {
        let refusal = || serde_json::json!({"state": "held", "version": 2});
        let is_confirm = request.path.ends_with("/confirm");
        if is_confirm {
            Some(Answer::problem(409, "reservation-changed", refusal()))
        } else {
            gateway.answer(request)
        }
    });
    let words =
        "the confirm was refused (reservation-changed), but version 1, which it named, was the latest";
    assert_caught(&stage, &run, &["steps-as-acknowledged"], &[words]);
}

fn payments_and_cancellations_that_are_acknowledged_and_not_made_are_caught() {
    let stage = open();
    let more = ["--buyers", "12", "--set", "buyers.confirm=50", "--set", "buyers.cancel=50"];
    let run = through(&stage, "spike", &more, |request, gateway| {
        let state = match request.path.rsplit('/').next() {
            Some("confirm") => "confirmed",
            Some("cancel") => "cancelled",
            _ => return gateway.answer(request),
        };
        pretended(request, gateway, |hold| hold["state"] = state.into())
    });
    assert_caught(&stage, &run, &["steps-as-acknowledged"], &["was acknowledged, the ledger has none"]);
    let verdict = run.verdict();
    let found: Vec<_> = verdict["violations"].as_array().unwrap().iter().map(|of| &of["what"]).collect();
    for step in ["confirm", "cancel"] {
        let what = format!("the {step} was acknowledged, the ledger has none");
        assert!(found.iter().any(|found| **found == what), "{what}: {}", run.text);
    }
}

fn a_payment_that_is_taken_and_refused_is_caught() {
    let stage = open();
    let more = ["--buyers", "4", "--set", "buyers.confirm=100"];
    let run = through(&stage, "spike", &more, |request, gateway| {
        let answer = gateway.answer(request);
        if !request.path.ends_with("/confirm") {
            return answer;
        }
        Some(Answer::problem(
            409,
            "reservation-not-held",
            serde_json::json!({"state": "expired", "version": 1}),
        ))
    });
    let words = ["the confirm was refused (reservation-not-held), but the ledger has it"];
    assert_caught(&stage, &run, &["steps-as-acknowledged"], &words);
}

fn refunds_that_are_all_refused_are_caught() {
    let stage = open();
    let more = ["--arrivals", "constant:20/s:1s", "--set", "buyers.confirm=100"];
    let run = through(&stage, "soak", &more, |request, gateway| {
        // All pay, so that each cancel is a service's.
        let is_refund = request.path.ends_with("/cancel");
        let refusal = || serde_json::json!({"state": "confirmed", "version": 1});
        if is_refund {
            Some(Answer::problem(409, "reservation-not-held", refusal()))
        } else {
            gateway.answer(request)
        }
    });
    let words =
        "the cancel was refused (reservation-not-held), but it is paid, and a service may cancel that";
    assert_caught(&stage, &run, &["steps-as-acknowledged"], &[words]);
    assert!(run.notes().contains("cancels were refused: reservation-not-held"), "{}", run.text);
}
