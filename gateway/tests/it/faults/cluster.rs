//! Tests ledgers on a Redis Cluster: sales on several masters, a moved slot, a lost master.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::cli::{Ended, run};
use testkit::cluster::{Cluster, slot_of_sale};
use testkit::definition::{known, open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply, send};
use testkit::redis::Redis;
use testkit::tls::Certificate;

use crate::faults::callers::{far, stock};
use crate::launch::spike::{Spike, balanced, changes, fault, ready, reserve_until_answered};
use crate::operations::doctor::DoctorFixture;

/// The sale `small`, by another name.
fn named(sale: &str) -> Value {
    with(small(), "/sale/id", json!(sale))
}

async fn tap(gateway: &Gateway, sale: &str, sub: &str) -> Reply {
    send(gateway.tap_at(sale, sub, "k1", &white())).await
}

/// Retries a tap until it is decided: on a busy machine replicas may exceed the gateway's wait.
async fn decided(gateway: &Gateway, sale: &str, sub: &str) -> Reply {
    eventually("the tap is decided", || async {
        Some(tap(gateway, sale, sub).await).filter(|reply| reply.status != 503)
    })
    .await
}

/// A command, which must end well.
fn done(cluster: &Cluster, args: &[&str]) -> Ended {
    let ended = run(&[args, &["--redis", &cluster.url]].concat());
    assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sales_at_three_masters_are_served_by_one_gateway_and_by_every_command() {
    let cluster = Cluster::start_with(&["--maxmemory", "256mb"]).await;
    let gateway = Gateway::start_at(&cluster.url, &["--durability", "replicas=1"]).await;
    let other = Gateway::start_at(&cluster.url, &[]).await;
    let sales = cluster.sales();
    for sale in &sales {
        open(&gateway, &named(sale)).await;
        known(&other, sale).await;
        let reply = tap(&gateway, sale, "alice").await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        let path = format!("/v1/sales/{sale}/reservations/{}", reply.id());
        assert_eq!(other.get_as("alice", &path).await.json["state"], "held");
        let again = tap(&other, sale, "alice").await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (200, "true"));
        let pause = format!("/admin/v1/sales/{sale}/pause");
        assert_eq!(gateway.ops(Method::POST, &pause, &json!({})).await.status, 200);
        // Its public counts come from the journal of its own master.
        eventually("the other gateway has read it", || async {
            let page = other.get(&format!("/v1/sales/{sale}")).await;
            (page.json["phase"] == "paused").then_some(())
        })
        .await;
    }
    for (n, sale) in sales.iter().enumerate() {
        for master in 0..3 {
            let here: u64 = cluster.ask(master, &format!("CLUSTER COUNTKEYSINSLOT {}", slot_of_sale(sale)));
            assert_eq!(here > 0, n == master, "{sale} at {master}");
        }
    }
    // All of them are on the live page.
    eventually("the page has all sales", || async {
        let live = gateway.ops_get("/admin/v1/live?frames=1").await.text;
        sales.iter().all(|sale| live.contains(&format!("\"{sale}\""))).then_some(())
    })
    .await;
    // Beside the sales.
    let limits = json!({"buyer": "7:9", "reason": "quieter"});
    assert_eq!(gateway.ops(Method::PATCH, "/admin/v1/limits", &limits).await.status, 200);
    let log = done(&cluster, &["limits", "log"]).lines();
    assert_eq!(log[0]["changes"][0]["set"], "7:9");
    eventually("both gateways are members", || async {
        let shown = done(&cluster, &["limits", "show", "--json"]).json();
        (shown["gateways"].as_object()?.len() == 2).then_some(())
    })
    .await;
    let listed = done(&cluster, &["sale", "list"]).out;
    assert!(sales.iter().all(|sale| listed.contains(sale)), "{listed}");
    for sale in &sales {
        assert_eq!(done(&cluster, &["audit", sale, "--json"]).json()["verdict"], "balanced");
        let kinds: Vec<Value> = done(&cluster, &["journal", sale]).lines();
        assert!(kinds.iter().any(|line| line["kind"] == "reserve"), "{kinds:?}");
        done(&cluster, &["sale", "resume", sale, "--confirm", sale, "--reason", "go on"]);
    }
    let doctor = DoctorFixture::at(&cluster.url);
    let output = doctor.examine(&["--sale", &sales[0], "--sale", &sales[1], "--gateways", "2"]);
    for n in 0..3 {
        let area = format!("redis {}", cluster.address(n));
        for check in ["version", "role", "durability", "eviction", "scripts", "alone", "replicas"] {
            assert_eq!(output.verdicts(&area, check), ["ok"], "{area} {check}: {output:#?}");
        }
    }
    ready(&gateway, true).await;
}

