//! Runs `scripts/demo`, `scripts/cluster`, `scripts/check-api` and `scripts/check-dashboards` once all that they need is
//! installed and built.

#![allow(clippy::unwrap_used, reason = "the scripts show where it was")]
#![allow(missing_docs, reason = "a program exports nothing")]

mod api;
mod cluster;
mod dashboards;
mod demo;
mod launch;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use testkit::Failed;

/// The logic of the scripts; run from the root of the repository.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A launch from its opening to the verdict
    Demo(demo::Options),
    /// Holds the gateway against its own OpenAPI document
    Api(Common),
    /// Holds every panel and alert against a real launch
    Dashboards(Common),
    /// A fleet over several hosts, which are network namespaces
    Cluster(cluster::Options),
}

/// Where things are.
#[derive(Debug, Args)]
struct Common {
    /// An empty folder for all that is started; the script removes it
    #[arg(long)]
    dir: PathBuf,
    /// The Python environment with what the check needs
    #[arg(long)]
    venv: PathBuf,
}

/// Why a check has not come to a good end.
enum Ended {
    /// A check failed.
    Wrong(String),
    /// A program or this machine did not do its part.
    Outside(String),
}

impl From<Failed> for Ended {
    fn from(failed: Failed) -> Self {
        Self::Outside(failed.to_string())
    }
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Api(common) => api::run(&common).map(|()| 0),
        Command::Dashboards(common) => dashboards::run(&common).map(|()| 0),
        Command::Cluster(options) => cluster::run(&options),
    };
    let (code, text) = match ended {
        Ok(code) => return ExitCode::from(code),
        Err(Ended::Wrong(text)) => (1, text),
        Err(Ended::Outside(text)) => (3, text),
    };
    let _ = writeln!(std::io::stderr().lock(), "{text}");
    ExitCode::from(code)
}

/// Prints a line. A reader that has gone away ends nothing.
fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
