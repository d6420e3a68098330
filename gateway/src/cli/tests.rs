//! Tests the definition of the command line.

use super::*;

/// What destroys, confirms or draws something is a flag only, and what excludes that: an environment is inherited.
const FLAGS_ONLY: [&str; 6] = ["all", "confirm", "reveal", "beacon", "publish", "verify"];
/// Options that choose a form of the output.
const FORMS: [&str; 4] = ["help", "version", "spec", "api"];

fn check(command: &clap::Command, checked: &mut Vec<String>) {
    for arg in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
        let long = arg.get_long().unwrap();
        let variable = format!("LAUNCHGATE_{}", long.to_uppercase().replace('-', "_"));
        let has_none = FLAGS_ONLY.contains(&long) || FORMS.contains(&long);
        let expected = Some(variable.as_str()).filter(|_| !has_none);
        assert_eq!(arg.get_env().and_then(|env| env.to_str()), expected, "{} --{long}", command.get_name());
        checked.push(long.to_owned());
    }
    command.get_subcommands().for_each(|command| check(command, checked));
}

#[test]
fn every_option_has_its_variable_but_those_that_destroy_or_confirm() {
    let mut checked = Vec::new();
    check(&Cli::command(), &mut checked);
    for long in FLAGS_ONLY.iter().chain(&["redis", "reason", "json"]) {
        assert!(checked.iter().any(|checked| checked == long), "{long}");
    }
}
