//! Unit tests of `host.rs`.

use super::*;
use crate::doctor::report::without_passing;

fn good() -> HostFacts {
    let port = |option, address: &str| Port {
        option,
        address: address.parse().unwrap_or_else(|_| unreachable!()),
        state: PortState::Free,
    };
    HostFacts {
        files: Some((20_000, 20_000)),
        files_of_running: None,
        somaxconn: Some(4_096),
        backlog: 4_096,
        memory: Some(8 << 30),
        cores: 4,
        workers: 4,
        connections: 10_000,
        connections_per_address: Some(1_000),
        in_flight_per_worker: 2_500,
        idle_timeout: Duration::from_secs(75),
        balancer_idle: None,
        limit_keys: 1_000_000,
        ports: vec![port("--listen", "127.0.0.1:8080"), port("--ops-listen", "127.0.0.1:9090")],
        unknown_variables: Vec::new(),
    }
}

fn bad(facts: &HostFacts) -> Vec<(&'static str, Severity)> {
    without_passing(check(facts))
}

#[test]
fn a_host_that_is_large_enough_passes() {
    assert_eq!(bad(&good()), []);
    assert_eq!(check(&good()).len(), 8);
    let unknown = HostFacts { files: None, somaxconn: None, memory: None, ..good() };
    assert_eq!(bad(&unknown), []);
}

#[test]
fn limits_that_are_too_small_are_reported() {
    use Severity::{Fail, Warn};
    let needed = 10_000 + 4 * 8 + 128;
    for (facts, check, verdict) in [
        (HostFacts { files: Some((1_024, 1_048_576)), ..good() }, "files", Fail),
        (HostFacts { files: Some((needed - 1, needed)), ..good() }, "files", Fail),
        (HostFacts { files_of_running: Some(1_024), ..good() }, "files", Fail),
        (HostFacts { connections_per_address: None, ..good() }, "connections", Warn),
        (HostFacts { connections_per_address: Some(10_000), ..good() }, "connections", Warn),
        (HostFacts { somaxconn: Some(128), ..good() }, "backlog", Warn),
        (HostFacts { memory: Some(100 << 20), ..good() }, "memory", Fail),
        (HostFacts { memory: Some(400 << 20), ..good() }, "memory", Warn),
        (HostFacts { workers: 5, ..good() }, "workers", Warn),
        (HostFacts { unknown_variables: vec!["LAUNCHGATE_X is".into()], ..good() }, "variables", Warn),
        (HostFacts { idle_timeout: Duration::from_secs(60), ..good() }, "idle", Warn),
        (HostFacts { balancer_idle: Some(Duration::from_secs(600)), ..good() }, "idle", Warn),
    ] {
        assert_eq!(bad(&facts), [(check, verdict)], "{facts:?}");
    }
    assert_eq!(bad(&HostFacts { files: Some((needed, needed)), ..good() }), []);
    let short = HostFacts {
        idle_timeout: Duration::from_secs(20),
        balancer_idle: Some(Duration::from_secs(15)),
        ..good()
    };
    assert_eq!(bad(&short), []);
    // For a running gateway, the limit that it was started with counts.
    let running = HostFacts { files: Some((1_024, 1_024)), files_of_running: Some(65_536), ..good() };
    assert_eq!(bad(&running), []);
}

#[test]
fn a_port_must_be_free_or_a_gateway_s() {
    use Severity::{Fail, Ok, Warn};
    for (state, verdict, word) in [
        (PortState::Free, Ok, "is free"),
        (PortState::Gateway("0.1.0".into()), Ok, "version 0.1.0"),
        (PortState::Taken, Fail, "no gateway answers"),
        (PortState::Refused("permission denied".into()), Fail, "permission denied"),
    ] {
        let mut facts = good();
        facts.ports[1].state = state;
        let lines: Vec<Finding> = check(&facts).into_iter().filter(|line| line.check == "ports").collect();
        assert_eq!((lines[0].verdict, lines[1].verdict), (Ok, verdict), "{lines:?}");
        assert!(lines[1].found.contains(word) && lines[1].found.contains("--ops-listen"), "{lines:?}");
    }
    let mut any = good();
    any.ports[0].address.set_port(0);
    any.ports[1].address.set_port(0);
    assert_eq!(bad(&any), [("ports", Warn), ("ports", Warn)]);
    any.ports.iter_mut().for_each(|port| port.address.set_port(8080));
    assert_eq!(bad(&any), [("ports", Fail)]);
}
