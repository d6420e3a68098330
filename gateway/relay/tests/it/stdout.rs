//! Lines on standard output, for everything that has no sink of its own.

use std::process::Stdio;

use testkit::Signal;

use crate::ledger::journal;
use crate::stage::{FEED_TOKEN, Stage, command, load};

#[tokio::test]
async fn lines_are_those_of_the_journal_from_the_cursor_on() {
    let stage = Stage::set().await;
    load(&stage.gateway, 0..10).await;
    let lines = journal(&stage.gateway).await;
    let mut relay = stage.relay(&["--stdout", "--until-caught-up"]).start();
    relay.ends(0).await;
    let printed = relay.lines();
    assert_eq!(printed, lines);
    let from = lines[3]["cursor"].as_str().unwrap();
    let mut relay = stage.relay(&["--stdout", "--until-caught-up", "--from", from]).start();
    relay.ends(0).await;
    let printed = relay.lines();
    assert_eq!(printed, lines[4..]);
}

#[tokio::test]
async fn a_filter_lets_a_change_pass_by_what_its_reservation_is_then() {
    let stage = Stage::set().await;
    load(&stage.gateway, 0..24).await;
    let lines = journal(&stage.gateway).await;
    let expected: Vec<_> = lines
        .iter()
        .filter(|line| line["state"] == "confirmed" && line["model"] == "white")
        .cloned()
        .collect();
    let options = ["--stdout", "--until-caught-up", "--state", "confirmed", "--item", "model:white"];
    let mut relay = stage.relay(&options).start();
    relay.ends(0).await;
    let printed = relay.lines();
    assert!(!expected.is_empty());
    assert_eq!(printed, expected);
    // The one that is confirmed is cancelled, and does not come: it is not asked for.
    let id = expected[0]["reservation"].as_str().unwrap();
    let token = stage.gateway.service_token();
    let body = serde_json::json!({});
    let cancelled = stage.gateway.call(testkit::Method::POST, token, id, "/cancel", &body).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    let last = lines.last().unwrap()["cursor"].as_str().unwrap();
    let mut relay = stage.relay(&[&options[..], &["--from", last]].concat()).start();
    relay.ends(0).await;
    assert_eq!(relay.lines().len(), 0);
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_it_without_a_failure_and_so_does_a_signal() {
    let stage = Stage::set().await;
    load(&stage.gateway, 0..10).await;
    let token = stage.file("feed", FEED_TOKEN);
    let mut command = command();
    command.args(["small", "--from-ops", &stage.gateway.ops_url, "--stdout"]).arg("--token-file").arg(token);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let mut relay = stage.relay(&["--stdout"]).start();
    let expected = journal(&stage.gateway).await.len();
    testkit::eventually("all is printed", || async { (relay.lines().len() == expected).then_some(()) }).await;
    relay.program.signal(Signal::TERM);
    relay.ends(0).await;
}