#[tokio::test]
async fn a_sale_is_exported_from_a_cluster_purged_there_and_imported_again() {
    let cluster = Cluster::start().await;
    let gateway = Gateway::start_at(&cluster.url, &[]).await;
    let sale = &cluster.sales()[2];
    open(&gateway, &named(sale)).await;
    let alice = tap(&gateway, sale, "alice").await;
    let path = format!("/v1/sales/{sale}/reservations/{}/cancel", alice.id());
    let cancel = gateway.request(Method::POST, &path).bearer_auth(testkit::gateway::token("alice"));
    assert_eq!(send(cancel).await.status, 200);
    let close = format!("/admin/v1/sales/{sale}/close");
    assert_eq!(gateway.ops(Method::POST, &close, &json!({})).await.status, 200);
    let file = cluster.nodes[0].files().join("export.jsonl");
    let path = file.to_str().unwrap();
    done(&cluster, &["sale", "export", sale, path]);
    let before = done(&cluster, &["audit", sale, "--json"]).json();
    done(&cluster, &["sale", "purge", sale, "--export", path, "--confirm", sale, "--reason", "over"]);
    eventually("the gateway forgets it", || async {
        (gateway.get(&format!("/v1/sales/{sale}")).await.status == 404).then_some(())
    })
    .await;
    done(&cluster, &["sale", "import", path]);
    assert_eq!(done(&cluster, &["audit", sale, "--json"]).json(), before);
    known(&gateway, sale).await;
    assert_eq!(tap(&gateway, sale, "bob").await.problem(), "sale-closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_in_mid_spike_sheds_and_loses_nothing() {
    let cluster = Cluster::start().await;
    let options = ["--durability", "replicas=1"];
    let one = Gateway::start_at(&cluster.url, &options).await;
    let two = Gateway::start_at(&cluster.url, &options).await;
    open(&one, &stock(200)).await;
    known(&two, "small").await;
    let (slot, from) = (slot_of_sale("small"), cluster.first_master_of("small"));
    let to = (from + 1) % 3;
    let other = &cluster.sales()[to];
    open(&one, &named(other)).await;

    let spike = Spike::start(&[&one, &two], "b", 300, &far());
    spike.won(40).await;
    cluster.begin_move(slot, from, to);
    // Key by key, each seen to be missed.
    while cluster.move_keys(slot, from, to, 1) > 0 {
        spike.put_off(20).await;
        assert_eq!(decided(&one, other, "alice").await.status / 100, 2, "its neighbour goes on");
    }
    spike.put_off(20).await;
    cluster.end_move(slot, from, to);
    let outcome = spike.end().await;

    assert_eq!((outcome.winners.len(), outcome.refused.len()), (200, 100));
    assert!(outcome.put_off["temporary-reduced-capacity"] >= 100, "{:?}", outcome.put_off);
    outcome.reconcile(&one).await;
    assert_eq!(changes(&two, "adopt").await, 1);
    // And back, without taps.
    cluster.begin_move(slot, to, from);
    cluster.move_keys(slot, to, from, 100);
    cluster.end_move(slot, to, from);
    let after = reserve_until_answered(&two, "b-0", "the-one", &far()).await;
    assert!(after.status == 200 || after.problem() == "sold-out", "{}", after.text);
    eventually("the new epoch is adopted there", || async {
        (changes(&one, "adopt").await == 2).then_some(())
    })
    .await;
    balanced(&two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_lost_in_mid_spike_is_replaced_and_the_other_sales_go_on_meanwhile() {
    // Otherwise the whole cluster refuses commands until the lost slots are served again.
    let mut cluster = Cluster::start_with(&["--cluster-require-full-coverage", "no"]).await;
    let options = ["--durability", "replicas=1"];
    let one = Gateway::start_at(&cluster.url, &options).await;
    let two = Gateway::start_at(&cluster.url, &options).await;
    open(&one, &stock(200)).await;
    known(&two, "small").await;
    let lost = cluster.first_master_of("small");
    let other = &cluster.sales()[(lost + 1) % 3];
    open(&one, &named(other)).await;

    let spike = Spike::start(&[&one, &two], "b", 300, &far());
    spike.won(40).await;
    cluster.nodes[lost].kill();
    spike.put_off(20).await;
    assert_eq!(tap(&one, other, "alice").await.status, 201, "its neighbour goes on");
    eventually("its replica takes over", || async { cluster.is(lost + 3, "master").then_some(()) }).await;
    // The former master returns as the replica that every answer needs; no gateway uses it as a
    // master.
    cluster.nodes[lost].start_again().unwrap();
    let outcome = spike.end().await;
    assert!(cluster.is(lost, "slave"));
    ready(&one, true).await;
    ready(&two, true).await;
    assert_eq!((outcome.winners.len(), outcome.refused.len()), (200, 100));
    outcome.reconcile(&one).await;
    assert_eq!(changes(&two, "adopt").await, 1);
    assert_eq!(done(&cluster, &["audit", "small", "--json"]).json()["verdict"], "balanced");
    assert_eq!(reserve_until_answered(&one, "late", "k1", &far()).await.problem(), "sold-out");
    assert!(!fault(&one).await);
}

#[tokio::test]
async fn a_master_that_falls_short_of_what_is_promised_takes_readiness_and_is_named() {
    let cluster = Cluster::start().await;
    let gateway = Gateway::start_at(&cluster.url, &["--durability", "fsync"]).await;
    cluster.ask::<String>(1, "CONFIG SET appendfsync everysec");
    let why = ready(&gateway, false).await;
    assert!(why.contains(&cluster.address(1)) && why.contains("appendfsync"), "{why}");
    cluster.ask::<String>(1, "CONFIG SET appendfsync always");
    ready(&gateway, true).await;
    // A gap is one, too.
    cluster.ask::<String>(2, "CLUSTER DELSLOTS 16383");
    let why = ready(&gateway, false).await;
    assert!(why.contains("no master for 1 of 16384 slots"), "{why}");
    // The node that misses it serves nothing then.
    let there = &cluster.sales()[2];
    eventually("its sales are not served", || async {
        let audit = run(&["audit", there, "--redis", &cluster.url]);
        (audit.code == 3 && audit.err.contains("the cluster is down, or has no master")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_without_a_cluster_and_a_cluster_under_another_name_are_reported() {
    let cluster = Cluster::start().await;
    let (plain, port) = Redis::at_a_port(None);
    let absent = testkit::files::free_port();
    for (url, code, words) in [
        (format!("redis+cluster://127.0.0.1:{absent}"), 3, "can't reach Redis"),
        (format!("redis+cluster://127.0.0.1:{port}"), 3, "is not a node of a cluster"),
        (format!("redis://{}", cluster.address(0)), 3, "name it as redis+cluster://"),
        ("redis+cluster://".to_owned(), 2, "names no node"),
        (format!("{}/1", cluster.url), 2, "no databases"),
        ("keydb+cluster://127.0.0.1:1".to_owned(), 2, "redis+cluster://HOST:PORT"),
    ] {
        let ended = run(&["sale", "list", "--redis", &url]);
        assert_eq!(ended.code, code, "{url}: {ended:?}");
        assert!(ended.err.contains(words), "{url}: {ended:?}");
    }
    for (url, words) in [
        (format!("redis://{}", cluster.address(0)), "name it as redis+cluster://"),
        (format!("redis+cluster://127.0.0.1:{port}"), "is not a node of a cluster"),
    ] {
        let gateway = Gateway::spawn_at(&url, &[]);
        eventually("it gives the reason", || async {
            gateway.ops_get("/readyz").await.text.contains(words).then_some(())
        })
        .await;
    }
    drop(plain);
    // One that is away is passed over.
    let partly = cluster.url.replace("//", &format!("//127.0.0.1:{absent},"));
    assert_eq!(run(&["sale", "list", "--redis", &partly]).code, 0);
}

#[tokio::test]
async fn user_and_password_are_for_every_node() {
    let cluster = Cluster::start().await;
    for node in &cluster.nodes {
        node.run::<()>("ACL SETUSER gate on >p@ss ~lg:* ~{lg:* &* +@all");
    }
    let url = cluster.url.replace("//", "//gate:p%40ss@");
    let gateway = Gateway::start_at(&url, &["--durability", "replicas=1"]).await;
    for (n, sale) in cluster.sales().iter().enumerate() {
        open(&gateway, &named(sale)).await;
        assert!(decided(&gateway, sale, "alice").await.status < 300);
        let clients: String = cluster.ask(n, "CLIENT LIST");
        assert!(clients.contains("user=gate"), "{clients}");
    }
    let wrong = run(&["sale", "list", "--redis", &url.replace("p%40ss", "wrong-secret")]);
    assert_eq!(wrong.code, 3, "{wrong:?}");
    assert!(!wrong.err.contains("wrong-secret"), "{wrong:?}");
}

#[tokio::test]
async fn in_tls_every_node_is_trusted_by_its_issuer() {
    let certificate = Certificate::of_redis();
    let cluster = Cluster::start_in_tls(&certificate).await;
    for node in &cluster.nodes {
        node.run::<()>("ACL SETUSER gate on >p@ss ~lg:* ~{lg:* &* +@all");
    }
    let file = certificate.cert().display().to_string();
    let trusting = ["--redis-ca-file", &file];
    let url = cluster.url.replace("//", "//gate:p%40ss@");
    let gateway = Gateway::start_at(&url, &[&trusting[..], &["--durability", "replicas=1"]].concat()).await;
    for sale in &cluster.sales() {
        open(&gateway, &named(sale)).await;
        assert!(decided(&gateway, sale, "alice").await.status < 300);
        let audit = run(&[&["audit", sale, "--redis", &url], &trusting[..]].concat());
        assert_eq!(audit.code, 0, "{audit:?}");
    }
    let stranger = run(&["sale", "list", "--redis", &url]);
    assert_eq!(stranger.code, 3, "{stranger:?}");
    assert!(stranger.err.contains("certificate"), "{stranger:?}");
    let plain = url.replace("rediss", "redis");
    let misplaced = run(&[&["sale", "list", "--redis", &plain], &trusting[..]].concat());
    assert_eq!(misplaced.code, 2, "{misplaced:?}");
    let none = run(&["sale", "list", "--redis", &url, "--redis-ca-file", "/dev/null"]);
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.err.contains("--redis-ca-file"), "{none:?}");
}

#[tokio::test]
async fn every_node_is_shown_the_certificate_that_it_asks_for() {
    let certificate = Certificate::of_strict_redis();
    let cluster = Cluster::start_in_tls(&certificate).await;
    let (cert, key) = (certificate.cert().display().to_string(), certificate.key().display().to_string());
    let shown = ["--redis-ca-file", &cert, "--redis-cert-file", &cert, "--redis-key-file", &key];
    let gateway = Gateway::start_at(&cluster.url, &shown).await;
    for sale in &cluster.sales() {
        open(&gateway, &named(sale)).await;
        assert!(decided(&gateway, sale, "alice").await.status < 300);
    }
    let listed = run(&[&["sale", "list", "--redis", &cluster.url], &shown[..]].concat());
    assert_eq!(listed.code, 0, "{listed:?}");
    let refused = run(&[&["sale", "list", "--redis", &cluster.url], &shown[..2]].concat());
    assert_eq!(refused.code, 3, "{refused:?}");
}

#[tokio::test]
async fn a_cluster_without_the_endpoints_that_it_should_have_is_served_all_the_same() {
    let cluster = Cluster::start().await;
    for kind in ["hostname", "unknown-endpoint"] {
        for node in &cluster.nodes {
            node.run::<()>(&format!("CONFIG SET cluster-preferred-endpoint-type {kind}"));
        }
        let gateway = Gateway::start_at(&cluster.url, &[]).await;
        for sale in &cluster.sales() {
            open(&gateway, &named(sale)).await;
            assert_eq!(tap(&gateway, sale, kind).await.status, 201);
        }
        let listed = done(&cluster, &["sale", "list"]);
        assert_eq!(listed.out.lines().count(), 3, "{kind}: {listed:?}");
    }
}
