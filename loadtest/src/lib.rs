//! Reproduces launch day against a gateway and proves the ledger afterwards.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic shows where a test failed"))]

mod base;
mod cli;
mod client;
mod figures;
mod launch;
mod live;
mod load;
#[path = "../../gateway/src/domain/nearest.rs"]
#[allow(dead_code, reason = "the gateway uses all of it")]
mod nearest;
mod plan;
mod proof;
mod report;
mod self_monitoring;
mod threshold;
#[path = "../../gateway/src/config/variables.rs"]
#[allow(unreachable_pub, reason = "the gateway's library shows it to its program")]
mod variables;
mod verdict;

use std::process::ExitCode;

pub use base::failure::Failure;
pub use base::outcome::Outcome;
pub use base::scenario::Scenario;
pub use load::history::{Amend, Exchange, ExchangeLog, Hold, SoldOut, Step, TapHistory};
pub use plan::selection::Selection;
pub use proof::rules::{Rule, Violation};
pub use proof::run_record::RunRecord;
pub use verdict::{Arrived, Quantiles, RequestLatency, RequestSummary, VerdictSummary, Word};

use base::{console, signals};
use cli::Command;
use launch::{capacity, judge};
use plan::profile;

/// What a shell reports for a command that SIGPIPE ended.
const EXIT_READER_GONE: u8 = 128 + 13;

/// Parses the command line, runs the command and returns its exit code.
pub async fn run() -> ExitCode {
    let command = cli::parse().command;
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
    let ended = match command {
        Command::Profile => Ok(if console::text(profile::BUILT_IN) { 0 } else { EXIT_READER_GONE }),
        Command::Merge(options) => judge::merge(&options).await.map(|verdict| verdict.exit_code()),
        Command::Capacity(options) => capacity::run(&options).await,
        Command::Run(run) => launch::run(run).await.map(|verdict| verdict.exit_code()),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            console::problem(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}
