//! Of several relays with one name, one delivers.

use serde_json::Value;
use testkit::postgres::Postgres;
use testkit::{Signal, eventually};

use crate::ledger::is_copied;
use crate::stage::{Stage, load};

#[tokio::test]
async fn one_of_two_delivers_and_the_other_takes_over() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    let url = postgres.database("orders");
    let mut first = stage.relay(&["--postgres", &url]).start();
    first.logs("delivering small to postgres").await;
    let mut second = stage.relay(&["--postgres", &url]).start();
    second.logs("waiting for its lease").await;
    load(&stage.gateway, 0..10).await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    first.program.kill();
    load(&stage.gateway, 10..20).await;
    second.logs("delivering small to postgres").await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    let fence = |stage: &Stage| stage.redis.run::<String>("HGET lg:{small}:readers postgres");
    assert!(!fence(&stage).is_empty());

    // A relay that ends gives its lease back: the next one need not wait for the end of it.
    second.program.signal(Signal::TERM);
    second.ends(0).await;
    stage.relay(&["--postgres", &url, "--until-caught-up"]).start().ends(0).await;
}

#[tokio::test]
async fn a_relay_that_was_stopped_for_longer_than_its_lease_delivers_nothing_more_by_it() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    let url = postgres.database("orders");
    let address = testkit::files::local_address();
    let first = stage.relay(&["--postgres", &url, "--metrics-listen", &address.to_string()]).start();
    first.logs("delivering small to postgres").await;
    first.program.stop().unwrap();
    let second = stage.relay(&["--postgres", &url]).start();
    second.logs("delivering small to postgres").await;
    load(&stage.gateway, 0..10).await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    first.program.signal(Signal::CONT);
    first.logs("the lease is lost").await;
    load(&stage.gateway, 10..20).await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    let metrics = testkit::gateway::client().get(format!("http://{address}/metrics")).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let labels = r#"{sale="small",reader="postgres""#;
    for line in
        [format!(r#"failures_total{labels},cause="lease-lost"}} 1"#), format!("lease_held{labels}}} 0")]
    {
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn a_fence_that_is_outdated_is_refused_by_the_copy() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    let url = postgres.database("orders");
    load(&stage.gateway, 0..5).await;
    let mut relay = stage.relay(&["--postgres", &url]).start();
    is_copied(&stage.gateway, &postgres, "orders").await;
    postgres.sql("orders", "UPDATE cursor SET fence = 9000000000000000000");
    let before = postgres.sql("orders", "SELECT count(*) FROM changes");
    load(&stage.gateway, 5..6).await;
    let log = relay.ends(3).await;
    assert!(log.contains("another relay took over"), "{log}");
    assert_eq!(postgres.sql("orders", "SELECT count(*) FROM changes"), before);
}

#[tokio::test]
async fn readers_with_other_names_do_not_wait_for_each_other_and_the_metrics_name_both() {
    let stage = Stage::set().await;
    let address = testkit::files::local_address();
    load(&stage.gateway, 0..5).await;
    let first = stage.relay(&["--stdout", "--metrics-listen", &address.to_string()]).start();
    let second = stage.relay(&["--stdout", "--name", "kafka"]).start();
    for relay in [&first, &second] {
        eventually("it prints", || async { (relay.lines().len() > 5).then_some(()) }).await;
    }
    let http = testkit::gateway::client();
    let url = format!("http://{address}/metrics");
    eventually("it has caught up", || async {
        let text = http.get(&url).send().await.ok()?.text().await.ok()?;
        let labels = r#"{sale="small",reader="stdout"}"#;
        let delivered = format!("launchgate_relay_delivered_total{labels} {}", first.lines().len());
        let has = [
            &*delivered,
            &format!("launchgate_relay_lease_held{labels} 1"),
            &format!("launchgate_relay_lag_changes{labels} 0"),
        ]
        .iter()
        .all(|line| text.contains(*line));
        has.then_some(())
    })
    .await;
    let readers: Vec<Value> =
        stage.redis.run::<Vec<String>>("HKEYS lg:{small}:readers").into_iter().map(Value::from).collect();
    assert!(readers.contains(&"kafka".into()) && readers.contains(&"stdout".into()), "{readers:?}");
}
