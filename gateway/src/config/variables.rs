//! Checks the `LAUNCHGATE_…` variables of this process: an empty one counts as unset, and unknown ones
//! are reported.
//!
//! The load test includes this file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::mem;

use clap::Command;

use super::nearest::distance;

/// The prefix of all variables.
const PREFIX: &str = "LAUNCHGATE_";

/// Options of our programs that destroy or confirm something, as the rest of a variable: flags only, so that no command
/// inherits them.
const FLAGS_ONLY: [&str; 3] = ["ALL", "CONFIRM", "I_MEAN_IT"];

/// Variables that no option of this program has, by name; a value may be a secret.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Names that are nearly those of an option that is not set: the program would run with other
    /// settings than intended. Each is a sentence.
    pub mistyped: Vec<String>,
    /// All others, which a later version may have. Each is a sentence.
    pub others: Vec<String>,
}

/// The command without the values of empty variables.
pub fn without_empty(command: Command) -> Command {
    let mut command = command.mut_args(|arg| {
        let is_empty =
            arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()));
        if is_empty { arg.env(None::<&'static str>) } else { arg }
    });
    for one in command.get_subcommands_mut() {
        *one = without_empty(mem::take(one));
    }
    command
}

/// Checks the variables of this process. `others` are the sources of the command lines of other programs: one
/// environment may serve all of them.
pub fn unknown(command: &Command, others: &[&str]) -> Unknown {
    let foreign: Vec<&str> = others.iter().flat_map(|source| named_in(source)).collect();
    unknown_among(&names(command), &foreign, std::env::vars_os())
}

/// The names in a program's source, without the prefix.
fn named_in(source: &str) -> impl Iterator<Item = &str> {
    source.split("\"LAUNCHGATE_").skip(1).filter_map(|rest| rest.split('"').next())
}

/// The variables of all options of a command and of its subcommands.
pub fn names(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str().map(ToOwned::to_owned));
    own.chain(command.get_subcommands().flat_map(names)).collect()
}

fn unknown_among(
    expected: &BTreeSet<String>,
    foreign: &[&str],
    set: impl Iterator<Item = (OsString, OsString)>,
) -> Unknown {
    let set: BTreeSet<String> = set
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .collect();
    let mut unknown = Unknown::default();
    for name in set.iter().filter(|name| !expected.contains(*name)) {
        let upper = name.to_ascii_uppercase().replace('-', "_");
        let rest = upper.strip_prefix(PREFIX);
        if rest.is_some_and(|rest| foreign.contains(&rest)) || is_of_kubernetes(&upper) {
            continue;
        }
        if rest.is_some_and(|rest| FLAGS_ONLY.contains(&rest)) {
            unknown.others.push(format!(
                "the variable {name} has no effect: it is a flag only, which each call has to give"
            ));
            continue;
        }
        match intended(&upper, expected) {
            Some(intended) if !set.contains(intended) => {
                unknown.mistyped.push(format!("the variable {name} is unknown: expected {intended}, or unset it"));
            }
            _ if rest.is_some() => unknown.others.push(format!(
                "the variable {name} is unknown and has no effect: `gateway config` lists those of the gateway, \
                 `--help` those of a command"
            )),
            _ => {}
        }
    }
    unknown
}

/// The variable that was obviously intended.
fn intended<'k>(name: &str, expected: &'k BTreeSet<String>) -> Option<&'k String> {
    let near = |expected: &&String| {
        let rest = expected.len() - PREFIX.len();
        let slips_max = match rest {
            ..4 => 0,
            4..6 => 1,
            _ => 2,
        };
        // The length first: each command compares all variables of its environment, and hardly any is near.
        let is_near =
            name.len().abs_diff(expected.len()) <= slips_max && distance(name, expected) <= slips_max;
        is_near || extends(name, expected)
    };
    // Of several, the longest is the nearest.
    expected
        .iter()
        .filter(near)
        .max_by_key(|expected| (usize::MAX - distance(name, expected), expected.len()))
}

/// Whether this is a variable's name with one more word at its end: `…_DURABILITY_LEVEL`.
fn extends(name: &str, expected: &str) -> bool {
    let more = name.strip_prefix(expected).and_then(|more| more.strip_prefix('_'));
    more.is_some_and(|more| !more.is_empty() && !more.contains('_'))
}

/// Whether Kubernetes sets this for a service whose name begins with `launchgate`, as links of containers do.
fn is_of_kubernetes(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX.trim_end_matches('_')).filter(|rest| rest.starts_with('_'))
    else {
        return false;
    };
    let is_service = ["_SERVICE_HOST", "_SERVICE_PORT"].iter().any(|end| rest.ends_with(end));
    is_service || rest.contains("_SERVICE_PORT_") || rest.ends_with("_PORT") || {
        // _PORT_8080_TCP, and its _PROTO, _PORT and _ADDR.
        let base = ["_PROTO", "_PORT", "_ADDR"].iter().find_map(|end| rest.strip_suffix(end)).unwrap_or(rest);
        let number = ["_TCP", "_UDP", "_SCTP"].iter().find_map(|end| base.strip_suffix(end));
        number
            .and_then(|base| base.rsplit_once("_PORT_"))
            .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

#[cfg(test)]
// The load test includes this file by its path.
#[path = "variables/tests.rs"]
mod tests;
