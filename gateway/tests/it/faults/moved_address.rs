//! Tests an address that leads to another Redis, like a name after a failover: gateways follow
//! without a restart and lose nothing acknowledged.

use testkit::definition::{known, open, small, white};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::link::Link;
use testkit::redis::Redis;

use crate::faults::callers::{far, stock};
use crate::launch::spike::{Spike, changes, ready, wins};
use crate::recovery::failover::alarm;

/// A primary and a replica in step with it, each with its port.
async fn pair(options: &[&str]) -> ((Redis, u16), (Redis, u16)) {
    let (primary, port) = Redis::at_a_port_with(None, options);
    let replica = Redis::at_a_port_with(Some(port), options);
    eventually("the replica is in step", || async {
        primary.run::<String>("INFO replication").contains("state=online").then_some(())
    })
    .await;
    ((primary, port), replica)
}

/// Waits until a replica has so much of the sale.
async fn has(replica: &Redis, part: &str, at_least: usize) {
    eventually("the replica has it", || async {
        (replica.run::<usize>(&format!("HLEN lg:{{small}}:{part}")) >= at_least).then_some(())
    })
    .await;
}

async fn reason(gateway: &Gateway, words: &str) {
    eventually(words, || async {
        let reply = gateway.ops_get("/readyz").await;
        (reply.status == 503 && reply.text.contains(words)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_to_a_promoted_replica_is_followed_in_mid_spike() {
    let ((former, _), (next, port)) = pair(&[]).await;
    let name = Link::to(&former);
    let (one, two) = (Gateway::start_at(name.url(), &[]).await, Gateway::start_at(name.url(), &[]).await);
    open(&one, &stock(200)).await;
    known(&two, "small").await;
    // What defines a sale is not replayed.
    has(&next, "state", 1).await;

    let spike = Spike::start(&[&one, &two], "b", 300, &far());
    spike.won(40).await;
    next.run::<()>("REPLICAOF NO ONE");
    name.lead_to(&next);
    // All connections that are open stay, and lead to what is a replica from now on.
    former.run::<()>(&format!("REPLICAOF 127.0.0.1 {port}"));
    let outcome = spike.end().await;
    ready(&one, true).await;
    ready(&two, true).await;

    assert_eq!((outcome.winners.len(), outcome.refused.len()), (200, 100));
    outcome.reconcile(&one).await;
    outcome.reconcile(&two).await;
    assert_eq!(changes(&two, "adopt").await, 1);
    assert_eq!(next.run::<String>("HGET lg:{small}:state epoch"), next.info("run_id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_primary_that_still_takes_writes_is_left_as_well() {
    let ((former, _), (next, _)) = pair(&[]).await;
    let name = Link::to(&former);
    let gateway = Gateway::start_at(name.url(), &[]).await;
    open(&gateway, &small()).await;
    let alice = gateway.reserve("alice", "k1", &white()).await;
    assert_eq!(alice.status, 201, "{}", alice.text);
    has(&next, "records", 1).await;
    next.run::<()>("REPLICAOF NO ONE");
    name.lead_to(&next);
    eventually("the ledger of the new one is the sale's", || async {
        let owner: Option<String> = next.run("HGET lg:{small}:state epoch");
        (owner == Some(next.info("run_id"))).then_some(())
    })
    .await;
    let bob = wins(&gateway, "bob", "k1", &white()).await;
    assert_eq!(bob.json["number"].as_u64(), Some(2), "{}", bob.text);
    let again = gateway.reserve("alice", "k1", &white()).await;
    assert_eq!((again.status, again.id()), (200, alice.id()));
    assert_eq!(next.run::<usize>("HLEN lg:{small}:records"), 2);
    eventually("what bob has is read from there", || async {
        let page = gateway.ops_get("/admin/v1/sales/small").await.json;
        (page["reservations"]["held"] == 2).then_some(())
    })
    .await;
    assert_eq!(gateway.audit().await["verdict"], "balanced");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_left_until_the_name_leads_to_a_primary() {
    let ((primary, port), (replica, _)) = pair(&[]).await;
    // At first the name leads to the replica.
    let name = Link::to(&replica);
    let gateway = Gateway::spawn_at(name.url(), &[]);
    reason(&gateway, &format!("is a replica of 127.0.0.1:{port}")).await;
    reason(&gateway, "The gateway leaves it and connects again until a primary answers").await;
    name.lead_to(&primary);
    ready(&gateway, true).await;
    open(&gateway, &small()).await;
    assert_eq!(gateway.reserve("alice", "k1", &white()).await.status, 201);
    has(&replica, "records", 1).await;

    // The primary is demoted, and its replica with it promoted, before the name leads there.
    replica.run::<()>("REPLICAOF NO ONE");
    let (other, other_port) = Redis::at_a_port(None);
    primary.run::<()>(&format!("REPLICAOF 127.0.0.1 {other_port}"));
    reason(&gateway, &format!("is a replica of 127.0.0.1:{other_port}")).await;
    let tap = gateway.reserve("bob", "k1", &white()).await;
    assert_eq!(tap.status, 503, "{}", tap.text);
    name.lead_to(&replica);
    ready(&gateway, true).await;
    let bob = wins(&gateway, "bob", "k1", &white()).await;
    // The first answer may have been lost with a connection: 200 then.
    assert_eq!(bob.json["number"].as_u64(), Some(2), "{}", bob.text);
    // Operators' calls, too, go to the new one.
    assert_eq!(gateway.action("pause", &serde_json::json!({})).await.status, 200);
    assert_eq!(gateway.audit().await["verdict"], "balanced");
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_fsync_a_promoted_replica_is_not_taken_for_the_redis_that_synced() {
    let ((former, _), (next, port)) = pair(&[]).await;
    let name = Link::to(&former);
    let options = ["--durability", "fsync"];
    let stays = Gateway::start_at(name.url(), &options).await;
    let mut gone = Gateway::start_at(name.url(), &options).await;
    open(&stays, &small()).await;
    known(&gone, "small").await;
    eventually("both are members", || async {
        let metrics = stays.ops_get("/metrics").await.text;
        metrics.contains("launchgate_fleet_gateways 2").then_some(())
    })
    .await;
    assert_eq!(gone.reserve("early", "k1", &white()).await.status, 201);
    has(&next, "records", 1).await;
    gone.kill();
    next.run::<()>("REPLICAOF NO ONE");
    name.lead_to(&next);
    former.run::<()>(&format!("REPLICAOF 127.0.0.1 {port}"));
    // Longer than a gateway counts as live: recovery would not wait for it if files could have its
    // acknowledged changes.
    eventually("it counts as gone", || async {
        let metrics = stays.ops_get("/metrics").await.text;
        metrics.contains("launchgate_fleet_gateways 1").then_some(())
    })
    .await;
    let text = alarm(&next, "sale release small").await;
    let (_, rest) = text.split_once("sale release small ").unwrap();
    let id: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    assert_eq!(
        next.run::<String>("HGET lg:{small}:state epoch").trim_start_matches('!'),
        former.info("run_id")
    );
    let released = testkit::cli::run(&[
        "sale",
        "release",
        "small",
        &id,
        "--redis",
        &next.url(),
        "--reason",
        "test",
        "--confirm",
        "small",
    ]);
    assert_eq!(released.code, 0, "{released:?}");
    wins(&stays, "alice", "k1", &white()).await;
}
