//! This machine: ports, open files; and dashboards beside the binary.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use testkit::cli::end;
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::redis::Redis;
use testkit::tls::Certificate;

use super::{DoctorFixture, Findings};

#[test]
fn a_balancer_that_keeps_idle_connections_longer_is_found() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    doctor.examine(&["--idle-timeout-ms", "30000"]).has("host", "idle", "warn", "after 30 s");
    doctor.examine(&["--balancer-idle", "600s"]).has("host", "idle", "warn", "for 600 s");
    let findings = doctor.examine(&["--balancer-idle", "10m", "--idle-timeout-ms", "620000"]);
    assert_eq!(findings.verdicts("host", "idle"), ["ok"], "{findings:#?}");
}

#[tokio::test]
async fn a_port_is_free_or_a_gateway_s_or_reported() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    // Where no other test listens.
    let taken = TcpListener::bind("127.0.0.2:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    doctor.examine(&["--listen", &address]).has(
        "host",
        "ports",
        "fail",
        &format!("--listen {address} is in use"),
    );
    doctor.examine(&["--ops-listen", &address]).has("host", "ports", "fail", "--ops-listen");
    drop(taken);
    assert!(doctor.examine(&["--listen", &address]).verdicts("host", "ports").contains(&"ok"));
    // TEST-NET-1 (RFC 5737): no machine has it.
    doctor.examine(&["--listen", "192.0.2.1:8080"]).has("host", "ports", "fail", "192.0.2.1");
    doctor.examine(&["--listen", &address, "--ops-listen", &address]).has(
        "host",
        "ports",
        "fail",
        "the same address",
    );

    let gateway = Gateway::start(&redis).await;
    let [listen, ops] = [&gateway.url, &gateway.ops_url].map(|url| url.strip_prefix("http://").unwrap());
    let findings = doctor.examine(&["--listen", listen, "--ops-listen", ops]);
    assert_eq!(findings.verdicts("host", "ports"), ["ok", "ok"], "{findings:#?}");
    findings.has("host", "ports", "ok", "a gateway of version");
    // In its own log once, and in a heartbeat once a second.
    eventually("its heartbeat shows that it is ready", || async {
        let findings = doctor.examine(&["--listen", listen, "--ops-listen", ops]);
        (findings.verdicts("fleet", "ready") == ["ok"] && findings.verdicts("fleet", "alarms") == ["ok"])
            .then_some(())
    })
    .await;
    findings.has("fleet", "binary", "ok", "the scripts of this binary");
    // What it may open is its own limit, whatever this shell's is.
    findings.has("host", "files", "ok", "the gateway on this host may open");
    let findings =
        doctor.examine(&["--listen", listen, "--ops-listen", ops, "--connections-max", "10000000"]);
    assert_eq!(findings.verdicts("host", "files"), ["fail"], "{findings:#?}");
    assert_eq!(findings.verdicts("fleet", "gateways"), ["ok"]);
    assert_eq!(findings.verdicts("fleet", "scripts"), ["ok"]);
    // Swapped addresses do not match a gateway: neither listener answers as the other.
    let findings = doctor.examine(&["--listen", ops, "--ops-listen", listen]);
    findings.has("host", "ports", "fail", "no gateway answers");
}

#[tokio::test]
async fn a_gateway_with_tls_is_recognised_by_its_certificate_for_any_issuer() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let (certificate, _) = Certificate::new();
    let options = [certificate.options(""), certificate.options("ops-")].concat();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let gateway = Gateway::spawn(&redis, &options);
    let [listen, ops] = [&gateway.url, &gateway.ops_url].map(|url| url.strip_prefix("http://").unwrap());
    let doctor = DoctorFixture::new(&redis);
    let addresses = ["--listen", listen, "--ops-listen", ops];
    let findings = testkit::eventually("it is ready", || async {
        let findings = doctor.examine(&[&addresses[..], &options].concat());
        (findings.verdicts("fleet", "ready") == ["ok"]).then_some(findings)
    })
    .await;
    assert_eq!(findings.verdicts("host", "ports"), ["ok", "ok"], "{findings:#?}");
    assert_eq!(findings.verdicts("fleet", "certificate"), [""; 0], "{findings:#?}");
    // The files of another gateway.
    let (another, _) = Certificate::new();
    let options = [another.options(""), another.options("ops-")].concat();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let findings = doctor.examine(&[&addresses[..], &options].concat());
    findings.has("fleet", "certificate", "warn", "another certificate");
}

#[test]
fn too_few_files_are_reported() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    let limited = |files: &str, options: &[&str]| {
        let bare = doctor.command(options);
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={files}")).arg(bare.get_program()).args(bare.get_args());
        bare.get_envs().filter(|(_, value)| value.is_none()).for_each(|(name, _)| {
            command.env_remove(name);
        });
        Findings::of(end(command))
    };
    limited("200:300", &[]).has("host", "files", "fail", "200 may be open at once (at most 300)");
    assert_eq!(limited("300:300", &[]).verdicts("host", "files"), ["ok"]);
    limited("300:300", &["--connections-max", "200"]).has("host", "files", "fail", "200 connections");
    doctor.examine(&["--limit-keys-max", "100000000", "--connections-max", "10000000"]);
    // More threads than cores.
    doctor.examine(&["--workers", "1000"]).has("host", "workers", "warn", "1000 workers");
}

#[test]
fn rules_and_dashboards_are_held_against_the_binary() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let doctor = DoctorFixture::new(&redis);
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    let findings = doctor.examine(&["--dashboards", &ours.display().to_string()]);
    assert_eq!(findings.verdicts("dashboards", "metrics"), ["ok"], "{findings:#?}");
    let rules = doctor.path("rules");
    std::fs::create_dir(&rules).unwrap();
    let rule = std::fs::read_to_string(ours.join("prometheus/rules/ledger.yml")).unwrap();
    std::fs::write(
        rules.join("ledger.yml"),
        rule.replacen("launchgate_ledger_drift", "launchgate_ledger_drifts", 1),
    )
    .unwrap();
    let findings = doctor.examine(&["--dashboards", &doctor.arg("rules")]);
    findings.has("dashboards", "metrics", "fail", "launchgate_ledger_drifts is not a metric of this binary");
    assert_eq!(findings.code, 1);
    std::fs::remove_file(rules.join("ledger.yml")).unwrap();
    doctor.examine(&["--dashboards", &doctor.arg("rules")]).has(
        "dashboards",
        "files",
        "fail",
        "uses a metric",
    );
}
