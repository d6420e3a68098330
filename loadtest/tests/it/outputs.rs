//! Tests what a run leaves for other programs: its identity, summaries, files of figures, and the metrics of its end.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use serde_json::Value;
use testkit::gateway::{client, send};
use testkit::{Signal, block_on, wait_for};

use crate::proxy::Proxy;
use crate::stage::{Run, Stage, definition};

/// Reads JUnit's XML as CI systems do: each test case by suite and name, with how it ended and the message.
const READ_JUNIT: &str = "
import json, sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == 'testsuites', root.tag
cases = {}
for suite in root:
    assert suite.tag == 'testsuite', suite.tag
    own = suite.findall('testcase')
    for count, tag in [('failures', 'failure'), ('errors', 'error'), ('skipped', 'skipped')]:
        assert int(suite.get(count)) == sum(case.find(tag) is not None for case in own), (suite.get('name'), count)
    assert int(suite.get('tests')) == len(own) and float(suite.get('time')) >= 0 and suite.get('timestamp')
    for case in own:
        assert case.get('classname').startswith('loadtest.'), case.attrib
        ends = [[end.tag, end.get('message')] for end in case]
        assert len(ends) <= 1, ends
        cases[suite.get('name') + '/' + case.get('name')] = ends[0] if ends else ['passed', '']
properties = {p.get('name'): p.get('value') for p in root.iter('property')}
print(json.dumps({'cases': cases, 'properties': properties}))
";

