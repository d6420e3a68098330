//! Runs `scripts/demo`, `scripts/cluster`, `scripts/check-api`, `scripts/check-openapi`, `scripts/check-dashboards` and parts of
//! `scripts/package` once all that they need is installed and built.

#![allow(clippy::unwrap_used, reason = "the scripts show where it was")]
#![allow(missing_docs, reason = "a program exports nothing")]

mod api;
mod cluster;
mod dashboards;
mod demo;
mod launch;
mod pages;
mod walk;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use testkit::ending::exit;

/// The logic of the scripts; run from the root of the repository.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A launch from its opening to the verdict
    Demo(demo::DemoOptions),
    /// Holds the gateway against its own OpenAPI document
    Api(Common),
    /// Runs a generated client against a gateway
    Walk(walk::WalkOptions),
    /// Holds every panel and alert against a real launch
    Dashboards(Common),
    /// A fleet over several hosts, which are network namespaces
    Cluster(cluster::ClusterOptions),
    /// Writes the gateway's man pages and shell completions
    Pages(pages::PagesOptions),
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

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Api(common) => api::run(&common).map(|()| 0),
        Command::Walk(options) => walk::run(&options).map(|()| 0),
        Command::Dashboards(common) => dashboards::run(&common).map(|()| 0),
        Command::Cluster(options) => cluster::run(&options),
        Command::Pages(options) => pages::run(&options),
    };
    exit("", ended)
}
