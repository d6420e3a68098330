//! Unit tests of `answer.rs`.

use super::*;

const HOLD: &str = r#"{"id":"r1","sale":"s","number":17,"version":1,"state":"held","model":"a","packages":["p"],
    "store":null,"unavailable":["store:x"],"price":{"currency":"CNY","total":3,"deposit":1,"balance":2,
    "lines":[{"item":"model:a","amount":2},{"item":"package:p","amount":1}]},"held_at":"2026-11-09T12:00:00.000Z",
    "expires_at":"2026-11-09T12:15:00.000Z","server_time":"2026-11-09T12:00:01.000Z"}"#;

fn problem(status: u16, name: &str, more: &str) -> Result<Reply, Lost> {
    Ok(Reply {
        status,
        content_type: "application/problem+json".to_owned(),
        retry_after: Some(2),
        body: format!(r#"{{"title":"x","type":"/problems/{name}","status":{status}{more}}}"#),
        ..Reply::default()
    })
}

#[test]
fn every_answer_of_the_contract_has_its_outcome() {
    let outcome = |status, name| to_tap(&problem(status, name, "")).gives_up_as(false);
    assert_eq!(outcome(409, "sold-out"), Outcome::SoldOut);
    assert_eq!(outcome(409, "purchase-limit"), Outcome::PurchaseLimit);
    assert_eq!(outcome(409, "sale-not-open"), Outcome::Refused);
    assert_eq!(outcome(409, "sale-paused"), Outcome::Refused);
    assert_eq!(outcome(410, "sale-closed"), Outcome::Refused);
    assert_eq!(outcome(429, "quota-exceeded"), Outcome::Limited);
    assert_eq!(outcome(503, "temporary-reduced-capacity"), Outcome::Shed);
    assert_eq!(outcome(503, "outcome-unknown"), Outcome::Unknown);
    for (status, name) in
        [(400, "invalid-request"), (401, "unauthenticated"), (422, "unknown-item"), (500, "internal")]
    {
        let reading = to_tap(&problem(status, name, ""));
        assert_eq!((reading.result, reading.ends), (Outcome::Wrong, true), "{name}");
        assert_eq!(reading.findings.len(), 1, "{name}");
    }
}

#[test]
fn an_answer_counts_by_what_it_is_worth() {
    for (status, name, class) in [
        (409, "sold-out", AnswerClass::Decided),
        (410, "sale-closed", AnswerClass::Decided),
        (429, "quota-exceeded", AnswerClass::Limited),
        (503, "temporary-reduced-capacity", AnswerClass::Shed),
        (503, "outcome-unknown", AnswerClass::Unknown),
        (502, "", AnswerClass::Failed),
        (503, "", AnswerClass::Failed),
        (500, "internal", AnswerClass::Failed),
        (422, "unknown-item", AnswerClass::Failed),
    ] {
        let answer = problem(status, name, r#","items":["model:a"]"#);
        assert_eq!(to_tap(&answer).class, class, "{status} {name}");
    }
    let read = |answer: Result<Reply, Lost>, is_seen| class_of_read(&answer.unwrap(), is_seen);
    assert_eq!(
        read(problem(404, "sale-not-found", ""), false),
        AnswerClass::Failed,
        "what was asked for is not there"
    );
    assert_eq!(read(problem(429, "quota-exceeded", ""), false), AnswerClass::Limited);
    assert_eq!(read(Ok(Reply { status: 200, ..Reply::default() }), true), AnswerClass::Decided);
    assert_eq!(read(Ok(Reply { status: 200, ..Reply::default() }), false), AnswerClass::Failed);
}

#[test]
fn a_win_and_a_replay_show_the_hold() {
    let reply = |status, replayed| {
        Ok(Reply {
            status,
            replayed,
            location: Some("/x".to_owned()),
            body: HOLD.to_owned(),
            ..Reply::default()
        })
    };
    let won = to_tap(&reply(201, false));
    assert_eq!((won.result, won.ends), (Outcome::Won, true));
    let hold = won.hold.unwrap();
    assert!(hold.number == 17 && hold.store.is_none() && hold.is_new && hold.price.unwrap().lines.len() == 2);
    assert_eq!(hold.expires_at.unwrap().duration_since(hold.held_at.unwrap()).as_secs(), 900);
    assert!(won.findings.is_empty());
    let replayed = to_tap(&reply(200, true));
    assert_eq!((replayed.result, replayed.ends), (Outcome::Replayed, true));
    assert!(!replayed.hold.unwrap().is_new);
    assert_eq!(to_tap(&reply(200, false)).findings.len(), 1);
    let empty = to_tap(&Ok(Reply { status: 201, ..Reply::default() }));
    assert_eq!((empty.result, empty.ends), (Outcome::Wrong, true));
}

#[test]
fn members_of_a_problem_are_read() {
    let reading = to_tap(&problem(409, "sold-out", r#","items":["model:a"],"final":true"#));
    assert_eq!((reading.result, reading.ends), (Outcome::SoldOut, true));
    assert!(reading.problem.r#final && reading.problem.items == ["model:a"]);
    let fine = to_tap(&problem(429, "quota-exceeded", r#","retry_after_ms":1234"#));
    assert_eq!(fine.retry_after, Some(Duration::from_millis(1234)));
    let coarse = to_tap(&problem(429, "quota-exceeded", ""));
    assert_eq!(coarse.retry_after, Some(Duration::from_secs(2)));
}

#[test]
fn an_unknown_before_is_not_forgotten() {
    let shed = to_tap(&problem(503, "temporary-reduced-capacity", ""));
    assert_eq!((shed.gives_up_as(true), shed.ends), (Outcome::Unknown, false));
    assert_eq!(to_tap(&Err(Lost::TimedOut(1))).gives_up_as(false), Outcome::Unknown);
}

#[test]
fn refusals_without_their_headers_are_complained_about() {
    let mut bare = problem(429, "quota-exceeded", "").unwrap();
    bare.retry_after = None;
    bare.content_type = "text/html".to_owned();
    assert_eq!(to_tap(&Ok(bare)).findings.len(), 2);
}

#[test]
fn confirms_and_cancels_are_read() {
    let done = Ok(Reply { status: 200, body: HOLD.replace("held\"", "confirmed\""), ..Reply::default() });
    let confirmed = |reply: &Result<Reply, Lost>| to_change(reply, Expect::State("confirmed"));
    assert!(confirmed(&done).findings.is_empty());
    assert_eq!(to_change(&done, Expect::State("cancelled")).findings.len(), 1);
    let ending = |status, name| {
        let reading = confirmed(&problem(status, name, ""));
        (reading.result, reading.ends)
    };
    let refused = |why: &str| Step::Refused(why.to_owned());
    assert_eq!(ending(409, "reservation-not-held"), (refused("reservation-not-held"), true));
    assert_eq!(ending(503, "outcome-unknown"), (Step::Unknown, false));
    assert_eq!(ending(429, "quota-exceeded"), (refused("limited"), false));
    assert_eq!(confirmed(&problem(404, "reservation-not-found", "")).findings.len(), 1);
    let sold_out = problem(409, "sold-out", r#","items":["store:s"]"#);
    assert_eq!(confirmed(&sold_out).findings.len(), 1);
    assert!(to_change(&sold_out, Expect::Amended).findings.is_empty());
    let conflict = problem(409, "payment-conflict", "");
    assert!(confirmed(&conflict).findings.is_empty());
    assert_eq!(to_change(&conflict, Expect::Amended).findings.len(), 1, "only a payment can conflict");
}

#[test]
fn sold_out_must_name_what_is() {
    let bare = problem(409, "sold-out", "");
    let expected = ["409 sold-out without items"];
    assert_eq!(to_tap(&bare).findings, expected);
    assert_eq!(to_change(&bare, Expect::Amended).findings, expected);
}
