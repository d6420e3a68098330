//! Tests the metrics over a real socket, and with `promtool` where it is installed.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::listener::CONNECTIONS_MAX;
use super::*;
use crate::base::clock::{RoundTrip, ServerClock};
use crate::base::outcome::{Outcome, StepEnd};
use crate::base::scenario::Scenario;
use crate::figures::AnswerClass;
use crate::self_monitoring::{Limits, SelfMonitor, Traffic};

const LOOPBACK: &str = "127.0.0.1:0";
const NAMES: &[&str] = &["reserve", "look"];
const PATIENCE: Duration = Duration::from_secs(60);

/// A generator with these figures, self-monitoring, and a server clock fixed at 1,000,000 s.
fn sources(figures: Figures) -> (SelfMonitor, Sources) {
    let (late, queued, skew) =
        (Duration::from_millis(250), Duration::from_millis(20), Duration::from_millis(200));
    let limits = Limits { cpu: 90.0, late, queued, late_share: 1.0, skew };
    let monitor = SelfMonitor::start(limits, Traffic::default(), late).unwrap();
    let now = Instant::now();
    let trip = RoundTrip { sent: now, received: now, server_time: at(1_000_000) };
    let moments = Arc::new(Moments::new(ServerClock::estimate(&[trip]).unwrap()));
    let figures = Arc::new(Mutex::new(figures));
    let gauges = monitor.gauges();
    (monitor, Sources { figures, gauges, moments, requests: NAMES })
}

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).unwrap()
}

async fn start(sources: Sources) -> Metrics {
    let listen = Listen { address: LOOPBACK.parse().unwrap(), allow_beyond_loopback: false };
    Metrics::start(listen, sources).await.unwrap()
}

/// Sends this and reads until the other side closes.
async fn exchange(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
    Ok(answer)
}

async fn scrape(address: SocketAddr) -> String {
    let answer = exchange(address, "GET /metrics HTTP/1.1\r\nHost: generator\r\n\r\n").await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    body.to_owned()
}

/// Samples by name and labels as they are written, and types by name; each line is looked at.
fn parsed(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    for line in body.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap();
            assert_eq!(types.insert(name.to_owned(), kind.to_owned()), None, "{line}");
        } else if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(help.starts_with("launchgate_loadtest_") && help.ends_with('.'), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let earlier = samples.insert(series.to_owned(), value.parse().unwrap());
            assert_eq!(earlier, None, "{line}");
        }
    }
    (samples, types)
}

#[tokio::test]
async fn before_anything_happened_every_series_is_there_at_zero() {
    let (_watch, sources) = sources(Figures::default());
    let metrics = start(sources).await;
    let (samples, types) = parsed(&scrape(metrics.address()).await);
    let kinds = [
        ("taps", "counter"),
        ("tap_duration_seconds", "histogram"),
        ("requests", "counter"),
        ("answers", "counter"),
        ("steps", "counter"),
        ("starts_intended", "counter"),
        ("starts_late", "counter"),
        ("starts_unsent", "counter"),
        ("retries", "counter"),
        ("cpu_ratio", "gauge"),
        ("timer_lag_seconds", "gauge"),
        ("open_fds", "gauge"),
        ("moment_timestamp_seconds", "gauge"),
    ];
    let kinds = kinds.map(|(name, kind)| (format!("launchgate_loadtest_{name}"), kind.to_owned()));
    assert_eq!(types, BTreeMap::from(kinds));

    let mut expected = Vec::new();
    for outcome in Outcome::ALL.map(Outcome::name) {
        for scenario in Scenario::all().into_iter().map(Scenario::name) {
            expected.push(format!("taps_total{{scenario=\"{scenario}\",outcome=\"{outcome}\"}}"));
        }
        expected.push(format!("tap_duration_seconds_sum{{outcome=\"{outcome}\"}}"));
        expected.push(format!("tap_duration_seconds_count{{outcome=\"{outcome}\"}}"));
        let bounds = "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 30.0 60.0 120.0 300.0 +Inf";
        for bound in bounds.split(' ') {
            expected.push(format!("tap_duration_seconds_bucket{{le=\"{bound}\",outcome=\"{outcome}\"}}"));
        }
    }
    for name in NAMES {
        let results = ["decided", "unknown", "limited", "shed", "failed", "lost"];
        expected
            .extend(results.map(|result| format!("requests_total{{name=\"{name}\",result=\"{result}\"}}")));
        let ends = ["done", "refused", "undecided"];
        expected.extend(ends.map(|end| format!("steps_total{{name=\"{name}\",end=\"{end}\"}}")));
    }
    expected.extend(["intended", "late", "unsent"].map(|what| format!("starts_{what}_total")));
    expected.push("retries_total".to_owned());
    for series in &expected {
        assert_eq!(samples.get(&format!("launchgate_loadtest_{series}")), Some(&0.0), "{series}");
    }
    // Besides these there are the three of self-monitoring, which may have values already, and no
    // moment.
    assert_eq!(samples.len(), expected.len() + 3, "{samples:?}");
}

