//! Unit tests of `host.rs`.

use super::*;
use crate::config::{CommonOptions, ServeConfig, ServeOptions, Settings};
use crate::doctor::args::DoctorArgs;
use crate::doctor::report::without_passing;

/// Options and facts that pass.
fn good() -> (ServeConfig, DoctorArgs) {
    let mut serve = ServeOptions::default();
    serve.0.insert("ops-token-file", "ops".into());
    serve.0.insert("workers", "4".into());
    let config = Settings::new(&CommonOptions::default(), Some(&serve)).serve();
    let args = DoctorArgs {
        sale: Vec::new(),
        definition: Vec::new(),
        host: None,
        gateways: None,
        balancer_idle: None,
        dashboards: None,
        json: false,
        unknown_variables: Vec::new(),
    };
    (config.unwrap_or_else(|problems| unreachable!("{problems:?}")), args)
}

/// The findings on the good options and facts, changed.
fn with(
    options: impl FnOnce(&mut ServeConfig, &mut DoctorArgs),
    facts: impl FnOnce(&mut HostFacts<'_>),
) -> Vec<Finding> {
    let (mut config, mut args) = good();
    options(&mut config, &mut args);
    let port = |option, address| Port { option, address, state: PortState::Free };
    let mut good = HostFacts {
        config: &config,
        args: &args,
        files: Some((20_000, 20_000)),
        files_of_running: None,
        somaxconn: Some(4_096),
        memory: Some(8 << 30),
        cores: 4,
        ports: vec![port("--listen", config.listen), port("--ops-listen", config.ops_listen)],
    };
    facts(&mut good);
    check(&good)
}

fn bad(
    options: impl FnOnce(&mut ServeConfig, &mut DoctorArgs),
    facts: impl FnOnce(&mut HostFacts<'_>),
) -> Vec<(&'static str, Severity)> {
    without_passing(with(options, facts))
}

fn bad_facts(facts: impl FnOnce(&mut HostFacts<'_>)) -> Vec<(&'static str, Severity)> {
    bad(|_, _| (), facts)
}

fn bad_options(options: impl FnOnce(&mut ServeConfig, &mut DoctorArgs)) -> Vec<(&'static str, Severity)> {
    bad(options, |_| ())
}

#[test]
fn a_host_that_is_large_enough_passes() {
    let config = good().0;
    assert_eq!((config.caps.connections_max, config.caps.per_address_max), (10_000, Some(1_000)));
    assert_eq!(config.connections.idle_timeout, Duration::from_secs(75));
    assert_eq!(bad_facts(|_| ()), []);
    assert_eq!(with(|_, _| (), |_| ()).len(), 8);
    assert_eq!(bad_facts(|facts| (facts.files, facts.somaxconn, facts.memory) = (None, None, None)), []);
}

#[test]
fn limits_that_are_too_small_are_reported() {
    use Severity::{Fail, Warn};
    let needed = 10_000 + 4 * 8 + 128;
    for (files, verdict) in [((1_024, 1_048_576), Fail), ((needed - 1, needed), Fail)] {
        assert_eq!(bad_facts(|facts| facts.files = Some(files)), [("files", verdict)], "{files:?}");
    }
    assert_eq!(bad_facts(|facts| facts.files_of_running = Some(1_024)), [("files", Fail)]);
    assert_eq!(bad_facts(|facts| facts.somaxconn = Some(128)), [("backlog", Warn)]);
    assert_eq!(bad_facts(|facts| facts.memory = Some(100 << 20)), [("memory", Fail)]);
    assert_eq!(bad_facts(|facts| facts.memory = Some(400 << 20)), [("memory", Warn)]);
    for per_address in [None, Some(10_000)] {
        let found = bad_options(|config, _| config.caps.per_address_max = per_address);
        assert_eq!(found, [("connections", Warn)], "{per_address:?}");
    }
    assert_eq!(bad_options(|config, _| config.workers = 5), [("workers", Warn)]);
    let unknown = bad_options(|_, args| args.unknown_variables = vec!["LAUNCHGATE_X is".into()]);
    assert_eq!(unknown, [("variables", Warn)]);
    let idle = |ours, balancer: Option<u64>| {
        bad_options(|config, args| {
            config.connections.idle_timeout = Duration::from_secs(ours);
            args.balancer_idle = balancer.map(Duration::from_secs);
        })
    };
    assert_eq!(idle(60, None), [("idle", Warn)]);
    assert_eq!(idle(75, Some(600)), [("idle", Warn)]);
    assert_eq!(idle(20, Some(15)), []);
    assert_eq!(bad_facts(|facts| facts.files = Some((needed, needed))), []);
    // For a running gateway, the limit that it was started with counts.
    let running = |facts: &mut HostFacts<'_>| {
        (facts.files, facts.files_of_running) = (Some((1_024, 1_024)), Some(65_536));
    };
    assert_eq!(bad_facts(running), []);
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
        let lines = with(|_, _| (), |facts| facts.ports[1].state = state);
        let lines: Vec<Finding> = lines.into_iter().filter(|line| line.check == "ports").collect();
        assert_eq!((lines[0].verdict, lines[1].verdict), (Ok, verdict), "{lines:?}");
        assert!(lines[1].found.contains(word) && lines[1].found.contains("--ops-listen"), "{lines:?}");
    }
    let at =
        |port: u16| bad_facts(move |facts| facts.ports.iter_mut().for_each(|one| one.address.set_port(port)));
    assert_eq!(at(0), [("ports", Warn), ("ports", Warn)]);
    assert_eq!(at(8080), [("ports", Fail)]);
}
