//! Owns the life of the program: read the command line, do what it says, say how it ended.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that can't go on should say where"))]

mod admin;
mod answer;
mod arrivals;
mod attack;
mod baseline;
mod buyer;
mod capacity;
mod cli;
mod client;
mod clock;
mod court;
mod evidence;
mod figures;
mod launch;
mod ledger;
mod live;
mod load;
mod metrics;
mod metronome;
#[path = "../../gateway/src/domain/nearest.rs"]
#[allow(dead_code, reason = "the gateway uses all of it")]
mod nearest;
mod outcome;
mod page;
mod plan;
mod profile;
mod reconcile;
mod report;
mod say;
mod scenario;
mod signals;
mod span;
mod threshold;
mod tokens;
mod told;
#[path = "../../gateway/src/config/variables.rs"]
#[allow(unreachable_pub, reason = "the gateway's library shows it to its program")]
mod variables;
mod verdict;
mod walk;
mod watch;
mod wish;

use cli::Command;
use std::process::ExitCode;

/// The system's gave memory back and took it again at every second request (3,550 `mprotect` in 2,000 reads, by strace).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As the shell shows a command that SIGPIPE has ended.
const EXIT_READER_GONE: u8 = 128 + 13;

#[tokio::main]
async fn main() -> ExitCode {
    let command = cli::parse().command;
    let unknown = cli::unknown_variables();
    if !unknown.mistyped.is_empty() {
        say::problem(&unknown.mistyped.join("\n"));
        return ExitCode::from(2);
    }
    unknown.others.iter().for_each(|variable| say::problem(variable));
    if let Err(error) = say::keep_stdout().and_then(|()| signals::listen()) {
        say::problem(&format!("standard output and signals can't be set up: {error}"));
        return ExitCode::from(3);
    }
    let ended = match &command {
        Command::Profile => Ok(if say::text(profile::BUILT_IN) { 0 } else { EXIT_READER_GONE }),
        Command::Merge(options) => court::merge(options).await.map(|verdict| verdict.exit_code()),
        Command::Capacity(options) => capacity::run(options).await,
        Command::Spike(options)
        | Command::Crowd(options)
        | Command::Customise(options)
        | Command::Abandon(options)
        | Command::RetryStorm(options)
        | Command::Bots(options)
        | Command::Soak(options)
        | Command::Look(options)
        | Command::Mix(options) => launch::run(&command, options).await.map(|verdict| verdict.exit_code()),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            say::problem(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Why a load test did not come to a verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line, a file it names or a token in it is wrong.
    #[error("{0}")]
    Usage(String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// The gateway, its ops listener or this machine did not do its part.
    #[error("{0}")]
    Outside(String),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) | Failure::NotFound(_) => 2,
            Failure::Outside(_) => 3,
        }
    }
}
