//! Tests metrics: all declared ones exist from the start, no others do, and the counts are right.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use futures_util::future::join_all;
use gateway::telemetry::labels::Outcome;
use gateway::telemetry::list::{self, Metric, MetricKind};
use reqwest::Method;
use serde_json::json;
use testkit::check::settled;
use testkit::definition::{apply, open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Gateway, send, service_token, token};
use testkit::metrics::{Sample, Samples};
use testkit::redis::Redis;

/// The values that a label can have at a gateway that follows the sale `small`, if all of them must be there.
fn values(metric: &Metric, label: &list::Label) -> Vec<String> {
    match (label.values, label.name) {
        (Some(values), _) => values.iter().map(ToString::to_string).collect(),
        (_, "sale") => vec!["small".into()],
        (_, "item") => {
            ["model:white", "model:black", "package:cover", "package:care"].map(str::to_owned).to_vec()
        }
        (_, "worker") => vec!["0".into(), "1".into()],
        (_, "by" | "reason") => vec![],
        (_, "version") => vec![env!("CARGO_PKG_VERSION").into()],
        // As the testkit starts gateways.
        (_, "durability") => vec!["none".into()],
        (_, "workers") => vec!["2".into()],
        (_, "token_keys") => vec!["hs256".into()],
        _ => panic!("{}: what can {} be?", metric.name, label.name),
    }
}

/// Every series of a metric, without its labels that are of no list.
fn series(metric: &Metric) -> Vec<String> {
    let known = metric.labels.iter().filter(|label| label.name != "redis_scripts");
    let mut combinations = vec![Vec::new()];
    for label in known {
        let values = values(metric, label);
        let with = |labels: &Vec<String>| {
            let more = values.iter().map(|value| format!("{}=\"{value}\"", label.name));
            more.map(|label| labels.iter().cloned().chain([label]).collect()).collect::<Vec<Vec<String>>>()
        };
        combinations = combinations.iter().flat_map(with).collect();
    }
    combinations.into_iter().map(|labels| labels.join(",")).collect()
}

/// The upper bounds of a histogram with these labels.
fn buckets(samples: &Samples, name: &str, labels: &str) -> Vec<f64> {
    let label = |(label, value): (&&str, &&str)| format!("{label}=\"{value}\"");
    let is_one = |sample: &Sample<'_>| {
        let of: BTreeSet<String> =
            sample.labels.iter().filter(|(name, _)| **name != "le").map(label).collect();
        sample.name == format!("{name}_bucket")
            && of == labels.split_terminator(',').map(str::to_owned).collect()
    };
    let mut bounds: Vec<f64> =
        samples.all().filter(is_one).map(|sample| sample.labels["le"].parse().unwrap()).collect();
    bounds.sort_by(f64::total_cmp);
    bounds
}

/// Waits until an idle gateway consumes the sale's journal.
async fn followed(gateway: &Gateway) -> Samples {
    eventually("the sale is followed", || async {
        Some(gateway.metrics().await).filter(|samples| samples.find("sale_frozen{sale=\"small\"}").is_some())
    })
    .await
}

#[tokio::test]
async fn all_that_is_declared_is_there_from_the_start_and_nothing_else() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    assert_eq!(apply(&gateway, &small()).await.status, 200);
    let samples = followed(&gateway).await;
    let mut missing = Vec::new();
    for metric in list::ALL.iter().filter(|metric| metric.only_when.is_none()) {
        let name = metric.name;
        let is_there = |sample: &str, labels: &str| {
            let all = if labels.is_empty() { sample.to_owned() } else { format!("{sample}{{{labels}}}") };
            samples.find(all.trim_start_matches("launchgate_"))
        };
        for labels in series(metric) {
            if name.ends_with("build_info") {
                assert!(samples.text.contains(&format!("{name}{{{labels},redis_scripts=\"")), "{name}");
                continue;
            }
            // An item without a limit has neither.
            if labels.contains("package:care") && (labels.contains("total") || labels.contains("free")) {
                assert_eq!(is_there(name, &labels), None, "{labels}");
                continue;
            }
            let value = match metric.kind {
                MetricKind::Histogram => {
                    let bounds = buckets(&samples, name, &labels);
                    assert_eq!(bounds, [metric.buckets, &[f64::INFINITY]].concat(), "{name}{{{labels}}}");
                    let sums = ["sum", "count"].map(|part| is_there(&format!("{name}_{part}"), &labels));
                    sums.into_iter().collect::<Option<Vec<f64>>>().map(|sums| sums.iter().sum())
                }
                _ => is_there(name, &labels),
            };
            match value {
                None => missing.push(format!("{name}{{{labels}}}")),
                // No request and no fault so far.
                Some(value) if !matches!(metric.kind, MetricKind::Gauge) => {
                    let is_of_its_own = ["redis_connects", "process_cpu", "worker_busy", "connections"];
                    let may_be = is_of_its_own.iter().any(|part| name.contains(part));
                    assert!(value == 0.0 || may_be, "{name}{{{labels}}} {value}");
                }
                Some(_) => {}
            }
        }
    }
    assert!(missing.is_empty(), "{}\n{}", missing.join("\n"), samples.text);

    for sample in samples.all() {
        let of = |metric: &&Metric| match metric.kind {
            MetricKind::Histogram => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|part| sample.name == format!("{}{part}", metric.name)),
            _ => sample.name == metric.name,
        };
        let metric = list::ALL.iter().find(of);
        let metric = metric.unwrap_or_else(|| panic!("{} is not declared", sample.name));
        let mut names: BTreeSet<&str> = metric.labels.iter().map(|label| label.name).collect();
        if sample.name.ends_with("_bucket") {
            names.insert("le");
        }
        assert_eq!(sample.labels.keys().copied().collect::<BTreeSet<_>>(), names, "{}", sample.name);
        for label in metric.labels {
            if let Some(values) = label.values {
                assert!(values.contains(&sample.labels[label.name]), "{} {}", sample.name, label.name);
            }
        }
    }
}

