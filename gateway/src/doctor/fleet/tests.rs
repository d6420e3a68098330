//! Unit tests of `fleet.rs`.

use super::*;
use crate::doctor::report::without_passing;

fn gateway(listen: &str, version: &str) -> GatewayReport {
    GatewayReport {
        listen: listen.into(),
        version: version.into(),
        durability: "fsync".into(),
        workers: 2,
        token_keys: "jwks".into(),
        ready: true,
        ..GatewayReport::default()
    }
}

fn good() -> FleetFacts {
    let mut configured = Rates::default();
    for policy in [Policy::Buyer, Policy::Address, Policy::Unverified] {
        configured.set(policy, Some("20:100".parse().unwrap()));
    }
    FleetFacts {
        version: "0.1.0".into(),
        live: Ok(vec![gateway("10.0.0.1:80", "0.1.0"), gateway("10.0.0.2:80", "0.1.0")]),
        expected: Some(2),
        scripts: Ok((12, 12)),
        here: Some(RunningGateway { has_our_scripts: Some(true), ..RunningGateway::default() }),
        configured,
        set: Ok(SetLimits::default()),
    }
}

fn bad(facts: &FleetFacts) -> Vec<(&'static str, Severity)> {
    without_passing(check(facts))
}

#[test]
fn gateways_of_one_version_pass_and_so_do_none() {
    assert_eq!(bad(&good()), []);
    assert_eq!(
        bad(&FleetFacts { live: Ok(Vec::new()), expected: None, scripts: Ok((0, 12)), here: None, ..good() }),
        []
    );
    assert_eq!(bad(&FleetFacts { expected: Some(3), ..good() }), [("gateways", Severity::Fail)]);
}

#[test]
fn another_version_a_gateway_that_is_not_ready_and_scripts_that_differ_are_reported() {
    use Severity::{Fail, Warn};
    let mut mixed = good();
    mixed.live.as_mut().unwrap().push(gateway("10.0.0.3:80", "0.0.9"));
    // They sell one sale together (`tests/it/recovery/versions.rs`): an unfinished update stops no launch.
    assert_eq!(bad(&mixed), [("gateways", Warn)]);
    let line = &check(&mixed)[0];
    assert!(line.found.ends_with("\"10.0.0.3:80\" (0.0.9)"), "{line:?}");
    assert!(line.todo.as_ref().unwrap().starts_with("finish the update or roll it back"), "{line:?}");
    mixed.live.as_mut().unwrap()[2].reasons = vec!["draining".into()];
    mixed.live.as_mut().unwrap()[2].ready = false;
    mixed.live.as_mut().unwrap()[2].uptime_ms = STARTING_MS;
    assert_eq!(bad(&mixed), [("gateways", Warn), ("ready", Fail)]);
    mixed.live = Ok(vec![GatewayReport::default()]);
    mixed.expected = None;
    assert_eq!(bad(&mixed), [("gateways", Warn)]);
    let older = Ok(vec![gateway("10.0.0.3:80", "0.0.9")]);
    assert_eq!(
        bad(&FleetFacts { live: older, expected: None, scripts: Ok((0, 12)), ..good() }),
        [("gateways", Warn)]
    );
    assert_eq!(bad(&FleetFacts { scripts: Err("NOPERM".into()), ..good() }), [("scripts", Warn)]);
    assert_eq!(bad(&FleetFacts { live: Err("READONLY".into()), ..good() }), [("gateways", Warn)]);
    let here = |not_ready: Option<&str>, has_our_certificate| {
        let not_ready = not_ready.map(Into::into);
        FleetFacts {
            here: Some(RunningGateway { not_ready, has_our_certificate, ..RunningGateway::default() }),
            ..good()
        }
    };
    let other = RunningGateway { has_our_scripts: Some(false), ..RunningGateway::default() };
    assert_eq!(bad(&FleetFacts { here: Some(other), ..good() }), [("binary", Fail)]);
    assert_eq!(bad(&here(Some("draining"), Some(true))), [("ready", Fail)]);
    assert_eq!(bad(&here(None, Some(false))), [("certificate", Warn)]);
    let unlisted = |forwarded_ignored| FleetFacts {
        here: Some(RunningGateway { forwarded_ignored, ..RunningGateway::default() }),
        ..good()
    };
    assert_eq!(bad(&unlisted((40, 60))), [("proxies", Warn)]);
    assert_eq!(bad(&unlisted((40, 6_000))), []);
    assert_eq!(bad(&FleetFacts { scripts: Ok((0, 12)), ..good() }), [("scripts", Fail)]);
    assert_eq!(bad(&FleetFacts { scripts: Ok((3, 12)), ..good() }), [("scripts", Warn)]);
}

