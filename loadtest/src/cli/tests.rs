//! Tests the command line.

use super::*;

const USUAL: [&str; 8] =
    ["--gateway", "http://a:1/", "--ops", "http://o:2", "--sale", "s-1", "--ops-token-file", "o"];

fn parse(more: &[&str]) -> RunOptions {
    match task(["loadtest", "spike"].iter().chain(&USUAL).chain(more)).unwrap() {
        Task::Run(Some(Scenario::SPIKE), options) => *options,
        other => panic!("{other:?}"),
    }
}

fn task<'a>(line: impl IntoIterator<Item = &'a &'a str>) -> Result<Task, clap::Error> {
    Task::from_matches(&command().try_get_matches_from(line)?)
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    command().debug_assert();
}

#[test]
fn every_option_has_its_environment_variable() {
    for command in command().get_subcommands() {
        let named = command.get_arguments().filter(|arg| arg.get_long().is_some());
        for arg in named.filter(|arg| !["help", "version"].contains(&arg.get_id().as_str())) {
            let long = arg.get_long().unwrap();
            let variable = format!("LAUNCHGATE_{}", long.to_uppercase().replace('-', "_"));
            // What confirms something is a flag only: an environment is inherited.
            let expected = Some(variable.as_str()).filter(|_| long != "i-mean-it");
            assert_eq!(arg.get_env().and_then(|env| env.to_str()), expected, "--{long}");
        }
    }
}

#[test]
fn every_scenario_is_a_command() {
    for scenario in Scenario::all() {
        let line = ["loadtest", scenario.name()];
        let Task::Run(run, _) = task(line.iter().chain(&USUAL).chain(&["--tokens", "f"])).unwrap() else {
            panic!("{scenario:?}")
        };
        assert_eq!(run, Some(scenario));
        let help = command().render_long_help().to_string();
        assert!(
            help.contains(&format!("  {} ", scenario.name())) && help.contains(scenario.about()),
            "{help}"
        );
    }
}

#[test]
fn a_usual_line_is_read() {
    let options = parse(&["--auth-secret-file", "f", "--gateway", "https://b:1", "--deadline", "2m"]);
    assert!(options.check().is_ok());
    assert_eq!(options.target.gateways(), ["http://a:1", "https://b:1"]);
    assert_eq!(options.target.deadline, Some(Duration::from_secs(120)));
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let options = parse(&[
        "--tokens",
        "f",
        "--buyers",
        "0",
        "--gateway",
        "b:1",
        "--tries",
        "0",
        "--seed",
        "1",
        "--shard",
        "1/2",
    ]);
    let text = options.check().unwrap_err().to_string();
    for flag in ["--buyers", "--gateway", "--tries", "--shard"] {
        assert!(text.contains(flag), "{flag} is missing in {text}");
    }
}

#[test]
fn there_must_be_a_source_of_tokens_and_a_shard_needs_a_seed() {
    let parses = |more: &[&str]| task(["loadtest", "spike"].iter().chain(&USUAL).chain(more)).is_ok();
    assert!(parses(&["--tokens", "f"]) && !parses(&[]));
    assert!(!parses(&["--tokens", "f", "--shard", "1/2"]));
}

#[test]
fn a_launch_to_plan_for_is_read() {
    let launch = Launch::parse("1200000/10s").unwrap();
    assert_eq!((launch.starts, launch.within), (1_200_000.0, Duration::from_secs(10)));
    for wrong in ["", "5", "0/10s", "5/0s", "x/10s", "5/soon", "inf/1s"] {
        assert!(Launch::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_search_takes_every_scenario_and_the_mix() {
    let line = |scenario: &'static str| {
        let usual = ["loadtest", "capacity"].into_iter().chain(USUAL);
        let line: Vec<&str> = usual.chain(["--tokens", "f", "--scenario", scenario]).collect();
        task(&line)
    };
    let names = Scenario::all().into_iter().map(Scenario::name);
    for name in names.chain(["mix"]) {
        let Task::Other(other) = line(name).unwrap() else { panic!("{name}") };
        let Command::Capacity(options) = *other else { panic!("{name}") };
        assert_eq!(options.scenario.name(), name);
    }
    assert!(line("stampede").unwrap_err().to_string().contains("expected one of spike, crowd"));
}

#[test]
fn every_variable_of_an_option_is_documented_for_the_gateway() {
    let sources = [
        include_str!("../cli.rs"),
        include_str!("../load/output.rs"),
        include_str!("../client/options.rs"),
        include_str!("../client/transport.rs"),
    ]
    .concat();
    for name in variables::names(&command()) {
        assert!(sources.contains(&format!("\"{name}\"")), "{name}");
    }
    let options = include_str!("../../../gateway/src/config/options.rs");
    assert!(options.contains("\"LAUNCHGATE_DURABILITY\""), "where the variables of the gateway stand");
}
