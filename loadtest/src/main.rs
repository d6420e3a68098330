//! Owns the life of the program: read the command line, run the scenario, say how it ended.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that can't go on should say where"))]

mod admin;
mod answer;
mod attack;
mod buyer;
mod cli;
mod client;
mod clock;
mod ledger;
mod load;
mod page;
mod reconcile;
mod report;
mod say;
mod spike;
mod tokens;
mod told;
mod verdict;
mod wish;

use clap::Parser;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let ending = match cli.scenario {
        cli::Scenario::Spike(options) => spike::run(options).await,
    };
    match ending {
        Ok(verdict) => ExitCode::from(verdict.exit_code()),
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
    /// The gateway, its ops listener or this machine did not do its part.
    #[error("{0}")]
    Outside(String),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Outside(_) => 3,
        }
    }
}
