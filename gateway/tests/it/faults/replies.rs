//! Tests malformed replies of Redis: they are counted and reported, and an address that would give
//! some is refused at the start.

use testkit::cli::run;
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::redis::Redis;

#[tokio::test]
async fn unreadable_journal_entries_are_not_taken_for_an_empty_journal() {
    // A command that answers whatever it is asked, with a text, instead of XREAD.
    let redis = Redis::start_with(&["--rename-command", "XREAD", "", "--rename-command", "LOLWUT", "XREAD"]);
    let other = Redis::start();
    let maker = Gateway::start(&other).await;
    testkit::definition::open(&maker, &testkit::definition::small()).await;
    drop(maker);
    // The sale comes by the command, which reads no journal.
    let file = redis.files().join("export.jsonl").display().to_string();
    let export = run(&["sale", "export", "small", &file, "--redis", &other.url()]);
    assert_eq!(export.code, 0, "{export:?}");
    let import = run(&["sale", "import", &file, "--redis", &redis.url()]);
    assert_eq!(import.code, 0, "{import:?}");

    let gateway = Gateway::spawn(&redis, &[]);
    eventually("it is not ready, with the reason", || async {
        let reply = gateway.ops_get("/readyz").await;
        (reply.status == 503 && reply.text.contains("the reply to XREAD can't be read")).then_some(())
    })
    .await;
    assert!(gateway.metrics().await.of("redis_unreadable_total") > 0.0);
}

#[test]
fn an_address_that_would_be_misread_is_refused_in_words_without_the_password() {
    for (url, words) in [
        ("redis://127.0.0.1:1/0?protocol=resp3", "leave out `protocol`"),
        ("unix:/run/redis.sock?protocol=3", "leave out `protocol`"),
        ("redis://gate:hunter/2@127.0.0.1:1", "Percent-encode it: %2F"),
        ("redis://gate:1/hunter2@127.0.0.1:1", "Percent-encode it: %2F"),
        ("redis://gate:hunter#2@127.0.0.1:1", "Percent-encode it: %23"),
        ("redis://gate:1?hunter2@127.0.0.1:1", "Percent-encode it: %3F"),
        ("redis://hunter2@127.0.0.1:1", "a user without a password"),
        ("redis://gate:hunter2", "not a port"),
        ("redis+sentinel://gate:hunter/2@127.0.0.1:1/ledger", "Percent-encode it: %2F"),
        ("redis+cluster://gate:hunter#2@127.0.0.1:1", "Percent-encode it: %23"),
    ] {
        let files = tempfile::tempdir().unwrap();
        let ops = files.path().join("ops").display().to_string();
        for args in [
            &["sale", "list"][..],
            &["serve", "--ops-token-file", &ops],
            &["doctor", "--ops-token-file", &ops],
        ] {
            let ended = run(&[args, &["--redis", url]].concat());
            assert_eq!(ended.code, 2, "{url}: {ended:?}");
            assert!(
                ended.err.contains("--redis (LAUNCHGATE_REDIS)") && ended.err.contains(words),
                "{url}: {ended:?}"
            );
            assert!(!ended.err.contains("hunter"), "{url}: {ended:?}");
        }
    }
}

#[test]
fn a_host_that_is_not_found_is_named() {
    let ended = run(&["sale", "list", "--redis", "redis://gate:hunter2@redis.invalid:6379"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("redis.invalid:6379") && !ended.err.contains("hunter2"), "{ended:?}");
}
