//! Runs the load test as a program: the built-in scenarios, and those that are added to it.

use std::process::ExitCode;

use goose::goose::Scenario as GooseScenario;

use crate::base::failure::Failure;
use crate::base::scenario::{Arrive, Scenario};
use crate::base::{console, signals};
use crate::cli::{self, Command, Task};
use crate::launch::{self, capacity, judge};
use crate::load::scenarios::Scenarios;
use crate::plan::profile;

/// A command's name must fit on a line of `--help`.
const NAME_BYTES_MAX: usize = 32;
/// Other commands of the program.
const TAKEN: [&str; 6] = ["mix", "merge", "capacity", "profile", "help", "replay"];

/// A load test program. Each of its scenarios is a command, a weight of `mix`, and a name for thresholds.
#[derive(Default)]
pub struct Program {
    own: Vec<(Arrive, GooseScenario)>,
}

impl Program {
    /// One with the built-in scenarios.
    pub fn new() -> Program {
        Program::default()
    }

    /// Adds a scenario whose buyers come as told, if neither `--arrivals` nor the profile says it. Each pass over the
    /// transactions is one buyer's journey, written with [`Verbs`](crate::Verbs).
    #[must_use]
    pub fn scenario(mut self, arrive: Arrive, scenario: GooseScenario) -> Program {
        self.own.push((arrive, scenario));
        self
    }

    /// Parses the command line, runs the command and returns its exit code.
    pub async fn run(self) -> ExitCode {
        let mistakes = mistakes(&self.own.iter().map(|(_, own)| own).collect::<Vec<_>>());
        if !mistakes.is_empty() {
            console::problem(&mistakes.join("\n"));
            return ExitCode::from(2);
        }
        Scenario::add(self.own.iter().map(|(arrive, own)| (own.name.to_string(), *arrive)));
        let scenarios = Scenarios(self.own.into_iter().map(|(_, own)| own).collect());
        let task = cli::parse();
        let unknown = cli::unknown_variables();
        if !unknown.mistyped.is_empty() {
            console::problem(&unknown.mistyped.join("\n"));
            return ExitCode::from(2);
        }
        unknown.others.iter().for_each(|variable| console::problem(variable));
        if let Err(error) = console::keep_stdout().and_then(|()| signals::listen()) {
            console::problem(&format!("standard output and signals can't be set up: {error}"));
            return ExitCode::from(3);
        }
        match execute(task, &scenarios).await {
            Ok(code) => ExitCode::from(code),
            Err(failure) => {
                console::problem(&failure.to_string());
                ExitCode::from(failure.exit_code())
            }
        }
    }
}

async fn execute(task: Task, scenarios: &Scenarios) -> Result<u8, Failure> {
    match task {
        Task::Run(scenario, options) => {
            launch::run(scenario, *options, None, scenarios).await.map(|verdict| verdict.exit_code())
        }
        Task::Replay(replay, options) => {
            if options.buyers.is_some() || options.arrivals.is_some() {
                let why = "a recording has its own buyers and times: leave out --buyers and --arrivals";
                return Err(Failure::Usage(why.to_owned()));
            }
            let run = launch::run(Some(Scenario::REPLAY), *options, Some(replay.replay), scenarios);
            run.await.map(|verdict| verdict.exit_code())
        }
        Task::Other(command) => match *command {
            Command::Profile => {
                console::text(profile::BUILT_IN);
                Ok(0)
            }
            Command::Merge(options) => judge::merge(&options).await.map(|verdict| verdict.exit_code()),
            Command::Capacity(options) => capacity::run(&options, scenarios).await,
        },
    }
}

fn mistakes(all: &[&GooseScenario]) -> Vec<String> {
    let mut mistakes: Vec<String> = all.iter().filter_map(|own| mistake(own)).collect();
    for (place, own) in all.iter().enumerate() {
        if all[..place].iter().any(|other| other.name == own.name) {
            mistakes.push(format!("there are two scenarios {:?}: give one of them another name", own.name));
        }
    }
    mistakes
}

/// What of a goose scenario can't be played as a buyer's journey.
fn mistake(own: &GooseScenario) -> Option<String> {
    let name = &*own.name;
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if !is_name {
        return Some(format!(
            "the scenario's name {name:?} must be 1 to {NAME_BYTES_MAX} of a-z, 0-9 and -, with a letter first"
        ));
    }
    if TAKEN.contains(&name) || Scenario::named(name).is_ok() {
        return Some(format!("the name of the scenario {name:?} is taken by a command: give it another one"));
    }
    if own.transactions.is_empty() {
        return Some(format!("the scenario {name:?} has no transaction: register one"));
    }
    if own.transactions.iter().any(|transaction| transaction.on_start || transaction.on_stop) {
        return Some(format!(
            "the scenario {name:?} has a transaction for the start or the stop of a goose user, who plays many buyers: put \
             it into the first or the last transaction of the journey"
        ));
    }
    own.transaction_wait.map(|_| {
        format!("the scenario {name:?} has a wait time, which would count as waiting: use `think` or `rest` instead")
    })
}

#[cfg(test)]
mod tests;
