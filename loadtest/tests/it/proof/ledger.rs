//! Tests edited ledgers, and ops listeners that disagree with the ledger.

use std::path::Path;

use serde_json::{Value, json};

use super::{PLAIN, assert_caught};
use testkit::wait_for;

use crate::proxy::{Answer, Behind, Count, Proxy, Request};
use crate::stage::{Run, Stage, definition};
use crate::together::together;

const JOURNAL: &str = "lg:{small}:journal";
const STOCK: &str = "lg:{small}:stock";
const RECORDS: &str = "lg:{small}:records";

/// A sale after a good run of a dozen buyers, one after the other, all paid.
fn sold() -> (Stage, Run) {
    // So that each reservation has a journal entry of its own, on a busy machine too.
    let stage = Stage::set_with(1, &["--batch-max", "1"]);
    stage.apply(&definition(-60, true));
    let more = ["--buyers", "12", "--arrivals", "constant:20/s", "--set", "buyers.confirm=100"];
    let run = stage.spike(&[&PLAIN[..], &more].concat());
    run.assert_passed();
    (stage, run)
}

#[test]
fn ledgers_that_are_not_what_was_sold_are_caught() {
    together!(
        an_edited_ledger_is_caught,
        a_gateway_that_sells_more_than_there_is_is_caught,
        more_reservations_than_a_buyer_may_have_are_caught,
        a_hold_that_ends_too_early_is_caught,
        an_incomplete_support_lookup_is_caught,
        one_listener_does_not_speak_for_the_others,
    );
}

fn an_edited_ledger_is_caught() {
    let (stage, run) = sold();
    // The nth of the entries of the journal that are of this kind.
    let delete = |kind: &str, nth: usize| {
        format!(
            "local n = 0
            for _, entry in ipairs(redis.call('XRANGE', '{JOURNAL}', '-', '+')) do
              if string.find(table.concat(entry[2], ' '), '{kind}', 1, true) then n = n + 1 end
              if n == {nth} then return redis.call('XDEL', '{JOURNAL}', entry[1]) end
            end
            return 0"
        )
    };
    let number_gap = [
        "numbers-in-order",
        "steps-allowed",
        "acknowledged-is-in-ledger",
        "audit-balanced",
        "audit-is-the-journal",
    ];
    let cases: [(&str, String, &[&str], &[&str]); 4] = [
        (
            "a counter of stock",
            format!("redis.call('HINCRBY', '{STOCK}', 'model:air-white', 1) return 1"),
            &["audit-balanced"],
            &["model:air-white drifts by 1"],
        ),
        (
            "a reservation's record",
            format!("return redis.call('HDEL', '{RECORDS}', redis.call('HKEYS', '{RECORDS}')[1])"),
            &["audit-balanced"],
            &["the audit shows: "],
        ),
        ("an entry about a reservation", delete("reserve", 2), &number_gap, &["number 3 follows number 1"]),
        (
            "an entry about a payment",
            delete("confirm", 2),
            &["steps-as-acknowledged", "audit-balanced"],
            &["the confirm was acknowledged, the ledger has none"],
        ),
    ];
    for (what, edit, rules, words) in cases {
        for key in [JOURNAL, STOCK, RECORDS] {
            stage.redis::<()>(&["COPY", key, &format!("{key}-saved"), "REPLACE"]);
        }
        assert_eq!(stage.redis::<u64>(&["EVAL", &edit, "0"]), 1, "{what}");
        let edited = stage.merge(&[&run], &[]);
        assert_caught(&stage, &edited, rules, words);
        assert!(!edited.text.contains("the seed was used before"), "that would be a guess: {}", edited.text);
        for key in [JOURNAL, STOCK, RECORDS] {
            stage.redis::<()>(&["RENAME", &format!("{key}-saved"), key]);
        }
    }
    stage.merge(&[&run], &[]).assert_passed();
}

fn a_gateway_that_sells_more_than_there_is_is_caught() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true).replace("stock = 60", "stock = 2").replace("stock = 40", "stock = 1"));
    // It believes the counter.
    stage.redis::<()>(&["HINCRBY", STOCK, "model:air-black", "3"]);
    let run =
        stage.spike(&[&PLAIN[..], &["--buyers", "20", "--set", "buyers.models={air-black=1}"]].concat());
    let words = [
        "model:air-black: 3 more were taken than there were",
        "model:air-black: 4 held and 0 confirmed of 1",
    ];
    assert_caught(&stage, &run, &["audit-balanced", "not-oversold"], &words);
}

/// Runs a scenario while the ops listener shows something else than there is.
fn shown(stage: &Stage, scenario: &str, more: &[&str], change: fn(&Request, &mut Value)) -> Run {
    let ops = ops(stage, change);
    stage.run(scenario, &stage.gateways(), &[&PLAIN, more, &["--ops", &ops.url()]].concat())
}

