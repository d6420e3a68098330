//! The copy when something dies in mid load: it equals the ledger afterwards, row by row.

use testkit::gateway::Client;
use testkit::postgres::Postgres;

use crate::ledger::is_copied;
use crate::stage::{Relay, Stage, load};

/// The load goes on until the faults are over, so that each hits a relay at work.
async fn with_load(gateway: &Client, faults: impl Future<Output = ()>) {
    tokio::pin!(faults);
    let mut buyers = 0;
    loop {
        tokio::select! {
            () = load(gateway, buyers..buyers + 40) => buyers += 40,
            () = &mut faults => break,
        }
    }
    // Those that were interrupted, too: a retry finds its reservation.
    load(gateway, buyers..buyers + 40).await;
}

/// Waits until the copy has grown.
async fn grows(postgres: &Postgres) {
    let count = || {
        let count = postgres.try_sql("orders", "SELECT count(*) FROM changes").ok();
        count.and_then(|count| count.trim().parse::<u64>().ok())
    };
    let before = count().unwrap_or(0);
    testkit::eventually("the copy grows", || async { count().filter(|count| *count > before) }).await;
}

fn start(stage: &Stage, postgres: &Postgres) -> Relay {
    stage.relay(&["--postgres", &postgres.database("orders")]).start()
}

#[tokio::test]
async fn a_relay_that_is_killed_again_and_again_neither_skips_nor_doubles() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    let mut relay = start(&stage, &postgres);
    with_load(&stage.gateway, async {
        for _ in 0..6 {
            grows(&postgres).await;
            relay.program.kill();
            relay.program.spawn().unwrap();
        }
    })
    .await;
    is_copied(&stage.gateway, &postgres, "orders").await;
}

#[tokio::test]
async fn a_database_that_crashes_is_waited_for() {
    let stage = Stage::set().await;
    let mut postgres = Postgres::start();
    let relay = start(&stage, &postgres);
    with_load(&stage.gateway, async {
        for _ in 0..3 {
            grows(&postgres).await;
            postgres.kill();
            postgres.start_again().unwrap();
        }
    })
    .await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    relay.logs("sink: works again").await;
}

#[tokio::test]
async fn a_gateway_that_restarts_is_waited_for() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    let mut feeding = stage.another_gateway().await;
    let _relay = stage.relay_from(&feeding, &["--postgres", &postgres.database("orders")]).start();
    with_load(&stage.gateway, async {
        for _ in 0..2 {
            grows(&postgres).await;
            feeding.kill();
            feeding.start_again().unwrap();
        }
        grows(&postgres).await;
    })
    .await;
    is_copied(&stage.gateway, &postgres, "orders").await;
}

#[tokio::test]
async fn a_redis_that_crashes_without_a_loss_loses_nothing_here_either() {
    let mut stage = Stage::set().await;
    let postgres = Postgres::start();
    let relay = start(&stage, &postgres);
    let Stage { gateway, redis, .. } = &mut stage;
    with_load(gateway, async {
        for _ in 0..2 {
            grows(&postgres).await;
            redis.kill();
            redis.start_again().unwrap();
        }
        grows(&postgres).await;
    })
    .await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    assert_eq!(postgres.sql("orders", "SELECT generation FROM cursor").trim(), "0", "{}", relay.log());
}