/// `None`, after a word about it, where Python is missing.
fn read_junit(path: &str) -> Option<Value> {
    let Ok(done) = Command::new("python3").args(["-c", READ_JUNIT, path]).output() else {
        // Not by a macro: the test runner captures its output.
        let skipped = "SKIPPED reading JUnit's XML: install python3\n";
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return None;
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(serde_json::from_slice(&done.stdout).unwrap())
}

fn open(gateways: usize) -> Stage {
    let stage = Stage::set(gateways);
    stage.apply(&definition(-60, true));
    stage
}

/// The columns of seconds.csv by their names.
fn seconds(run: &Run) -> BTreeMap<String, Vec<f64>> {
    let text = run.report("seconds.csv");
    let mut rows = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let mut columns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let names = rows.next().unwrap();
    for row in rows {
        assert_eq!(row.len(), names.len(), "{text}");
        for (name, cell) in names.iter().zip(row) {
            columns.entry(name.clone()).or_default().push(cell.parse().unwrap_or(f64::NAN));
        }
    }
    columns
}

#[test]
fn a_run_is_identified_and_split_by_gateway() {
    let stage = open(2);
    let run = stage.spike(&["--buyers", "40"]);
    run.assert_passed();
    let verdict = run.verdict();
    let identity = &verdict["identity"];
    let word = |value: &Value| value.as_str().expect(&run.text).to_owned();
    let id = word(&identity["run_id"]);
    assert!(
        id.len() == 10 && run.text.contains(&format!("run {id}, loadtest 0.1.0, profile built-in (sha256:"))
    );
    let record: Value = serde_json::from_str(&run.report("run-record.json")).unwrap();
    assert_eq!(&record["run"]["identity"], identity);
    let line = word(&identity["command_line"]);
    assert!(line.starts_with("loadtest spike --gateway http://") && line.contains(" --buyers 40"), "{line}");
    assert!(
        identity["machine"]["cores"].as_u64() > Some(0)
            && identity["machine"]["memory_mib"].as_u64() > Some(0)
    );
    assert!(
        !word(&identity["machine"]["hostname"]).is_empty()
            && !word(&identity["machine"]["kernel"]).is_empty()
    );
    for page in ["report.md", "report.html"].map(|name| run.report(name)) {
        assert!(page.contains(&id) && page.contains("--buyers 40"), "{page}");
    }
    // A changed value is another profile; the value of a header field may be a secret.
    let secret = ["--header", "X-Firewall: hunter2", "--set", "buyers.twice=100"];
    let other = stage.spike(&[&["--buyers", "4"], &secret[..]].concat());
    for file in ["verdict.json", "run-record.json", "report.html", "report.md"] {
        assert!(!other.report(file).contains("hunter2"), "{file}");
    }
    let other = other.verdict();
    assert!(word(&other["identity"]["command_line"]).contains("--header X-Firewall:…"), "{other}");
    assert_ne!(other["identity"]["profile"]["digest"], identity["profile"]["digest"]);
    assert_ne!(other["identity"]["run_id"], identity["run_id"]);

    let gateways = verdict["gateways"].as_array().unwrap();
    let urls: Vec<String> = gateways.iter().map(|gateway| word(&gateway["gateway"])).collect();
    assert_eq!(urls, stage.gateways().split(',').collect::<Vec<_>>());
    let sent = |of: &Value| of["sent"].as_u64().unwrap();
    assert!(gateways.iter().all(|gateway| sent(gateway) > 10), "{gateways:?}");
    let by_name: u64 = verdict["requests"].as_object().unwrap().values().map(sent).sum();
    assert_eq!(gateways.iter().map(sent).sum::<u64>(), by_name);
    assert!(run.text.contains(&format!("gateway   {}: ", urls[1])), "{}", run.text);

    let merged = stage.merge(&[&run], &[]).verdict();
    let parts = merged["identity"]["parts"].as_array().unwrap();
    assert_eq!((parts.len(), &parts[0]), (1, identity));
    assert!(word(&merged["identity"]["command_line"]).starts_with("loadtest merge "));
}

#[test]
fn the_files_of_figures_agree_with_the_verdict() {
    let stage = open(1);
    let run = stage.run("look", &stage.gateways(), &["--arrivals", "constant:50/s:2s"]);
    run.assert_passed();
    let columns = seconds(&run);
    let sum = |name: &str| columns[name].iter().sum::<f64>() as u64;
    let sums = ["intended", "started", "sent", "answered", "failed", "limited", "shed", "lost"].map(sum);
    assert_eq!(sums, [100, 100, 100, 100, 0, 0, 0, 0], "{}", run.report("seconds.csv"));
    assert_eq!(columns["in_flight"].last(), Some(&0.0));
    assert_eq!(columns["intended"][..2], [50.0, 50.0], "by the second of the intended start");
    let both = columns["answered"].iter().zip(&columns["p99_ms"]);
    assert!(both.clone().all(|(answered, p99)| (*answered > 0.0) == (*p99 > 0.0)), "{columns:?}");
    for file in ["request-look", "journey-look", "start-lateness"] {
        let text = run.report(&format!("hdr/{file}.hgrm"));
        assert!(text.contains("Total count    =          100]"), "{file}: {text}");
    }
    assert!(!run.dir.join("hdr/outcome-won.hgrm").exists(), "nothing was tapped");
    // Lines are ours only, and name the scenario's one request.
    let lines = [
        "look on small",
        "run ",
        "open for ",
        "opens in ",
        "starts ",
        "journey ",
        "request ",
        "ledger ",
        "note ",
        "PASS",
    ];
    for line in run.text.lines().filter(|line| !line.is_empty()) {
        let is_known = lines.iter().chain(&["report in "]).any(|begin| line.starts_with(begin));
        assert!(is_known, "{line:?} in {}", run.text);
    }
    let progress = run.text.lines().find(|line| line.starts_with("open for ")).expect(&run.text);
    for words in [" requests/s", " in flight", "p50 ", "p99 ", "so far no errors", "start lateness p99"] {
        assert!(progress.contains(words), "{words:?} is missing in {progress}");
    }

    // A later run leaves none of an earlier one's files.
    let dir = run.dir.to_str().unwrap();
    let again = stage.spike(&["--buyers", "6", "--report", dir]);
    assert_eq!(again.code, 0, "{}", again.text);
    assert!(!run.dir.join("hdr/journey-look.hgrm").exists() && run.dir.join("hdr/outcome-won.hgrm").exists());
}

/// The data of a chart of the page.
fn chart(run: &Run, title: &str) -> Value {
    let page = run.report("report.html");
    let data = page.split_once(" id=\"charts\">").unwrap().1.split_once("</script>").unwrap().0;
    serde_json::from_str::<Value>(data).unwrap()[title].clone()
}

#[test]
fn a_server_that_stops_for_a_second_is_a_peak_in_the_chart() {
    let stage = open(1);
    // Of the looks at 50 a second, fifty in a row are not answered before the last of them is there.
    let (begins, ends, arrived) = (60, 110, AtomicUsize::new(0));
    let stalled = Proxy::before(&stage.gateways(), move |request, gateway| {
        if request.path.ends_with("/sales/small") {
            let number = arrived.fetch_add(1, SeqCst);
            while (begins..ends).contains(&number) && arrived.load(SeqCst) < ends {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        gateway.answer(request)
    });
    let run = stage.run("look", &stalled.url(), &["--arrivals", "constant:50/s:4s"]);
    run.assert_passed();
    let chart = chart(&run, "Latency of journeys");
    let numbers = |values: &Value| -> Vec<Option<f64>> {
        values.as_array().unwrap().iter().map(Value::as_f64).collect()
    };
    let (x, p99) = (numbers(&chart["x"]), numbers(&chart["series"][0]["values"]));
    let peak = p99.iter().flatten().copied().fold(0.0, f64::max);
    let at = x[p99.iter().position(|value| *value == Some(peak)).unwrap()].unwrap();
    // The first of them waited for a second, whatever else this machine did; a few looks were made before the load.
    assert!(peak >= 950.0 && (0.5..=1.5).contains(&at), "{peak} ms at {at} s: {chart}");
    let last = p99.iter().flatten().next_back().unwrap();
    assert!(*last < peak / 2.0, "it is over at the end: {chart}");
}

#[test]
fn summaries_are_written_where_they_are_asked_for() {
    let stage = open(1);
    let junit = stage.write("junit.xml", "of an earlier run");
    let asked = "verdict.thresholds=[\"won < 1\", \"wrong < 1\", \"bots/won < 1\"]";
    let summary = format!("junit:{junit}");
    let more = ["--buyers", "6", "--set", asked, "--summary", &summary, "--summary", "json:-"];
    let (mut command, dir) = stage.prepared("spike", &more);
    let done = command.output().unwrap();
    let [out, err] = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(done.status.code(), Some(1), "{err}");
    let verdict = std::fs::read_to_string(dir.join("verdict.json")).unwrap();
    assert_eq!(out, verdict, "standard output has the summary and nothing else");
    assert!(err.contains("FAIL: won < 1 expected") && err.contains("open for "), "{err}");

    let Some(read) = read_junit(&junit) else { return };
    let case = |name: &str| read["cases"][name].as_array().unwrap_or_else(|| panic!("{name}: {read}"));
    let expected = [
        ("loadtest.verdict/verdict", "failure", "won < 1 expected, measured 6"),
        ("loadtest.thresholds/won < 1", "failure", "measured 6"),
        ("loadtest.thresholds/wrong < 1", "passed", ""),
        ("loadtest.thresholds/bots/won < 1", "skipped", "measured no taps of bots"),
        ("loadtest.proof/the answers agree with the ledger", "passed", ""),
        ("loadtest.generator/the generator was not the limit", "passed", ""),
    ];
    for (name, end, message) in expected {
        assert_eq!(case(name), &[end, message], "{name}");
    }
    let id = serde_json::from_str::<Value>(&verdict).unwrap()["identity"]["run_id"].clone();
    assert_eq!(read["properties"]["run_id"], id);

    // A broken rule of the proof, with its text.
    stage.redis::<()>(&["HINCRBY", "lg:{small}:stock", "model:air-black", "1"]);
    let broken = stage.spike(&["--buyers", "4", "--summary", &summary]);
    assert_eq!(broken.code, 1, "{}", broken.text);
    let read = read_junit(&junit).unwrap();
    let rule = &read["cases"]["loadtest.proof/audit-balanced"];
    assert!(rule[0] == "failure" && rule[1] == "the audit's verdict is drift", "{read}");
}

#[test]
fn a_run_that_proves_nothing_has_a_summary_and_a_file_that_cannot_be_written_is_reported_first() {
    let stage = open(1);
    let junit = stage.write("junit.xml", "");
    let summary = format!("junit:{junit}");
    // Both findings are of this machine: it may use no CPU, and no start may be late.
    let starved = "generator={late=\"0s\",late_share=0,cpu=1}";
    let run = stage.spike(&["--buyers", "50", "--set", starved, "--summary", &summary]);
    assert_eq!(run.code, 4, "{}", run.text);
    let findings = run.verdict()["generator_findings"].as_array().unwrap().len();
    if let Some(read) = read_junit(&junit) {
        assert_eq!(read["cases"]["loadtest.verdict/verdict"][0], "error", "{read}");
        for n in 1..=findings {
            assert_eq!(read["cases"][format!("loadtest.generator/finding {n}")][0], "error", "{read}");
        }
    }
    stage.close();
    let closed = stage.spike(&["--buyers", "5", "--summary", &summary]);
    assert_eq!(closed.code, 4, "{}", closed.text);
    if let Some(read) = read_junit(&junit) {
        let ends = ["verdict/verdict", "proof/the answers agree with the ledger"];
        let ends = ends.map(|name| read["cases"][format!("loadtest.{name}")][0].clone());
        assert_eq!(ends, ["error", "skipped"], "{read}");
    }
    for (summary, words) in [
        ("junit:/nowhere/junit.xml", "--summary /nowhere/junit.xml"),
        ("tap", "write it as json or junit"),
        ("junit:", "the name of the file is missing"),
        ("json:-,junit:-", "only one can go to standard output"),
    ] {
        let refused = stage.spike(&["--buyers", "5", "--summary", summary]);
        assert_eq!(refused.code, 2, "{}", refused.text);
        assert!(refused.text.contains(words), "{words:?} is missing in {}", refused.text);
    }
}

#[test]
fn the_metrics_stay_for_a_last_scrape_until_a_signal() {
    let stage = open(1);
    for signal in [Signal::TERM, Signal::INT] {
        let more = ["--arrivals", "constant:50/s:1s", "--metrics-listen", "127.0.0.1:0", "--linger", "1h"];
        let (mut command, dir) = stage.prepared("look", &more);
        command.stdout(Stdio::piped());
        let mut run = testkit::program::Program::new("loadtest", command);
        run.spawn().unwrap();
        let mut lines = BufReader::new(run.stdout().unwrap()).lines().map_while(Result::ok);
        let mut address = None;
        let lingers = lines.find(|line| {
            let here =
                line.split_once("metrics at http://").and_then(|(_, rest)| rest.split_once("/metrics"));
            address = address.take().or(here.map(|(address, _)| address.to_owned()));
            line.ends_with("or until a signal")
        });
        assert!(lingers.is_some(), "it says that it waits");
        let verdict: Value =
            serde_json::from_str(&std::fs::read_to_string(dir.join("verdict.json")).unwrap()).unwrap();
        let url = format!("http://{}/metrics", address.unwrap());
        let text = block_on(send(client().get(url))).text;
        let id = verdict["identity"]["run_id"].as_str().unwrap();
        for series in [
            format!(
                "launchgate_loadtest_run_info{{run_id=\"{id}\",scenario=\"look\",sale=\"small\",tool=\"loadtest "
            ),
            "launchgate_loadtest_requests_total{name=\"look\",result=\"decided\"} 50".to_owned(),
            "launchgate_loadtest_requests_total{name=\"look\",result=\"lost\"} 0".to_owned(),
            "launchgate_loadtest_answers_total{name=\"look\",status=\"".to_owned(),
            "launchgate_loadtest_moment_timestamp_seconds{moment=\"end\"}".to_owned(),
            "launchgate_loadtest_requests_in_flight 0".to_owned(),
        ] {
            assert!(text.contains(&series), "{series} is missing in {text}");
        }
        std::thread::spawn(move || lines.for_each(drop));
        run.signal(signal);
        let status = wait_for("it ends", || run.ended()).unwrap();
        assert_eq!(status.code(), Some(0), "the verdict's: {signal:?}");
    }
}