fn ops(stage: &Stage, change: fn(&Request, &mut Value)) -> Proxy {
    Proxy::before(stage.ops(), move |request: &Request, gateway: &Behind| {
        let mut answer = gateway.answer(request)?;
        if let Ok(mut body) = serde_json::from_str::<Value>(&answer.body) {
            change(request, &mut body);
            answer.body = body.to_string();
        }
        Some(answer)
    })
}

fn is_the_sale(request: &Request) -> bool {
    Path::new(&request.path).ends_with("sales/small")
}

fn more_reservations_than_a_buyer_may_have_are_caught() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true).replace("\nhold = ", "\nper_buyer = 2\nhold = "));
    let more = ["--buyers", "2", "--set", "bots={connections=1,stale=0,forged=0,for=\"500ms\"}"];
    let run = shown(&stage, "bots", &more, |request, body| {
        if is_the_sale(request) {
            body["definition"]["sale"]["per_buyer"] = json!(1);
        }
    });
    assert_caught(&stage, &run, &["per-buyer"], &["the buyer has 2 reservations, the sale allows 1"]);
}

fn a_hold_that_ends_too_early_is_caught() {
    let stage = Stage::set(1);
    let short = definition(-60, true)
        .replace("hold = \"2m\"", "hold = \"1s\"")
        .replace("grace = \"10s\"", "grace = \"1s\"");
    stage.apply(&short);
    let run = stage.spike(&[&PLAIN[..], &["--buyers", "3"]].concat());
    run.assert_passed();
    let expired = || {
        stage.redis::<u64>(&[
            "EVAL",
            "return tonumber(redis.call('HGET', 'lg:{small}:state', 'expired'))",
            "0",
        ])
    };
    wait_for("all holds have run out", || (expired() == 3).then_some(())).unwrap();
    stage.merge(&[&run], &[]).assert_passed();
    let ops = ops(&stage, |request, body| {
        if is_the_sale(request) {
            body["definition"]["sale"]["hold"] = json!("2m");
        }
    });
    let judged = stage.merge(&[&run], &["--ops", &ops.url()]);
    assert_caught(
        &stage,
        &judged,
        &["acknowledged-is-in-ledger", "not-expired-early"],
        &[
            "expires_at was shown 1000 ms after held_at",
            "ms after it was taken, hold and grace are 121000 ms",
        ],
    );
}

fn an_incomplete_support_lookup_is_caught() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    // The support lookup resolves an unknown outcome.
    let taps = Count::default();
    let loses = Proxy::before(&stage.gateways(), move |request: &Request, gateway: &Behind| {
        gateway.answer(request).filter(|_| !request.is_tap() || taps.next() > 0)
    });
    let ops = ops(&stage, |request, body| {
        if request.path.contains("/buyers/") {
            body["reservations"] = json!([]);
        }
    });
    let more = ["--buyers", "3", "--tries", "1"];
    let lost = stage.run("spike", &loses.url(), &[&PLAIN[..], &more].concat());
    lost.assert_passed();
    assert!(lost.notes().contains("of 1 unknown outcomes the ledger shows 1 as won"), "{}", lost.text);
    let judged = stage.merge(&[&lost], &["--ops", &ops.url()]);
    let words = ["in the journal, but missing in the support lookup"];
    assert_caught(&stage, &judged, &["support-lookup-agrees"], &words);
}

fn one_listener_does_not_speak_for_the_others() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let run = stage.spike(&[&PLAIN[..], &["--buyers", "3"]].concat());
    run.assert_passed();
    // The sale is there until the ledger is read for the verdict.
    let refusing = |status, name: &'static str| {
        Proxy::before(stage.ops(), move |request: &Request, gateway: &Behind| {
            let is_refused = request.path.contains("/audit") || request.path.contains("/journal");
            if is_refused { Some(Answer::problem(status, name, json!({}))) } else { gateway.answer(request) }
        })
    };
    let [lost, also_lost] = [(); 2].map(|()| refusing(404, "sale-not-found"));
    let [other, also_other] = [(); 2].map(|()| refusing(401, "unauthenticated"));
    let judged = |listeners: &[&str]| stage.merge(&[&run], &["--ops", &listeners.join(",")]);
    for one in [&lost, &other] {
        judged(&[&one.url(), stage.ops()]).assert_passed();
        judged(&[stage.ops(), &one.url()]).assert_passed();
    }
    let all_lost = judged(&[&lost.url(), &also_lost.url()]);
    assert_eq!(all_lost.code, 1, "{}", all_lost.text);
    assert!(all_lost.text.contains("the ledger has lost the sale"), "{}", all_lost.text);
    let all_other = judged(&[&other.url(), &also_other.url()]);
    assert_eq!(all_other.code, 2, "{}", all_other.text);
    assert!(all_other.text.contains("rejects the ops token"), "{}", all_other.text);
    let they_differ = judged(&[&lost.url(), &other.url()]);
    assert_eq!(they_differ.code, 3, "{}", they_differ.text);
    for listener in [&lost, &other] {
        assert!(they_differ.text.contains(&listener.url()), "{}", they_differ.text);
    }
}
