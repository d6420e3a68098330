//! Writes down the command line of this process, as a shell takes it.

use crate::cli;
use crate::variables;

/// Its values may be secrets, such as a key of a firewall.
const HEADER: &str = "--header";
const HEADER_VARIABLE: &str = "LAUNCHGATE_HEADER";

/// The command line, with the variables that stand for options of its command. All secrets are in files, but for
/// values of headers, which are left out.
pub(crate) fn command_line() -> String {
    let own = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    written(own, variables.map(|(name, value)| (name, value.to_string_lossy().into_owned())).collect())
}

fn written(mut words: Vec<String>, mut variables: Vec<(String, String)>) -> String {
    let command = cli::command();
    let known = words.get(1).and_then(|name| command.find_subcommand(name)).map(variables::names);
    let known = known.unwrap_or_default();
    variables.retain(|(name, value)| known.contains(name) && !value.is_empty());
    variables.sort();
    if let Some(program) = words.first_mut() {
        *program = program.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let mut line: Vec<String> = variables
        .into_iter()
        .map(|(name, value)| {
            let value = if name == HEADER_VARIABLE { without_value(&value) } else { value };
            format!("{name}={}", quoted(&value))
        })
        .collect();
    let mut is_header = false;
    for word in words {
        let word = match word.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('=')) {
            Some(header) => format!("{HEADER}={}", without_value(header)),
            None if is_header => without_value(&word),
            None => word,
        };
        is_header = word == HEADER;
        line.push(quoted(&word));
    }
    line.join(" ")
}

/// `NAME:…` of `NAME:VALUE`.
fn without_value(header: &str) -> String {
    format!("{}:…", header.split(':').next().unwrap_or_default())
}

/// As it is where a shell leaves it as it is.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+…".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests;
