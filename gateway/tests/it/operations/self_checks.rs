//! Tests the gateway's checks of its set-up: published keys, clocks, and unlisted proxies.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::definition::{known, open, small};
use testkit::eventually;
use testkit::gateway::{Gateway, GatewaySetup, send};
use testkit::keys::{Key, now};
use testkit::redis::Redis;
use testkit::tls::Certificate;

const OWN: &str = "/v1/sales/small/reservations";

fn write(path: &Path, keys: &[Value]) {
    std::fs::write(path, json!({ "keys": keys }).to_string()).unwrap();
}

async fn read(gateway: &Gateway, token: String) -> u16 {
    send(gateway.request(Method::GET, OWN).bearer_auth(token)).await.status
}

/// The alarm of this name on the live page, once it is there.
async fn alarm(gateway: &Gateway, name: &str) -> Value {
    eventually(name, || async {
        let text = gateway.ops_get("/admin/v1/live?frames=1").await.text;
        let now: Value = serde_json::from_str(text.lines().last()?).ok()?;
        now["alarms"].as_array()?.iter().find(|alarm| alarm["name"] == name).cloned()
    })
    .await
}

#[tokio::test]
async fn unusable_keys_of_a_set_block_neither_start_nor_rotation_and_a_secret_in_it_does() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let (file, log) = (dir.path().join("jwks.json"), dir.path().join("log"));
    let (old, next) = (Key::new("old"), Key::new("next"));
    let post_quantum = json!({"kty": "AKP", "alg": "ML-DSA-65", "kid": "pq", "pub": "eHh4"});
    let for_encryption = json!({"kty": "RSA", "alg": "RSA-OAEP", "kid": "enc", "n": "eHh4", "e": "AQAB"});
    let curve = json!({"kty": "EC", "crv": "P-521", "kid": "curve", "x": "eHh4", "y": "eHh4"});
    write(&file, &[post_quantum.clone(), old.jwk(), for_encryption.clone()]);
    let path = file.to_str().unwrap().to_owned();
    let gateway = Gateway::spawn_logging(&redis.url(), &["--auth-jwks-file", &path], &log);
    gateway.ready().await;
    open(&gateway, &small()).await;
    assert_eq!(read(&gateway, old.sign(&json!({}))).await, 200);

    // A rotation, with one more kind that is not used here.
    write(&file, &[curve, next.jwk(), post_quantum.clone(), old.jwk(), for_encryption]);
    eventually("the new key is known", || async {
        let old_status = read(&gateway, old.sign(&json!({}))).await;
        assert_eq!(old_status, 200, "the old key is configured all the time");
        (read(&gateway, next.sign(&json!({}))).await == 200).then_some(())
    })
    .await;
    let text = std::fs::read_to_string(&log).unwrap();
    for kid in ["pq", "enc", "curve"] {
        let named = text.lines().filter(|line| line.contains(&format!("kid \"{kid}\""))).count();
        assert_eq!(named, 1, "{kid} is named once: {text}");
    }
    let series = "file_rejected{file=\"auth-jwks-file\"}";
    eventually("the new set counts as accepted", || async {
        (gateway.metrics().await.of(series) == 0.0).then_some(())
    })
    .await;

    // A private key among them: nothing of the file is taken, and everybody can see it.
    let mut private = Key::new("leaked").jwk();
    private["d"] = json!("c2VjcmV0LXNlY3JldA");
    write(&file, &[next.jwk(), private]);
    let answered = alarm(&gateway, "file-rejected").await;
    let text = answered["text"].as_str().unwrap();
    assert!(text.contains("--auth-jwks-file") && text.contains("a private key"), "{answered}");
    assert!(!text.contains("c2Vj"), "{answered}");
    assert_eq!(gateway.metrics().await.of(series), 1.0);
    assert_eq!(gateway.ops_get("/readyz").await.status, 200, "it serves on with the former keys");
    for key in [&old, &next] {
        assert_eq!(read(&gateway, key.sign(&json!({}))).await, 200);
    }
    // Without a usable key it is an error, too; a good file ends the alarm.
    write(&file, &[post_quantum]);
    write(&file, &[next.jwk()]);
    eventually("the old key is gone", || async {
        (read(&gateway, old.sign(&json!({}))).await == 401).then_some(())
    })
    .await;
    assert_eq!(gateway.metrics().await.of(series), 0.0);
}

