//! Tests a Redis user with too few permissions: the gateway is not ready and names the missing
//! ones; with exactly those it serves.

use gateway::store::acl;
use reqwest::Method;
use serde_json::json;
use testkit::cli::run;
use testkit::definition::{open, small, white};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::redis::Redis;

use crate::launch::spike::{ready, reserve_until_answered, wins};
use crate::operations::doctor::DoctorFixture;

/// The permissions that the gateway asks for, as words of `ACL SETUSER`.
fn needed() -> Vec<String> {
    let line = acl::needed();
    line.strip_prefix("ACL SETUSER USER ").unwrap().split(' ').map(ToOwned::to_owned).collect()
}

/// A Redis with the user `gate` and these permissions, also after a restart.
fn start() -> (Redis, String) {
    let rules = [vec!["--user".to_owned(), "gate".into(), "on".into(), ">pw".into()], needed()].concat();
    let options: Vec<&str> = rules.iter().map(String::as_str).chain(["--maxmemory", "256mb"]).collect();
    let redis = Redis::start_with(&options);
    let url = format!("{}?user=gate&pass=pw", redis.url());
    (redis, url)
}

async fn reason(gateway: &Gateway, words: &[&str]) {
    eventually(&format!("{words:?}"), || async {
        let reply = gateway.ops_get("/readyz").await;
        (reply.status == 503 && words.iter().all(|words| reply.text.contains(words))).then_some(())
    })
    .await;
}

/// The reason names this permission, and not only as one of those that are needed.
async fn names(gateway: &Gateway, missing: &str) {
    eventually(&format!("{missing} is named"), || async {
        let reply = gateway.ops_get("/readyz").await;
        let (line, text) = (acl::needed(), reply.text);
        (reply.status == 503 && text.contains(&line) && text.replace(&line, "").contains(missing))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn with_the_permissions_that_it_names_a_gateway_does_everything() {
    let (mut redis, url) = start();
    let gateway = Gateway::start_at(&url, &["--durability", "fsync"]).await;
    open(&gateway, &small()).await;
    let held = gateway.reserve("alice", "k1", &white()).await;
    assert_eq!(held.status, 201, "{}", held.text);
    let amended = gateway.amend("alice", &held.id(), &json!({"store": "sh-1"})).await;
    assert_eq!(amended.status, 200, "{}", amended.text);
    assert_eq!(gateway.confirm(&held.id(), "pay-1", 2).await.status, 200);
    let other = gateway.reserve("bob", "k1", &white()).await;
    assert_eq!(gateway.cancel("bob", &other.id()).await.status, 200);
    let limits = json!({"buyer": "700:900"});
    assert_eq!(gateway.ops(Method::PATCH, "/admin/v1/limits", &limits).await.status, 200);
    let restock = json!({"item": "model:white", "total": 70, "was": 60});
    assert_eq!(gateway.action("restock", &restock).await.status, 200);
    assert_eq!(gateway.audit().await["verdict"], "balanced");
    let doctor = DoctorFixture::at(&url).examine(&[]);
    assert_eq!(doctor.verdicts("redis", "scripts"), ["ok"], "{doctor:#?}");

    // Recovery needs no more.
    redis.kill();
    redis.start_again().unwrap();
    reserve_until_answered(&gateway, "carol", "k1", &white()).await;
    ready(&gateway, true).await;

    // The same for every command.
    let export = redis.files().join("export.jsonl").display().to_string();
    let done = |args: &[&str]| {
        let ended = run(&[args, &["--redis", &url]].concat());
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
    };
    let carol = reserve_until_answered(&gateway, "carol", "k1", &white()).await;
    assert_eq!(gateway.cancel("carol", &carol.id()).await.status, 200);
    done(&["sale", "close", "small", "--confirm", "small"]);
    done(&["sale", "show", "small"]);
    done(&["audit", "small"]);
    done(&["journal", "small"]);
    done(&["sale", "export", "small", &export]);
    drop(gateway);
    done(&["sale", "purge", "small", "--export", &export, "--confirm", "small"]);
    done(&["sale", "import", &export]);
}

#[tokio::test]
async fn a_permission_that_is_missing_at_the_start_is_named_with_those_that_are_needed() {
    let (redis, url) = start();
    for missing in ["evalsha", "time", "info", "hset", "hsetnx", "xread", "smembers", "xadd"] {
        redis.run::<()>(&format!("ACL SETUSER gate -{missing}"));
        let gateway = Gateway::spawn_at(&url, &[]);
        names(&gateway, missing).await;
        let doctor = DoctorFixture::at(&url).examine(&[]);
        assert_ne!(doctor.code, 0, "{missing}: {doctor:#?}");
        let check = if matches!(missing, "info" | "time" | "smembers") { "reach" } else { "scripts" };
        let found = doctor.found("redis", check).replace(&acl::needed(), "");
        assert!(found.contains(missing), "{missing}: {doctor:#?}");
        redis.run::<()>(&format!("ACL SETUSER gate +{missing}"));
        // It is ready without a restart.
        ready(&gateway, true).await;
    }
    redis.run::<()>("ACL SETUSER gate -script|load");
    redis.run::<()>("SCRIPT FLUSH SYNC");
    let gateway = Gateway::spawn_at(&url, &[]);
    names(&gateway, "script").await;
    redis.run::<()>("ACL SETUSER gate +script|load");
    ready(&gateway, true).await;
}

#[tokio::test]
async fn a_permission_that_is_taken_away_makes_a_gateway_not_ready_until_it_is_back() {
    let (redis, url) = start();
    let gateway = Gateway::start_at(&url, &[]).await;
    open(&gateway, &small()).await;
    for (missing, words) in [
        ("evalsha", "Redis has run no script for"),
        ("time", "Redis has run no script for"),
        ("info", "no permissions to run the 'info' command"),
        ("hset", "no sale clock was ticked for"),
        ("xread", "the journal was last read to its end"),
        ("smembers", "the journal was last read to its end"),
    ] {
        redis.run::<()>(&format!("ACL SETUSER gate -{missing}"));
        reason(&gateway, &[words, "ACL SETUSER USER ~lg:* ~{lg:* +ping +info"]).await;
        redis.run::<()>(&format!("ACL SETUSER gate +{missing}"));
        ready(&gateway, true).await;
    }
    wins(&gateway, "alice", "k1", &white()).await;
}
