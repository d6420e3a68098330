//! Tests metrics of connections, Redis, the fleet, certificates, keys and drift.

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use reqwest::Method;
use serde_json::json;
use testkit::check::settled;
use testkit::definition::{known, open, small, white};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::http::Raw;
use testkit::metrics::Samples;
use testkit::redis::Redis;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Waits until the metrics match.
async fn shows(gateway: &Gateway, what: &str, is_so: impl Fn(&Samples) -> bool) -> Samples {
    eventually(what, || async { Some(gateway.metrics().await).filter(|samples| is_so(samples)) }).await
}

#[tokio::test]
async fn connections_are_counted_by_how_they_ended() {
    let redis = Redis::start();
    let options = ["--first-byte-timeout-ms", "2000", "--header-timeout-ms", "1000", "--workers", "1"];
    let gateway = Gateway::start_with(&redis, &[&options[..], &["--connections-max", "5"]].concat()).await;
    let ended = |samples: &Samples, reason: &str| {
        samples.of(&format!("connections_ended_total{{listener=\"public\",reason=\"{reason}\"}}"))
    };
    let address = gateway.url.trim_start_matches("http://").to_owned();
    let connect = || TcpStream::connect(address.clone());
    let requests_of = |samples: &Samples, outcome: &str| {
        samples.of(&format!("requests_total{{route=\"none\",outcome=\"{outcome}\"}}"))
    };

    drop(connect().await.unwrap());
    shows(&gateway, "one was dropped", |samples| ended(samples, "dropped") == 1.0).await;
    let silent = connect().await.unwrap();
    shows(&gateway, "one has sent nothing", |samples| ended(samples, "nothing-sent") == 1.0).await;
    drop(silent);
    let mut slow = connect().await.unwrap();
    slow.write_all(b"GET /v1/time HTTP/1.1\r\n").await.unwrap();
    let late = shows(&gateway, "a head was late", |samples| ended(samples, "slow-head") == 1.0).await;
    assert_eq!(requests_of(&late, "request-timeout"), 1.0);
    let mut rubbish = Raw::connect(&gateway.url).await;
    let answer = rubbish.send("rubbish\r\n\r\n").await.rest().await;
    assert!(answer.starts_with(b"HTTP/1.1 400 "));
    let bad = shows(&gateway, "one made no sense", |samples| ended(samples, "malformed") == 1.0).await;
    assert_eq!(requests_of(&bad, "invalid-request"), 1.0);
    // HTTP/2 in plain text is answered by nothing, and nothing is counted as an answer.
    let mut preface = Raw::connect(&gateway.url).await;
    assert_eq!(preface.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.rest().await, b"");
    let no = shows(&gateway, "HTTP/2 was not spoken", |samples| ended(samples, "malformed") == 2.0).await;
    assert_eq!(requests_of(&no, "invalid-request"), 1.0);
    let mut good = Raw::connect(&gateway.url).await;
    good.send("GET /v1/time HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.rest().await;
    let closed = shows(&gateway, "one was closed", |samples| ended(samples, "closed") == 1.0).await;
    assert_eq!(closed.of("connections_open{listener=\"public\"}"), 0.0);

    // Five may be open; the sixth is refused.
    assert_eq!(closed.of("connections_max{listener=\"public\"}"), 5.0);
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut stream = connect().await.unwrap();
        stream.write_all(b"GET /v1/").await.unwrap();
        open.push(stream);
    }
    let mut sixth = Raw::connect(&gateway.url).await;
    sixth.send("GET /v1/time HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(sixth.answer().await.status, 503);
    let full = gateway.metrics().await;
    assert_eq!(ended(&full, "over-cap"), 1.0);
    assert_eq!(full.of("shed_total{reason=\"connections\"}"), 1.0);
    assert_eq!(requests_of(&full, "temporary-reduced-capacity"), 1.0);
    let all = full.of("connections_total{listener=\"public\"}");
    let gone = full.sum("connections_ended_total", &[("listener", "public")]);
    assert_eq!(all, gone + full.of("connections_open{listener=\"public\"}"));
    // This scrape has one of its own.
    assert!(full.of("connections_open{listener=\"ops\"}") >= 1.0);
    assert_eq!(full.sum("requests_total", &[("outcome", "ok")]), 1.0, "what ops ask is not counted");
}

#[tokio::test]
async fn every_user_of_redis_reports_when_it_is_down_and_up() {
    let mut redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--redis-connect-timeout-ms", "200"]).await;
    open(&gateway, &small()).await;
    let users = ["batches", "ledger", "consumer", "fleet", "admin"];
    let of = |samples: &Samples, name: &str, user: &str| samples.of(&format!("{name}{{user=\"{user}\"}}"));
    let up = |samples: &Samples| users.iter().all(|user| of(samples, "redis_up", user) == 1.0);
    let there = shows(&gateway, "all are connected, and the fleet has one", |samples| {
        up(samples) && samples.of("fleet_gateways") == 1.0 && samples.of("ready") == 1.0
    })
    .await;
    assert_eq!(of(&there, "redis_connects_total", "batches"), 2.0, "a connection for each worker");
    assert_eq!(there.of("fleet_versions"), 1.0);
    assert!(there.of("snapshot_age_seconds{sale=\"small\"}") < 10.0);

    redis.kill();
    let away = shows(&gateway, "all have lost it, and this gateway is not ready", |samples| {
        let is_down = |user: &&str| of(samples, "redis_up", user) == 0.0;
        users.iter().all(is_down)
            && samples.of("ready") == 0.0
            && samples.of("snapshot_age_seconds{sale=\"small\"}") > 1.0
            && samples.of("sweep_lag_seconds{sale=\"small\"}") > 1.0
    })
    .await;
    assert!(users.iter().all(|user| of(&away, "redis_errors_total", user) > 0.0), "{}", away.text);
    // A tap is turned away, and it is known why.
    let refused = gateway.reserve("alice", "k", &white()).await;
    assert_eq!(refused.problem(), "temporary-reduced-capacity", "{}", refused.text);
    let samples = gateway.metrics().await;
    assert_eq!(samples.of("shed_total{reason=\"redis\"}"), 1.0);
    let slo = |name: &str| samples.of(&format!("slo_{name}_total{{slo=\"availability\"}}"));
    assert_eq!(slo("requests") - slo("good"), 1.0);

    redis.start_again().unwrap();
    let back = shows(&gateway, "all are back", |samples| {
        up(samples)
            && samples.of("ready") == 1.0
            && samples.of("snapshot_age_seconds{sale=\"small\"}") < 1.0
            && samples.of("sweep_lag_seconds{sale=\"small\"}") < 1.0
            && samples.of("ledger_fault{sale=\"small\"}") == 0.0
    })
    .await;
    for user in ["batches", "ledger", "consumer", "fleet"] {
        let connects = |samples: &Samples| of(samples, "redis_connects_total", user);
        assert!(connects(&back) > connects(&there), "{user}");
    }
}

#[tokio::test]
async fn a_second_gateway_shows_the_same_ledger_and_both_see_it_drift() {
    let redis = Redis::start();
    let one = Gateway::start_with(&redis, &["--audit-interval-s", "1"]).await;
    open(&one, &small()).await;
    for n in 0..9 {
        let held = one
            .reserve(
                &format!("b-{n}"),
                "k",
                &json!({"model": "white", "packages": ["cover"], "store": "gz-2"}),
            )
            .await;
        assert_eq!(held.status, 201);
        if n < 4 {
            assert_eq!(one.confirm(&held.id(), "pay", 1).await.status, 200);
        }
    }
    let two = Gateway::start_with(&redis, &["--audit-interval-s", "1"]).await;
    known(&two, "small").await;
    settled(&one).await;
    settled(&two).await;
    for gateway in [&one, &two] {
        let samples = gateway.metrics().await;
        for (item, state, n) in [
            ("model:white", "total", 60),
            ("model:white", "free", 51),
            ("model:white", "held", 5),
            ("model:white", "confirmed", 4),
            ("package:cover", "held", 5),
            ("package:cover", "confirmed", 4),
            ("model:black", "held", 0),
            ("package:care", "confirmed", 0),
        ] {
            let series = format!("stock_units{{sale=\"small\",item=\"{item}\",state=\"{state}\"}}");
            assert_eq!(samples.of(&series), f64::from(n), "{item} {state}");
        }
        assert_eq!(samples.of("stores{sale=\"small\",availability=\"low\"}"), 1.0);
        let before = samples.of("ledger_drift{sale=\"small\"}");
        assert!(before == -1.0 || before == 0.0);
        shows(gateway, "it was audited", |samples| {
            samples.of("ledger_drift{sale=\"small\"}") == 0.0
                && samples.of("ledger_audited_timestamp_seconds{sale=\"small\"}") > 1.7e9
                && samples.of("fleet_gateways") == 2.0
        })
        .await;
    }

    let _: i64 = redis.run("HINCRBY lg:{small}:stock store:gz-2 -3");
    for gateway in [&one, &two] {
        shows(gateway, "the audit finds it", |samples| samples.of("ledger_drift{sale=\"small\"}") >= 3.0)
            .await;
    }
    let _: i64 = redis.run("HINCRBY lg:{small}:stock model:white 1");
    for gateway in [&one, &two] {
        shows(gateway, "the tick finds it", |samples| {
            samples.of("ledger_counters_differ{sale=\"small\"}") == 1.0
        })
        .await;
    }
    // The store's counter is below zero: its next change shows it.
    let _: i64 = redis.run("HSET lg:{small}:stock store:gz-2 -2");
    let moved = one.reserve("last", "k", &json!({"model": "white", "store": "gz-1"})).await;
    let service = testkit::gateway::service_token();
    let path = format!("/v1/sales/small/reservations/{}/cancel", moved.id());
    let cancel = one.request(Method::POST, &path).bearer_auth(&service);
    assert_eq!(testkit::gateway::send(cancel).await.status, 200);
    let first = one.get_as("b-0", "/v1/sales/small/reservations").await.json["reservations"][0]["id"].clone();
    let path = format!("/v1/sales/small/reservations/{}/cancel", first.as_str().unwrap());
    let cancel = one.request(Method::POST, &path).bearer_auth(service);
    assert_eq!(testkit::gateway::send(cancel).await.status, 200);
    for gateway in [&one, &two] {
        shows(gateway, "what is oversold", |samples| {
            samples.of("ledger_oversold_units{sale=\"small\"}") == 1.0
                && samples.of("stock_units{sale=\"small\",item=\"model:white\",state=\"confirmed\"}") == 3.0
        })
        .await;
    }
}

#[tokio::test]
async fn the_end_of_certificates_and_keys_is_shown_and_a_key_past_it_counts_no_more() {
    /// Midnight before 18 May 2033.
    const ENDS: i64 = 1_999_987_200;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2033, 5, 18);
    std::fs::write(path("cert"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(path("key"), key.serialize_pem()).unwrap();
    let jwk = |kid: &str, exp: i64| {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "exp": exp,
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    };
    let jwks = json!({"keys": [jwk("old", 1_000), jwk("now", ENDS + 7), jwk("next", ENDS + 8)]});
    std::fs::write(path("jwks"), jwks.to_string()).unwrap();
    let redis = Redis::start();
    let (cert, key, jwks) = (path("cert"), path("key"), path("jwks"));
    let options = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--auth-jwks-file", &jwks];
    let gateway = Gateway::start_with(&redis, &options).await;
    let samples = gateway.metrics().await;
    assert_eq!(samples.of("certificate_expiry_timestamp_seconds{listener=\"public\"}"), ENDS as f64);
    assert_eq!(samples.find("certificate_expiry_timestamp_seconds{listener=\"ops\"}"), None);
    assert_eq!(samples.of("token_key_expiry_timestamp_seconds"), (ENDS + 7) as f64, "of those that count");
    // The kernel's own view of it.
    assert_eq!(samples.of("process_start_time_seconds") as i64 / 86_400, now_s() / 86_400);
    assert!(samples.of("process_open_fds") > 10.0 && samples.of("process_threads") >= 4.0);
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident: f64 = resident.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0;
    let shown = samples.of("process_resident_memory_bytes");
    assert!((resident / 2.0..resident * 2.0).contains(&shown), "{shown} instead of {resident}");
    // It has done something, and goes on.
    let busy = |samples: &Samples| {
        samples.sum("worker_busy_seconds_total", &[]) + samples.of("process_cpu_seconds_total")
    };
    assert!(busy(&samples) > 0.0);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(busy(&gateway.metrics().await) >= busy(&samples));
}

fn now_s() -> i64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().cast_signed()
}