#[tokio::test]
async fn tokens_of_an_issuer_with_a_fast_clock_are_accepted_within_the_leeway() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    let key = Key::new("k");
    write(&file, &[key.jwk()]);
    let keys = ["--auth-jwks-file", file.to_str().unwrap()];
    let usual = Gateway::start_with(&redis, &keys).await;
    let patient = Gateway::start_with(&redis, &[&keys[..], &["--auth-leeway", "60s"]].concat()).await;
    open(&usual, &small()).await;
    known(&patient, "small").await;
    let begins = |s: u64| key.sign(&json!({"nbf": now() + s, "iat": now() + s}));
    let ended = |s: u64| key.sign(&json!({"exp": now() - s}));
    for (gateway, token, status) in [
        (&usual, begins(2), 200),
        (&usual, ended(2), 200),
        (&usual, begins(1_000), 401),
        (&usual, ended(20), 401),
        (&patient, begins(30), 200),
        (&patient, ended(20), 200),
        (&patient, begins(1_000), 401),
        (&patient, ended(1_000), 401),
    ] {
        assert_eq!(read(gateway, token).await, status);
    }
    let bad = testkit::cli::run(&["serve", "--auth-leeway", "61s", "--ops-token-file", "x"]);
    assert!(bad.code == 2 && bad.err.contains("--auth-leeway") && bad.err.contains("0 to 60"), "{bad:?}");
}

#[tokio::test]
async fn a_clock_that_differs_from_that_of_redis_is_an_alarm_and_a_metric() {
    let redis = Redis::start();
    let right = Gateway::start(&redis).await;
    eventually("the clock of Redis was read", || async {
        let offset = right.metrics().await.find("clock_offset_seconds")?;
        assert!(offset.abs() < 1.0, "of the same host: {offset}");
        Some(())
    })
    .await;
    // Without a sale the clock is still compared.
    let envs = [
        ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1"),
        ("FAKETIME", "-10s"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let behind =
        GatewaySetup { redis: &redis.url(), envs: &envs, ..GatewaySetup::default() }.start().unwrap();
    let answered = alarm(&behind, "clock-off").await;
    assert_eq!(answered["level"], "fault", "beyond the leeway: {answered}");
    let text = answered["text"].as_str().unwrap();
    assert!(text.contains("s behind that of Redis") && text.contains("--auth-leeway is 5 s"), "{answered}");
    let offset = behind.metrics().await.of("clock_offset_seconds");
    assert!((9.0..11.0).contains(&offset), "{offset}");
}

#[tokio::test]
async fn a_proxy_that_is_not_listed_is_warned_of_counted_and_an_alarm() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let gateway = Gateway::spawn_logging(&redis.url(), &["--limit-address", "1:40"], &log);
    gateway.ready().await;
    let mut statuses = [0; 600];
    for n in 0..60 {
        let request = gateway.request(Method::GET, "/v1/time");
        let reply = send(request.header("x-forwarded-for", format!("203.0.113.{n}"))).await;
        statuses[usize::from(reply.status)] += 1;
    }
    // The header is not trusted: all clients share one bucket, which is reported.
    assert!(statuses[429] > 0 && statuses[200] + statuses[429] == 60, "{statuses:?}");
    assert_eq!(gateway.metrics().await.of("forwarded_ignored_total"), 60.0);
    let answered = alarm(&gateway, "proxy-unlisted").await;
    assert!(answered["text"].as_str().unwrap().contains("--trusted-proxies"), "{answered}");
    let lines = std::fs::read_to_string(&log).unwrap();
    let warned = lines.lines().filter(|line| line.contains("--trusted-proxies")).count();
    assert_eq!(warned, 1, "{lines}");

    let listed = Gateway::start_with(&redis, &["--trusted-proxies", "127.0.0.0/8"]).await;
    let request = listed.request(Method::GET, "/v1/time").header("x-forwarded-for", "203.0.113.9");
    assert_eq!(send(request).await.status, 200);
    assert_eq!(listed.metrics().await.of("forwarded_ignored_total"), 0.0);
}

#[tokio::test]
async fn a_certificate_without_its_key_is_an_alarm_until_the_pair_fits() {
    let redis = Redis::start();
    let (certificate, _) = Certificate::new();
    let options = certificate.options("");
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let gateway = Gateway::start_with(&redis, &options).await;
    let series = "file_rejected{file=\"tls-cert-file\"}";
    assert_eq!(gateway.metrics().await.of(series), 0.0);
    let former = std::fs::read(certificate.cert()).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(certificate.cert(), other.cert.pem()).unwrap();
    let answered = alarm(&gateway, "file-rejected").await;
    assert!(
        answered["text"].as_str().unwrap().contains("changed file of --tls-cert-file is invalid"),
        "{answered}"
    );
    assert_eq!(gateway.metrics().await.of(series), 1.0);
    std::fs::write(certificate.cert(), former).unwrap();
    eventually("it is over", || async { (gateway.metrics().await.of(series) == 0.0).then_some(()) }).await;
}
