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
mod outcome;
mod page;
mod plan;
mod profile;
mod reconcile;
mod report;
mod say;
mod scenario;
mod span;
mod threshold;
mod tokens;
mod told;
mod verdict;
mod walk;
mod watch;
mod wish;

use clap::Parser;
use cli::Command;
use std::process::ExitCode;

/// The system's gave memory back and took it again at every second request (3,550 `mprotect` in 2,000 reads, by strace).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let command = cli::Cli::parse().command;
    let ended = match &command {
        Command::Profile => {
            say::text(profile::BUILT_IN);
            Ok(0)
        }
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