#[tokio::test]
async fn promtool_accepts_the_metrics() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    gateway.reserve("alice", "k", &white()).await;
    let text = gateway.ops_get("/metrics").await;
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool must be installed; scripts/test does that");
    promtool.stdin.take().unwrap().write_all(text.text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let answered = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && answered.is_empty(), "{answered}");
}

#[tokio::test]
async fn what_is_counted_is_what_was_done() {
    let redis = Redis::start();
    let options =
        ["--limit-buyer", "1:25", "--cors-origins", "https://shop.example", "--limit-address", "off"];
    let gateway = Gateway::start_with(&redis, &options).await;
    let definition = with(small(), "/model/0/stock", json!(20));
    assert_eq!(apply(&gateway, &definition).await.status, 200);
    followed(&gateway).await;

    // 30 buyers for 20 cars.
    let taps = join_all((0..30).map(|n| {
        let gateway = &gateway;
        async move { gateway.reserve(&format!("buyer-{n}"), "k", &white()).await }
    }))
    .await;
    let won: Vec<(String, String)> = taps
        .iter()
        .enumerate()
        .filter(|(_, reply)| reply.status == 201)
        .map(|(n, reply)| (format!("buyer-{n}"), reply.id()))
        .collect();
    assert_eq!(won.len(), 20);
    // A retry, another key, another body, and one that is over the limit: 25 units are five taps.
    let buyer = won[0].0.as_str();
    assert_eq!(gateway.reserve(buyer, "k", &white()).await.status, 200);
    assert_eq!(gateway.reserve(buyer, "k2", &white()).await.problem(), "purchase-limit");
    assert_eq!(gateway.reserve(buyer, "k", &json!({"model": "black", "store": "gz-1"})).await.status, 422);
    let mut limited = 0;
    while limited == 0 {
        limited += u64::from(gateway.reserve(buyer, "k2", &white()).await.status == 429);
    }
    // What is wrong, and what is only looked at.
    let post = |path: &str| gateway.request(Method::POST, path);
    let taps_path = "/v1/sales/small/reservations";
    for (request, status) in [
        (post(taps_path).header("idempotency-key", "k").json(&white()), 401),
        (post(taps_path).bearer_auth(token("x")).json(&white()), 400),
        (
            post("/v1/sales/other/reservations")
                .bearer_auth(token("x"))
                .header("idempotency-key", "k")
                .json(&white()),
            404,
        ),
        (gateway.request(Method::DELETE, taps_path), 405),
        (gateway.request(Method::GET, "/v2"), 404),
        (gateway.request(Method::HEAD, "/v1/time"), 200),
        (
            gateway
                .request(Method::OPTIONS, taps_path)
                .header("origin", "https://shop.example")
                .header("access-control-request-method", "POST"),
            204,
        ),
    ] {
        let reply = send(request).await;
        assert_eq!(reply.status, status, "{}", reply.text);
    }
    // The page changes while the gateway reads what it has sold: again, until it stays.
    let mut looks = 0;
    loop {
        let etag = gateway.get("/v1/sales/small").await.header("etag").to_owned();
        let again = gateway.request(Method::GET, "/v1/sales/small").header("if-none-match", etag);
        looks += 1;
        match send(again).await.status {
            304 => break,
            status => assert_eq!((status, looks < 20), (200, true)),
        }
        looks += 1;
    }
    // Three pay, one of them gets the money back, one gives up.
    for (_, id) in &won[1..4] {
        assert_eq!(gateway.confirm(id, "pay-1", 1).await.status, 200);
    }
    let refund = post(&format!("{taps_path}/{}/cancel", won[1].1)).bearer_auth(service_token());
    assert_eq!(send(refund).await.status, 200);
    assert_eq!(gateway.cancel(&won[4].0, &won[4].1).await.status, 200);

    settled(&gateway).await;
    let samples = gateway.metrics().await;
    let count = |route: &str, outcome: &str| {
        samples.of(&format!("requests_total{{route=\"{route}\",outcome=\"{outcome}\"}}"))
    };
    let purchase_limit = count("reserve", "purchase-limit");
    assert!(purchase_limit >= 1.0);
    let counted = [
        ("reserve", "won", 20),
        ("reserve", "sold-out", 10),
        ("reserve", "replayed", 1),
        ("reserve", "idempotency-key-reused", 1),
        ("reserve", "quota-exceeded", 1),
        ("reserve", "unauthenticated", 1),
        ("reserve", "idempotency-key-missing", 1),
        ("reserve", "sale-not-found", 1),
        ("reservations", "preflight", 1),
        ("reservations", "method-not-allowed", 1),
        ("none", "not-found", 1),
        ("time", "ok", 1),
        ("sale", "ok", looks),
        ("sale", "not-modified", 1),
        ("confirm", "ok", 3),
        ("cancel", "ok", 2),
    ];
    for (route, outcome, n) in counted {
        assert_eq!(count(route, outcome), f64::from(n), "{route} {outcome}");
    }
    let all = f64::from(counted.iter().map(|(_, _, n)| n).sum::<i32>()) + purchase_limit;
    assert_eq!(samples.sum("requests_total", &[]), all, "{}", samples.text);
    for outcome in Outcome::all() {
        let labels = [("outcome", outcome.name())];
        let answered = samples.sum("requests_total", &labels);
        assert_eq!(samples.sum("request_duration_seconds_count", &labels), answered, "{}", outcome.name());
    }
    assert_eq!(samples.of("limited_total{policy=\"buyer\"}"), 1.0);
    assert_eq!(samples.sum("limited_total", &[]), 1.0);
    assert_eq!(samples.sum("shed_total", &[]), 0.0);

    // Requests with a token were identified; those that got further were admitted, or refused by
    // the read model.
    let stage = |stage: &str| samples.of(&format!("stage_duration_seconds_count{{stage=\"{stage}\"}}"));
    let taps_with_a_token = samples.sum("requests_total", &[("route", "reserve")]) - 1.0;
    assert_eq!(stage("identify"), taps_with_a_token);
    let admitted = 30.0 + 2.0 + purchase_limit;
    assert_eq!((stage("read-model"), stage("respond")), (admitted, admitted));
    let asked = samples.of("batch_taps_sum");
    assert!((23.0..=admitted).contains(&asked), "{asked}");
    assert_eq!((stage("queue"), stage("redis")), (asked, asked));
    assert!(samples.of("batch_taps_count") <= asked);
    assert_eq!((samples.of("taps_waiting"), samples.of("requests_in_flight")), (0.0, 0.0));

    // 404, 401, 400, 405, 422 and 429 are none of the service's doing.
    let promised = 20.0 + 10.0 + 1.0 + purchase_limit;
    let slo = |name: &str, slo: &str| samples.of(&format!("slo_{name}_total{{slo=\"{slo}\"}}"));
    assert_eq!(slo("requests", "latency"), promised);
    assert_eq!(slo("requests", "availability"), promised + 1.0 + f64::from(looks) + 1.0 + 3.0 + 2.0);
    assert_eq!(slo("good", "availability"), slo("requests", "availability"));
    assert!(slo("good", "latency") <= promised);

    // The ledger, as the audit has it.
    let audit = gateway.audit().await;
    for item in audit["items"].as_array().unwrap() {
        let name = item["item"].as_str().unwrap();
        if name.starts_with("store:") {
            assert!(!samples.text.contains(name));
            continue;
        }
        for state in ["total", "free", "held", "confirmed"] {
            let shown =
                samples.find(&format!("stock_units{{sale=\"small\",item=\"{name}\",state=\"{state}\"}}"));
            assert_eq!(shown, item[state].as_f64(), "{name} {state}");
        }
    }
    for (state, n) in [("held", 16), ("confirmed", 2), ("cancelled", 2), ("expired", 0)] {
        assert_eq!(samples.of(&format!("reservations{{sale=\"small\",state=\"{state}\"}}")), f64::from(n));
    }
    assert_eq!(samples.of("store_slots{sale=\"small\",state=\"total\"}"), 90.0);
    assert_eq!(samples.of("store_slots{sale=\"small\",state=\"free\"}"), 90.0 - 18.0);
    assert_eq!(samples.sum("stores", &[("sale", "small")]), 3.0);
    assert_eq!(samples.of("stores{sale=\"small\",availability=\"in_stock\"}"), 3.0);
    assert_eq!(samples.of("sale_phase{sale=\"small\",phase=\"open\"}"), 1.0);
    assert_eq!(samples.sum("sale_phase", &[]), 1.0);
    assert_eq!(samples.of("ledger_oversold_units{sale=\"small\"}"), 0.0);

    // No buyer is named.
    for secret in ["buyer-", "127.0.0.1", "payments", "pay-1", "gz-1"] {
        assert!(!samples.text.contains(secret), "{secret}");
    }
}
