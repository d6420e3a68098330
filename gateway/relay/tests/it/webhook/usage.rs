//! The command line of webhooks: clear errors, and `relay parked` and `relay retry` beside a relay that runs.

use relay::sink::Sink;
use serde_json::{Value, json};
use testkit::eventually;

use super::receiver::Reaction;
use super::stage::Stage;
use crate::stage::run;

/// What every delivery needs besides its sink.
const FEED: [&str; 5] = ["small", "--from-ops", "http://127.0.0.1:1", "--token-file", "/dev/null"];

#[test]
fn options_that_cannot_work_are_refused() {
    let webhook =
        ["--webhook", "http://127.0.0.1:1/", "--webhook-secret-file", "/none", "--state-dir", "/tmp/none"];
    let cases: [(&[&str], &str); 5] = [
        (&webhook[..2], "--webhook-secret-file"),
        (&[&webhook[..], &["--webhook-concurrency", "1"]].concat(), "--webhook-concurrency must be 2 to 256"),
        (&["--stdout", "--state-dir", "/tmp/none"], "--webhook"),
        (&["--stdout", "--webhook-plain-http"], "--webhook"),
        (&[&webhook[..], &["--stdout"]].concat(), "--stdout"),
    ];
    for (options, expected) in cases {
        let ended = run(&[&FEED, options].concat());
        assert_eq!(ended.code, 2, "{options:?}: {ended:?}");
        assert!(ended.err.contains(expected), "{options:?}: {ended:?}");
    }
    let cases: [(&[&str], &str); 4] = [
        (&["parked"], "--state-dir"),
        (&["parked", "--state-dir", "/none"], "there is no outbox"),
        (&["retry", "--state-dir", "/none"], "--all|--reservation <ID>|WEBHOOK-ID"),
        (&["retry", "--state-dir", "/none", "--all", "car/1/1/x"], "cannot be used with"),
    ];
    for (args, expected) in cases {
        let ended = run(args);
        assert_eq!(ended.code, 2, "{args:?}: {ended:?}");
        assert!(ended.err.contains(expected), "{args:?}: {ended:?}");
    }
}

#[tokio::test]
async fn an_operator_lists_and_releases_while_the_relay_runs() {
    let mut stage = Stage::set().await;
    stage.receiver.react(|arrival| {
        if arrival.reservation() == "good" { Reaction::Answer(200) } else { Reaction::Answer(503) }
    });
    stage.deliver(["a", "b", "good", "a"]).await;
    assert_eq!(stage.rest().await.waiting, 3);
    let state = stage.state_dir().display().to_string();
    let command = async |args: &[&str]| {
        let args: Vec<String> =
            args.iter().chain(&["--state-dir", &state]).map(ToString::to_string).collect();
        tokio::task::spawn_blocking(move || run(&args.iter().map(String::as_str).collect::<Vec<_>>()))
            .await
            .unwrap()
    };
    let listed = command(&["parked"]).await;
    let lines: Vec<Value> = listed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let webhooks: Vec<_> =
        lines.iter().map(|line| (&line["webhook"], &line["waiting"], &line["dead"])).collect();
    assert_eq!(
        webhooks,
        [(&json!("car/1/1/x"), &json!(2), &json!(false)), (&json!("car/2/1/x"), &json!(1), &json!(false))]
    );
    assert_eq!(lines[0]["error"], "503 Service Unavailable: taken");

    let refused = command(&["retry", "--reservation", "good", "--reservation", "b"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.err.contains("not parked: reservation good;") && refused.err.contains("Released: 1"),
        "{refused:?}"
    );
    eventually("b is sent again", async || (stage.receiver.times("car/2/1/x") == 2).then_some(())).await;
    stage.receiver.react(|_| Reaction::Answer(200));
    let released = command(&["retry", "car/1/1/x"]).await;
    assert_eq!((released.code, &*released.out), (0, "{\"released\":1}\n"), "{released:?}");
    // The clock does not move: nothing else makes them due.
    stage.until("a is delivered", |rest| rest.waiting <= 1).await;
    command(&["retry", "--all"]).await;
    stage.webhooks().settle().await.unwrap();
    assert_eq!(stage.receiver.order()["a"], ["car/1/1/x", "car/4/1/x"]);
    assert_eq!(command(&["parked"]).await.out, "");
}
