//! Wrong usage and missing counterparts: a clear error and its exit code, or patience.

use std::process::Stdio;

use serde_json::json;
use testkit::postgres::Postgres;
use testkit::{Method, Signal};

use crate::ledger::is_copied;
use crate::stage::{FEED_TOKEN, Stage, WATCH_TOKEN, command, load, run};

#[test]
fn a_relay_needs_a_sale_a_gateway_a_token_and_a_sink() {
    let ended = run(&[]);
    assert_eq!(ended.code, 2, "{ended:?}");
    for missing in ["SALE", "--from-ops", "--token-file", "--stdout"] {
        assert!(ended.err.contains(missing), "{missing}: {ended:?}");
    }
}

#[tokio::test]
async fn what_the_operator_must_set_right_ends_it_with_the_reason() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    let url = postgres.database("orders");
    let watch = stage.file("watch", WATCH_TOKEN).display().to_string();
    let unknown = stage.file("unknown", "an-ops-token-that-no-gateway-has").display().to_string();
    let (ops, known) = (&*stage.gateway.ops_url, stage.file("feed", FEED_TOKEN).display().to_string());
    let missing = url.replace("/orders", "/nowhere");
    let wrong: [(&[&str], &str); 7] = [
        (&["small", "--token-file", &unknown, "--stdout"], "does not know the token"),
        (&["small", "--token-file", &watch, "--stdout"], "needs the role `feed`"),
        (&["other", "--token-file", &known, "--stdout"], "the gateway has no sale other"),
        (&["small", "--token-file", &known, "--stdout", "--from", "7-0"], "the gateway refuses the request"),
        (&["small", "--token-file", &known, "--postgres", &missing], "\"nowhere\" does not exist"),
        (
            &["small", "--token-file", &known, "--postgres", "postgres://a:secret@h/d"],
            "--postgres-password-file",
        ),
        (
            &["small", "--token-file", &known, "--stdout", "--from", "later"],
            "--from: expected the `cursor` of a line",
        ),
    ];
    for (args, reason) in wrong {
        let ended = run(&[args, &["--from-ops", ops]].concat());
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains(reason) && !ended.err.contains("secret@"), "{reason}: {ended:?}");
    }
    let taken = run(&[
        "small",
        "--token-file",
        &known,
        "--stdout",
        "--from-ops",
        ops,
        "--metrics-listen",
        &stage.gateway.ops_address().to_string(),
    ]);
    assert_eq!(taken.code, 3, "{taken:?}");
}

#[tokio::test]
async fn a_copy_that_is_another_readers_or_newer_is_left_alone() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    let url = postgres.database("orders");
    load(&stage.gateway, 0..4).await;
    stage.relay(&["--postgres", &url, "--until-caught-up", "--name", "erp"]).start().ends(0).await;
    let log = stage.relay(&["--postgres", &url, "--until-caught-up"]).start().ends(2).await;
    assert!(log.contains("by the reader \"erp\""), "{log}");
    postgres.sql("orders", "INSERT INTO relay_schema (version) VALUES (1000)");
    let log = stage.relay(&["--postgres", &url, "--until-caught-up", "--name", "erp"]).start().ends(3).await;
    assert!(log.contains("version 1000"), "{log}");
}

#[tokio::test]
async fn a_database_and_a_gateway_that_are_not_there_yet_are_waited_for() {
    let stage = Stage::set().await;
    let mut postgres = Postgres::start();
    let url = postgres.database("orders");
    postgres.kill();
    load(&stage.gateway, 0..4).await;
    let relay = stage.relay(&["--postgres", &url]).start();
    relay.logs("PostgreSQL can't be reached").await;
    postgres.start_again().unwrap();
    is_copied(&stage.gateway, &postgres, "orders").await;

    // A gateway, too; and its public listener is not the one that is meant.
    let mut away = stage.another_gateway().await;
    away.kill();
    let relay = stage.relay_from(&away, &["--stdout"]).start();
    relay.logs("the gateway can't be reached").await;
    away.start_again().unwrap();
    relay.logs("gateway: works again").await;
    let token = stage.file("feed", FEED_TOKEN).display().to_string();
    let public = run(&["small", "--from-ops", &stage.gateway.url, "--token-file", &token, "--stdout"]);
    assert!(public.code == 2 && public.err.contains("expected the ops listener"), "{public:?}");
}

#[tokio::test]
async fn a_relay_that_is_started_while_its_sale_is_purged_waits_for_it() {
    let stage = Stage::set().await;
    let mut postgres = Postgres::start();
    let url = postgres.database("orders");
    load(&stage.gateway, 0..4).await;
    let from = crate::ledger::journal(&stage.gateway).await[3]["cursor"].as_str().unwrap().to_owned();
    stage.relay(&["--postgres", &url, "--until-caught-up"]).start().ends(0).await;
    crate::fork::purge(&stage).await;
    // A job at night must not wait for a sale that may be purged for good.
    let log = stage.relay(&["--postgres", &url, "--until-caught-up"]).start().ends(2).await;
    assert!(log.contains("the gateway has no sale small"), "{log}");
    // Whether the copy has the sale, is known only once the database answers.
    postgres.kill();
    let mut relay = stage.relay(&["--postgres", &url]).start();
    relay.logs("PostgreSQL can't be reached").await;
    assert!(!relay.log().contains("waiting until it is applied again"), "{}", relay.log());
    postgres.start_again().unwrap();
    relay.logs("waiting until it is applied again").await;
    // The cursor of --from is one of the sale, too; without one nothing shows that it was ever there.
    let mut printer = stage.relay(&["--stdout", "--from", &from]).start();
    printer.logs("waiting until it is applied again").await;
    let log = stage.relay(&["--stdout", "--name", "new"]).start().ends(2).await;
    assert!(log.contains("the gateway has no sale small"), "{log}");
    printer.program.signal(Signal::TERM);
    printer.ends(0).await;
    testkit::definition::open(&stage.gateway, &crate::stage::definition()).await;
    load(&stage.gateway, 100..103).await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    relay.program.signal(Signal::TERM);
    relay.ends(0).await;
}

#[tokio::test]
async fn a_sale_that_is_purged_is_waited_for() {
    let stage = Stage::set().await;
    load(&stage.gateway, 0..4).await;
    let relay = stage.relay(&["--stdout"]).start();
    testkit::eventually("all is printed", || async { (relay.lines().len() >= 5).then_some(()) }).await;
    crate::fork::purge(&stage).await;
    relay.logs("the sale small is not there any more").await;
    let reply = stage.gateway.ops(Method::PUT, "/admin/v1/sales/small", &crate::stage::definition()).await;
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
    relay.logs("the ledger lost changes").await;
    testkit::eventually("the new sale is printed", || async {
        let lines = relay.lines();
        let last = lines.last()?;
        (last["kind"] == "define" && lines.iter().any(|line| line["kind"] == "rescinded")).then_some(())
    })
    .await;
    assert_eq!(
        relay.lines().iter().filter(|line| line["kind"] == json!("rescinded")).count(),
        relay.lines().len() / 2
    );
    relay.program.signal(Signal::TERM);
}

#[test]
fn output_into_a_closed_pipe_is_quiet() {
    for args in [["--help"], ["--print-schema"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut relay = command();
        let relay = relay.args(args).stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
        let done = relay.spawn().unwrap().wait_with_output().unwrap();
        assert_eq!((done.status.code(), done.stderr), (Some(0), Vec::new()), "{args:?}");
    }
}