#[tokio::test]
async fn a_scrape_shows_the_figures_as_they_are_then() {
    let mut figures = Figures::default();
    for ms in [4, 90, 90, 700_000] {
        figures.ended(Scenario::CROWD, Outcome::Won, 0, Duration::from_millis(ms));
    }
    figures.ended(Scenario::BOTS, Outcome::Won, 0, Duration::from_millis(4));
    (0..3)
        .for_each(|_| figures.answered("reserve", 0, Duration::from_millis(3), (201, AnswerClass::Decided)));
    figures.answered("pay \"now\"", 0, Duration::from_millis(3), (200, AnswerClass::Decided));
    figures.answered("look", 0, Duration::from_millis(3), (503, AnswerClass::Shed));
    let patience = Duration::from_millis(300);
    figures.lost("reserve", 0, (patience, patience), "no answer in time");
    figures.step_ended("look", StepEnd::Undecided);
    figures.started(0, 300_000, Duration::ZERO, Duration::from_millis(250));
    figures.unsent(0);
    figures.retries = 5;
    let (_watch, sources) = sources(figures);
    let (shared, gauges) = (sources.figures.clone(), sources.gauges.clone());
    sources.moments.add("start", jiff::Timestamp::from_millisecond(999_990_500).unwrap());
    sources.moments.add("opening", at(1_000_000 + 3600));
    let metrics = start(sources).await;
    let watched = async {
        while gauges.now().open_fds == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, watched).await.unwrap();

    let (samples, _) = parsed(&scrape(metrics.address()).await);
    let value = |series: &str| samples.get(&format!("launchgate_loadtest_{series}")).copied();
    for (series, expected) in [
        ("taps_total{scenario=\"crowd\",outcome=\"won\"}", 4.0),
        ("taps_total{scenario=\"bots\",outcome=\"won\"}", 1.0),
        ("taps_total{scenario=\"retry-storm\",outcome=\"sold_out\"}", 0.0),
        ("tap_duration_seconds_count{outcome=\"won\"}", 4.0),
        ("tap_duration_seconds_bucket{le=\"0.005\",outcome=\"won\"}", 1.0),
        ("tap_duration_seconds_bucket{le=\"0.05\",outcome=\"won\"}", 1.0),
        ("tap_duration_seconds_bucket{le=\"0.1\",outcome=\"won\"}", 3.0),
        ("tap_duration_seconds_bucket{le=\"300.0\",outcome=\"won\"}", 3.0),
        ("tap_duration_seconds_bucket{le=\"+Inf\",outcome=\"won\"}", 4.0),
        ("requests_total{name=\"reserve\",result=\"decided\"}", 3.0),
        ("requests_total{name=\"look\",result=\"lost\"}", 0.0),
        ("requests_total{name=\"pay \\\"now\\\"\",result=\"decided\"}", 1.0),
        ("answers_total{name=\"reserve\",status=\"201\"}", 3.0),
        ("requests_total{name=\"look\",result=\"shed\"}", 1.0),
        ("requests_total{name=\"reserve\",result=\"lost\"}", 1.0),
        ("steps_total{name=\"look\",end=\"undecided\"}", 1.0),
        ("starts_intended_total", 2.0),
        ("starts_late_total", 1.0),
        ("starts_unsent_total", 1.0),
        ("retries_total", 5.0),
        ("moment_timestamp_seconds{moment=\"start\"}", 999_990.5),
    ] {
        assert_eq!(value(series), Some(expected), "{series}");
    }
    let sum = value("tap_duration_seconds_sum{outcome=\"won\"}").unwrap();
    assert!((sum / 700.184 - 1.0).abs() < 0.01, "{sum}");
    assert!(value("open_fds").unwrap() >= 3.0 && value("cpu_ratio").unwrap() >= 0.0);
    assert!(value("timer_lag_seconds").unwrap() >= 0.0);
    for moment in ["opening", "end"] {
        assert_eq!(value(&format!("moment_timestamp_seconds{{moment=\"{moment}\"}}")), None, "{moment}");
    }

    shared.lock().unwrap().retries += 1;
    let (samples, _) = parsed(&scrape(metrics.address()).await);
    assert_eq!(samples["launchgate_loadtest_retries_total"], 6.0);
}

