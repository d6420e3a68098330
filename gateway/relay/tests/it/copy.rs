//! The copy in PostgreSQL when nothing fails.

use std::time::Instant;

use testkit::copy::compare;
use testkit::postgres::Postgres;
use testkit::tls::Certificate;

use crate::ledger::is_copied;
use crate::stage::{Stage, load};

#[tokio::test]
async fn a_launch_is_copied_row_by_row() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    let url = postgres.database("orders");
    load(&stage.gateway, 0..40).await;
    stage.relay(&["--postgres", &url, "--until-caught-up"]).start().ends(0).await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    // It goes on where it stopped, while buyers reserve.
    let mut relay = stage.relay(&["--postgres", &url]).start();
    load(&stage.gateway, 40..120).await;
    stage.gateway.action("pause", &serde_json::json!({"reason": "a test's"})).await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    relay.program.signal(testkit::Signal::TERM);
    relay.ends(0).await;
}

#[tokio::test]
async fn thousands_of_changes_arrive_once_each() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    let url = postgres.database("orders");
    load(&stage.gateway, 0..2_500).await;
    let start = Instant::now();
    stage.relay(&["--postgres", &url, "--until-caught-up"]).start().ends(0).await;
    let took = start.elapsed();
    is_copied(&stage.gateway, &postgres, "orders").await;
    let count: u64 = postgres.sql("orders", "SELECT count(*) FROM changes").trim().parse().unwrap();
    assert!(count > 4_000, "{count}");
    // For a person who looks at the figure; a busy machine must not fail this.
    testkit::print_line(&format!("{count} changes in {took:?}"));
}

#[tokio::test]
async fn the_comparison_finds_every_kind_of_difference() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    let url = postgres.database("orders");
    load(&stage.gateway, 0..8).await;
    stage.relay(&["--postgres", &url, "--until-caught-up"]).start().ends(0).await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    let newest = "(SELECT max(sequence) FROM changes)";
    let damages = [
        ("UPDATE reservations SET total = total + 1 WHERE number = 3", "reservation"),
        ("DELETE FROM reservations WHERE number = 3", "number of reservations"),
        ("UPDATE changes SET kind = 'cancel' WHERE sequence = 2", "columns"),
        ("UPDATE changes SET at = at + interval '1 s' WHERE sequence = 2", "time"),
        ("UPDATE changes SET line = line || '{\"buyer\": \"another\"}' WHERE sequence = 2", "line"),
        (&format!("DELETE FROM changes WHERE sequence = {newest}"), "number of changes"),
        (
            &format!(
                "INSERT INTO changes SELECT sale, sequence + 1, place, generation, kind, at, reservation, cursor, line
                 FROM changes WHERE sequence = {newest}"
            ),
            "number of changes",
        ),
    ];
    for (damage, word) in damages {
        // A copy of the copy, which stays whole.
        postgres.sql("postgres", "CREATE DATABASE damaged TEMPLATE orders");
        postgres.sql("damaged", damage);
        let found = compare(&stage.gateway, &postgres, "damaged", "small").await;
        let text = found.expect_err(damage).to_string();
        assert!(text.contains(word), "{damage}: {text}");
        postgres.sql("postgres", "DROP DATABASE damaged");
    }
}

#[tokio::test]
async fn a_schema_of_the_users_choice_holds_the_copy() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    let url = postgres.database("shop");
    postgres.sql("shop", "CREATE SCHEMA launchgate; CREATE TABLE reservations (theirs int)");
    load(&stage.gateway, 0..4).await;
    let log = stage.relay(&["--postgres", &url, "--until-caught-up"]).start().ends(2).await;
    assert!(log.contains("already exists") && log.contains("CREATE SCHEMA launchgate"), "{log}");
    let own = format!("{url}&options=-csearch_path%3Dlaunchgate");
    stage.relay(&["--postgres", &own, "--until-caught-up"]).start().ends(0).await;
    let count = postgres.sql("shop", "SELECT count(*) FROM launchgate.reservations");
    assert_eq!(count.trim(), "4");
    assert_eq!(postgres.sql("shop", "SELECT count(*) FROM public.reservations").trim(), "0");
}

#[tokio::test]
async fn a_database_in_tls_is_asked_for_its_certificate_and_given_the_password() {
    let stage = Stage::set().await;
    let (certificate, _) = Certificate::new();
    let postgres = Postgres::start_in_tls(&certificate);
    postgres.database("orders");
    postgres.sql("orders", "ALTER ROLE postgres PASSWORD 'a secret'");
    load(&stage.gateway, 0..4).await;
    let url = postgres.tls_url("orders");
    let file = |name: &str, text: &str| stage.file(name, text).display().to_string();
    let (password, wrong) = (file("password", "a secret\n"), file("wrong", "another\n"));
    let ca = certificate.cert().display().to_string();
    let given = ["--postgres", &url, "--until-caught-up", "--postgres-password-file"];
    let log = stage.relay(&[&given[..], &[&wrong, "--ca-file", &ca]].concat()).start().ends(2).await;
    assert!(log.contains("password authentication failed") && !log.contains("another"), "{log}");
    let mut untrusting = stage.relay(&[&given[..], &[&password]].concat()).start();
    untrusting.logs("invalid peer certificate").await;
    untrusting.program.signal(testkit::Signal::TERM);
    untrusting.ends(0).await;
    stage.relay(&[&given[..], &[&password, "--ca-file", &ca]].concat()).start().ends(0).await;
    is_copied(&stage.gateway, &postgres, "orders").await;
}

#[tokio::test]
async fn the_printed_schema_is_what_a_relay_without_such_rights_needs() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    postgres.database("orders");
    let schema = crate::stage::run(&["--print-schema"]);
    assert_eq!(schema.code, 0, "{schema:?}");
    let rights = "CREATE ROLE writer LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer";
    postgres.sql("orders", &format!("{}; {rights}", schema.out));
    load(&stage.gateway, 0..4).await;
    let url = postgres.url("orders").replace("postgres@", "writer@");
    stage.relay(&["--postgres", &url, "--until-caught-up"]).start().ends(0).await;
    is_copied(&stage.gateway, &postgres, "orders").await;
}
