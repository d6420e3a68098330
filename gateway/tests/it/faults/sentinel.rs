//! Tests a lost primary that sentinels replace by a replica.

use testkit::cli::run;
use testkit::definition::{known, open, small, white};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::redis::Redis;
use testkit::sentinel::Sentinels;
use testkit::tls::Certificate;

use crate::faults::callers::{far, stock};
use crate::launch::spike::{Spike, changes, ready, wins};

/// Asks for a failover; once the sentinels can do one.
fn fails_over(sentinels: &Sentinels) -> Option<()> {
    sentinels.nodes[0].ask("FAILOVER ledger")?.starts_with("+OK").then_some(())
}

/// Whether it is one by now. Sentinels cut connections off when they make it one, this one, too.
fn is_replica(redis: &Redis) -> bool {
    let asked = redis::Client::open(redis.url()).unwrap().get_connection();
    let answered = asked.and_then(|mut conn| redis::cmd("ROLE").query::<Vec<redis::Value>>(&mut conn));
    answered.is_ok_and(|role| matches!(&role[0], redis::Value::BulkString(word) if word == b"slave"))
}

/// A primary at a port, and two replicas of it.
async fn three() -> (Redis, [Redis; 2], u16) {
    three_with(&[]).await
}

/// With further options of the primary's.
async fn three_with(options: &[&str]) -> (Redis, [Redis; 2], u16) {
    let (primary, port) = Redis::at_a_port_with(None, options);
    let replicas = [(); 2].map(|()| Redis::at_a_port(Some(port)).0);
    in_step(&primary).await;
    (primary, replicas, port)
}