#[tokio::test]
async fn prometheus_finds_no_fault_with_it() {
    let (_watch, sources) = sources(Figures::default());
    sources.moments.add("start", at(1_000_000));
    let text = sources.text();
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut tool = match tool {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            crate::base::console::problem(
                "SKIPPED: promtool is not there; install Debian's prometheus to check the metrics with it",
            );
            return;
        }
        tool => tool.unwrap(),
    };
    tool.stdin.take().unwrap().write_all(classic(&text).as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The tool reads Prometheus's older format, in which a counter is described by the name that its samples have.
fn classic(text: &str) -> String {
    let (_, types) = parsed(text);
    let mut classic = String::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", kind, name, rest] if types[name] == "counter" => {
                classic.push_str(&format!("# {kind} {name}_total {rest}\n"));
            }
            _ => classic.push_str(&format!("{line}\n")),
        }
    }
    classic
}

#[tokio::test]
async fn all_else_is_not_found() {
    let (_watch, sources) = sources(Figures::default());
    let metrics = start(sources).await;
    for request in ["GET / ", "GET /metrics/ ", "HEAD /metrics ", "POST /metrics ", "DELETE /x "] {
        let request = format!("{request}HTTP/1.1\r\nHost: generator\r\n\r\n");
        let answer = exchange(metrics.address(), &request).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{request}: {answer}");
    }
}

#[tokio::test]
async fn connections_beyond_the_cap_are_closed_and_a_place_comes_back() {
    let (_watch, sources) = sources(Figures::default());
    let listen = Listen { address: LOOPBACK.parse().unwrap(), allow_beyond_loopback: false };
    // This time-out closes no connection here.
    let metrics = Metrics::start_with(listen, sources, PATIENCE).await.unwrap();
    let address = metrics.address();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    let mut refused = TcpStream::connect(address).await.unwrap();
    let end = tokio::time::timeout(PATIENCE, refused.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    drop(held);
    let request = "GET /metrics HTTP/1.1\r\nHost: generator\r\n\r\n";
    let again = async {
        while !exchange(address, request).await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn half_a_head_is_not_waited_for() {
    let (_watch, sources) = sources(Figures::default());
    let listen = Listen { address: LOOPBACK.parse().unwrap(), allow_beyond_loopback: false };
    let metrics = Metrics::start_with(listen, sources, Duration::from_millis(20)).await.unwrap();
    for half in ["", "GET /metrics HTTP/1.1\r\nHo"] {
        let answer = exchange(metrics.address(), half).await.unwrap();
        assert!(!answer.contains("200 OK"), "{answer}");
    }
}

#[tokio::test]
async fn the_server_ends_with_its_handle() {
    let (_watch, sources) = sources(Figures::default());
    let metrics = start(sources).await;
    let address = metrics.address();
    let mut open = TcpStream::connect(address).await.unwrap();
    drop(metrics);
    let end = tokio::time::timeout(PATIENCE, open.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    let gone = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn addresses_beyond_loopback_need_leave() {
    let (_watch, sources) = sources(Figures::default());
    let beyond =
        |allow_beyond_loopback| Listen { address: "0.0.0.0:0".parse().unwrap(), allow_beyond_loopback };
    let refused = Metrics::start(beyond(false), sources.clone()).await.unwrap_err();
    assert!(matches!(&refused, Failure::Usage(text) if text.contains("127.0.0.1")), "{refused}");
    assert_ne!(Metrics::start(beyond(true), sources.clone()).await.unwrap().address().port(), 0);
    let mapped = Listen { address: "[::ffff:127.0.0.1]:0".parse().unwrap(), allow_beyond_loopback: false };
    // Loopback in IPv6's clothes is let through; whether it can be bound is the system's affair.
    assert!(!matches!(Metrics::start(mapped, sources).await, Err(Failure::Usage(_))));
}

#[tokio::test]
async fn a_port_that_is_taken_is_reported() {
    let (_watch, sources) = sources(Figures::default());
    let metrics = start(sources.clone()).await;
    let taken = Listen { address: metrics.address(), allow_beyond_loopback: false };
    let error = Metrics::start(taken, sources).await.unwrap_err();
    assert!(matches!(&error, Failure::Outside(text) if text.contains("port 0")), "{error}");
}