#[test]
fn alarms_of_gateways_are_reported_once_with_the_worst_severity() {
    use Severity::{Fail, Warn};
    let live = |change: &dyn Fn(&mut GatewayReport)| {
        let mut facts = good();
        facts.live.as_mut().unwrap().iter_mut().for_each(change);
        facts
    };
    let starting = live(&|of| {
        (of.ready, of.reasons, of.uptime_ms) = (false, vec!["draining".into()], STARTING_MS);
    });
    assert_eq!(bad(&starting), [("ready", Fail)]);
    let line = check(&starting).into_iter().find(|line| line.check == "ready").unwrap();
    assert_eq!(line.found, "not all are ready: 10.0.0.1:80: draining, 10.0.0.2:80: draining");
    let young = live(&|of| (of.ready, of.uptime_ms) = (false, STARTING_MS - 1));
    assert_eq!(bad(&young), [("ready", Warn)]);
    let warns = live(&|of| of.alarms = vec![Alarm::new(Level::Warning, "lines-full", "lines are full")]);
    assert_eq!(bad(&warns), [("alarms", Warn)]);
    let fault = |of: &mut GatewayReport| {
        of.alarms = vec![
            Alarm::new(Level::Warning, "lines-full", "lines are full"),
            Alarm::new(Level::Fault, "ledger-drift", "it drifts").of("small"),
        ];
    };
    let faults = live(&fault);
    assert_eq!(bad(&faults), [("alarms", Fail), ("alarms", Warn)]);
    let found: Vec<_> = check(&faults).into_iter().filter(|line| line.check == "alarms").collect();
    assert_eq!([&found[0].found, &found[1].found], ["small: it drifts", "lines are full"]);
    assert_eq!(found[0].todo.as_deref(), Some("see the live page and dashboards/RUNBOOK.md"));
}

#[test]
fn an_alarm_that_waits_for_a_person_points_at_the_action() {
    let text = "It waits for g1 (10.0.0.3:80): if it is gone for good: `gateway sale release small g1`.";
    let mut facts = good();
    let alarm = Alarm::new(Level::Fault, "ledger-fault", text).of("small");
    facts.live.as_mut().unwrap().iter_mut().for_each(|of| of.alarms = vec![alarm.clone()]);
    let line = check(&facts).into_iter().find(|line| line.check == "alarms").unwrap();
    assert_eq!(line.todo.as_deref(), Some("gateway sale release small g1"));
    let paused = Alarm::new(Level::Fault, "sale-paused", "Every tap is refused").of("small");
    facts.live.as_mut().unwrap().iter_mut().for_each(|of| of.alarms = vec![paused.clone()]);
    let line = check(&facts).into_iter().find(|line| line.check == "alarms").unwrap();
    assert_eq!(line.todo.as_deref(), Some("gateway sale resume small"));
    assert_eq!(action_in("restore `appendonly.aof`", None), "see the live page and dashboards/RUNBOOK.md");
    assert_eq!(action_in("Pause it and run `gateway audit`.", Some("small")), "gateway audit small");
}

#[test]
fn options_of_all_gateways_are_compared() {
    use Severity::{Fail, Warn};
    let live = |change: &dyn Fn(&mut GatewayReport)| {
        let mut facts = good();
        facts.live.as_mut().unwrap().iter_mut().for_each(change);
        facts
    };
    let second = |change: &dyn Fn(&mut GatewayReport)| {
        let mut facts = good();
        change(&mut facts.live.as_mut().unwrap()[1]);
        facts
    };
    let none = live(&|of| of.durability = "none".into());
    assert_eq!(bad(&none), [("durability", Warn)]);
    let line = check(&none).into_iter().find(|line| line.check == "durability").unwrap();
    assert_eq!(line.found, "none at all 2");
    let differing = second(&|of| of.durability = "none".into());
    assert_eq!(bad(&differing), [("durability", Warn)]);
    let line = check(&differing).into_iter().find(|line| line.check == "durability").unwrap();
    assert_eq!(line.found, "gateways differ: fsync at 10.0.0.1:80; none at 10.0.0.2:80");
    assert_eq!(bad(&second(&|of| of.token_keys = "hs256".into())), [("token-keys", Fail)]);
    assert_eq!(bad(&second(&|of| of.workers = 4)), [("workers", Warn)]);
    // An older version reports neither: only its version is reported.
    let older = second(&|of| (of.version, of.workers, of.token_keys) = ("0.0.9".into(), 0, String::new()));
    assert_eq!(bad(&older), [("gateways", Warn)]);
    assert!(check(&good()).iter().any(|line| line.check == "workers" && line.found == "2 at all 2"));
}

#[test]
fn limits_set_by_an_operator_are_reported_with_name_and_reason() {
    let set = |pairs: &[(&str, &str)]| {
        let fields = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        FleetFacts { set: SetLimits::parse(&fields), ..good() }
    };
    let changed = [("address", "off"), ("who", "cli:maja"), ("at", "0"), ("reason", "rehearsal")];
    let facts = set(&changed);
    assert_eq!(bad(&facts), [("limits", Severity::Warn)]);
    let line = check(&facts).pop().unwrap();
    assert!(line.found.contains("cli:maja") && line.found.contains("rehearsal"), "{line:?}");
    assert!(line.todo.unwrap().ends_with("gateway limits set address=default"));
    // Set back: as configured.
    assert_eq!(bad(&set(&changed[1..])), []);
    assert_eq!(bad(&set(&[("buyer", "many")])), [("limits", Severity::Fail)]);
    let off = FleetFacts { configured: Rates::default(), ..good() };
    assert_eq!(bad(&off), [("limits", Severity::Warn)]);
}