/// The same, in TLS and nothing else.
async fn three_in_tls(certificate: &Certificate) -> (Redis, [Redis; 2], u16) {
    let options = certificate.redis_options();
    let start = |of: &str| {
        let port = testkit::files::free_port();
        let (text, of) = (port.to_string(), of.split(' ').filter(|word| !word.is_empty()));
        let own = ["--tls-port", &text, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"];
        let all: Vec<&str> = own.into_iter().chain(options.iter().map(String::as_str)).chain(of).collect();
        (Redis::start_with(&all), port)
    };
    let (primary, port) = start("");
    let replicas = [(); 2].map(|()| start(&format!("--replicaof 127.0.0.1 {port}")).0);
    in_step(&primary).await;
    (primary, replicas, port)
}

async fn in_step(primary: &Redis) {
    eventually("both are in step", || async {
        let info: String = primary.run("INFO replication");
        (info.matches("state=online").count() == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_lost_in_mid_spike_is_replaced_and_nothing_that_a_replica_has_is_lost() {
    let (mut primary, _replicas, port) = three().await;
    let sentinels = Sentinels::of(port);
    let options = ["--durability", "replicas=1"];
    let one = Gateway::start_at(&sentinels.url, &options).await;
    let two = Gateway::start_at(&sentinels.url, &options).await;
    open(&one, &stock(200)).await;
    known(&two, "small").await;

    let spike = Spike::start(&[&one, &two], "b", 300, &far());
    spike.won(40).await;
    primary.kill();
    let outcome = spike.end().await;
    ready(&one, true).await;
    ready(&two, true).await;
    assert_eq!((outcome.winners.len(), outcome.refused.len()), (200, 100));
    assert!(!outcome.put_off.is_empty());
    outcome.reconcile(&one).await;
    assert_eq!(changes(&two, "adopt").await, 1);

    // The former primary returns as a replica; no gateway uses it as the primary.
    primary.start_again().unwrap();
    eventually("it follows the new one", || async { is_replica(&primary).then_some(()) }).await;
    let audit = run(&["audit", "small", "--redis", &sentinels.url]);
    assert_eq!(audit.code, 0, "{audit:?}");
}

#[tokio::test]
async fn a_failover_by_hand_is_followed_although_the_former_primary_still_answers() {
    let (primary, _replicas, port) = three().await;
    let sentinels = Sentinels::of(port);
    let gateway = Gateway::start_at(&sentinels.url, &["--durability", "replicas=1"]).await;
    open(&gateway, &small()).await;
    wins(&gateway, "alice", "k1", &white()).await;
    eventually("it begins", || async { fails_over(&sentinels) }).await;
    eventually("it follows", || async { is_replica(&primary).then_some(()) }).await;
    let bob = wins(&gateway, "bob", "k1", &white()).await;
    assert_eq!(bob.json["state"], "held");
    let again = gateway.reserve("alice", "k1", &white()).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, "true"));
    // Operator actions, audits and readiness use the new one, too.
    assert_eq!(gateway.action("pause", &serde_json::json!({})).await.status, 200);
    let audit = gateway.audit().await;
    assert_eq!(audit["verdict"], "balanced", "{audit}");
    ready(&gateway, true).await;
}

#[tokio::test]
async fn a_former_primary_that_is_never_demoted_is_left_all_the_same() {
    // Sentinels let some ten seconds pass before they do; here they can't at all.
    let (former, replicas, port) =
        three_with(&["--rename-command", "REPLICAOF", "", "--rename-command", "SLAVEOF", ""]).await;
    let sentinels = Sentinels::of(port);
    let gateway = Gateway::start_at(&sentinels.url, &[]).await;
    open(&gateway, &small()).await;
    assert_eq!(gateway.reserve("alice", "k1", &white()).await.status, 201);
    eventually("it begins", || async { fails_over(&sentinels) }).await;
    let new = eventually("another Redis is the primary and has the sale's ledger", || async {
        let new = replicas.iter().find(|replica| !is_replica(replica))?;
        let owner: Option<String> = new.run("HGET lg:{small}:state epoch");
        (owner == Some(new.info("run_id"))).then_some(new)
    })
    .await;
    let bob = wins(&gateway, "bob", "k1", &white()).await;
    assert_eq!(bob.json["number"].as_u64(), Some(2), "{}", bob.text);
    assert!(!is_replica(&former));
    // A try of bob's may have reached the former primary, whose answer does not count.
    assert_eq!(new.run::<usize>("HLEN lg:{small}:records"), 2);
    let follows = eventually("what bob has is known", || async {
        let page = gateway.ops_get("/admin/v1/sales/small").await.json;
        (page["reservations"]["held"] == 2).then_some(())
    });
    follows.await;
}

#[tokio::test]
async fn user_password_and_database_are_for_the_primary_and_not_for_the_sentinels() {
    let (primary, replicas, port) = three().await;
    for redis in replicas.iter().chain([&primary]) {
        redis.run::<()>("ACL SETUSER gate on >p@ss ~* &* +@all");
    }
    let sentinels = Sentinels::of(port);
    let url = sentinels.url.replace("//", "//gate:p%40ss@") + "?db=1";
    let gateway = Gateway::start_at(&url, &["--durability", "replicas=2"]).await;
    open(&gateway, &small()).await;
    wins(&gateway, "alice", "k1", &white()).await;
    let whoami = primary.run::<String>("CLIENT LIST");
    assert!(whoami.contains("user=gate"), "{whoami}");
    let keyspace: String = primary.run("INFO keyspace");
    assert!(keyspace.contains("db1:") && !keyspace.contains("db0:"), "{keyspace}");
    let wrong = run(&["sale", "list", "--redis", &url.replace("p%40ss", "wrong-secret")]);
    assert_eq!(wrong.code, 3, "{wrong:?}");
    assert!(!wrong.err.contains("wrong-secret"), "{wrong:?}");
}

#[tokio::test]
async fn missing_sentinels_and_an_unknown_service_are_reported() {
    let absent = testkit::files::free_port();
    for (url, words) in [
        (format!("redis+sentinel://127.0.0.1:{absent}/ledger"), "can't reach Redis"),
        ("redis+sentinel://127.0.0.1:1".to_owned(), "names no service"),
        ("sentinel://127.0.0.1:1/ledger".to_owned(), "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE"),
    ] {
        let done = run(&["sale", "list", "--redis", &url]);
        assert!(done.code >= 2 && done.err.contains(words), "{url}: {done:?}");
    }
    let (_primary, _replicas, port) = three().await;
    let sentinels = Sentinels::of(port);
    let other = sentinels.url.replace("/ledger", "/another");
    let done = run(&["sale", "list", "--redis", &other]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.err.contains("can't reach Redis"), "{done:?}");
    println!("{}", done.err);
    // One that is away is passed over.
    let partly = sentinels.url.replace("redis+sentinel://", &format!("redis+sentinel://127.0.0.1:{absent},"));
    assert_eq!(run(&["sale", "list", "--redis", &partly]).code, 0);
}

#[tokio::test]
async fn in_tls_sentinels_and_primary_are_trusted_by_their_issuer() {
    let certificate = Certificate::of_redis();
    let (primary, replicas, port) = three_in_tls(&certificate).await;
    for redis in replicas.iter().chain([&primary]) {
        redis.run::<()>("ACL SETUSER gate on >p@ss ~lg:* ~{lg:* &* +@all");
    }
    let sentinels = Sentinels::in_tls(port, &certificate);
    let url = sentinels.url.replace("//", "//gate:p%40ss@");
    let file = certificate.cert().display().to_string();
    let gateway = Gateway::start_at(&url, &["--redis-ca-file", &file, "--durability", "replicas=1"]).await;
    open(&gateway, &small()).await;
    wins(&gateway, "alice", "k1", &white()).await;
    let clients: String = primary.run("CLIENT LIST");
    assert!(clients.contains("user=gate"), "{clients}");
    let audit = run(&["audit", "small", "--redis", &url, "--redis-ca-file", &file]);
    assert_eq!(audit.code, 0, "{audit:?}");
    let stranger = run(&["sale", "list", "--redis", &url]);
    assert_eq!(stranger.code, 3, "{stranger:?}");
}

#[tokio::test]
async fn client_certificates_and_a_user_are_shown_to_a_redis_and_to_sentinels_that_ask_for_them() {
    let certificate = Certificate::of_strict_redis();
    let (primary, _replicas, port) = three_in_tls(&certificate).await;
    let sentinels = Sentinels::in_tls(port, &certificate);
    let sentinel = |words: &str| {
        for port in sentinels.ports() {
            let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
            let mut command = redis::cmd("ACL");
            words.split(' ').for_each(|word| {
                command.arg(word);
            });
            command.query::<()>(&mut client.get_connection().unwrap()).unwrap();
        }
    };
    sentinel("SETUSER gate on >s3cret ~* &* +@all");
    // Those that are connected already stay.
    sentinel("SETUSER default off");
    let (cert, key) = (certificate.cert().display().to_string(), certificate.key().display().to_string());
    let password = primary.files().join("sentinel-password");
    std::fs::write(&password, "s3cret\n").unwrap();
    let password = password.display().to_string();
    let shown = ["--redis-ca-file", &cert, "--redis-cert-file", &cert, "--redis-key-file", &key];
    let user = ["--sentinel-username", "gate", "--sentinel-password-file", &password];
    let all = [&shown[..], &user[..], &["--durability", "replicas=1"]].concat();
    let gateway = Gateway::start_at(&sentinels.url, &all).await;
    open(&gateway, &small()).await;
    wins(&gateway, "alice", "k1", &white()).await;
    let list = |options: &[&str], variable: &str| {
        let mut command = testkit::gateway::binary();
        // A busy machine is not what is looked for.
        command.args(["sale", "list", "--redis-connect-timeout-ms", "20000"]).args(options);
        if !options.contains(&"--redis") {
            command.args(["--redis", &sentinels.url]);
        }
        command.env("LAUNCHGATE_SENTINEL_PASSWORD", variable);
        testkit::cli::end(command)
    };
    let done = list(&[&shown[..], &["--sentinel-username", "gate"]].concat(), "s3cret");
    assert_eq!((done.code, done.out.contains("small")), (0, true), "{done:?}");
    // Neither without the certificate, nor without the user, nor with another password.
    for (options, variable) in [
        ([&shown[..2], &user[..]].concat(), ""),
        (shown.to_vec(), ""),
        ([&shown[..], &["--sentinel-username", "gate"]].concat(), "hunter2"),
    ] {
        let refused = list(&options, variable);
        assert_eq!(refused.code, 3, "{options:?}: {refused:?}");
        assert!(!refused.err.contains("hunter2"), "{refused:?}");
    }
    for (options, variable, words) in [
        (&["--redis-cert-file", &cert][..], "", "--redis-key-file"),
        (&["--redis-cert-file", &key, "--redis-key-file", &key], "", "holds no certificate"),
        (&["--sentinel-username", "gate"], "", "needs --sentinel-password-file"),
        (&user, "s3cret", "is given besides --sentinel-password-file"),
        (&["--sentinel-password-file", "/nowhere/hunter2"], "", "/nowhere/hunter2"),
        (&["--redis", "redis://127.0.0.1:1"], "s3cret", "names no sentinels"),
    ] {
        let wrong = list(options, variable);
        assert_eq!(wrong.code, 2, "{options:?}: {wrong:?}");
        assert!(wrong.err.contains(words), "{options:?}: {wrong:?}");
        assert!(!wrong.err.contains("s3cret"), "{wrong:?}");
    }
}
