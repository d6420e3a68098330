//! Defines the command line: flags, their environment variables and their validity.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::base::failure::Failure;
use crate::base::scenario::Scenario;
use crate::base::span;
use crate::client::options::{Ledger, Manners, Target, all_or_none};
use crate::load::output::Output;
use crate::plan::arrivals::Arrivals;
use crate::plan::{PEOPLE_MAX, Shard};
use crate::variables;

/// Reproduces launch day against a gateway and proves the ledger afterwards.
///
/// Exit codes: 0 PASS, 1 FAIL, 2 wrong usage or bad input, 3 something outside failed,
/// 4 INVALID: a load test that proves nothing.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the options of other programs stand.
const OTHERS: &[&str] = &[
    include_str!("../../gateway/src/cli/args.rs"),
    include_str!("../../gateway/src/config/options.rs"),
    include_str!("../../gateway/src/doctor/args.rs"),
    include_str!("../../gateway/relay/src/cli.rs"),
];

/// Variables of this process that mean nothing to any command.
pub(crate) fn unknown_variables() -> variables::Unknown {
    variables::unknown(&Cli::command(), OTHERS)
}

/// Reads the command line and the variables; a wrong one, and help, end the process.
pub(crate) fn parse() -> Cli {
    let matches = variables::without_empty(Cli::command()).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Run(RunCommand),
    /// Join the run records of several processes, prove and judge them together
    Merge(MergeOptions),
    /// Find the rate at which a threshold breaks, and how many gateways a launch needs
    Capacity(CapacityOptions),
    /// Print the built-in profile, as a start for your own
    Profile,
}

/// A run of one scenario, or of several.
#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// All buyers wait for the opening and tap at once
    Spike(RunOptions),
    /// The whole day: buyers arrive, look, wait, tap, retry, give up
    Crowd(RunOptions),
    /// Winners change store and packages, then pay
    Customise(RunOptions),
    /// Holds expire and their stock returns; a second wave gets it
    Abandon(RunOptions),
    /// Impatient clients that give up after 300 ms and retry
    RetryStorm(RunOptions),
    /// Few accounts on many connections, with stale and forged tokens, too
    Bots(RunOptions),
    /// A steady mix for hours; stock comes back
    Soak(RunOptions),
    /// Only looks: one read of the sale's status an arrival
    Look(RunOptions),
    /// Several scenarios at once, weighted by the profile's `mix`
    Mix(RunOptions),
}

/// Options of a run.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) target: Target,

    /// How many buyers; the profile's `interested` is the whole launch [default: as many as the arrivals need; or 1000,
    /// or as many as there are tokens]
    #[arg(long, value_name = "N", env = "LAUNCHGATE_BUYERS")]
    pub(crate) buyers: Option<usize>,

    /// When work starts, from the opening on, whatever the server does: at-once, constant:500/s:30s, ramp:0/s..500/s:30s,
    /// step:100/s:10s,500/s:10s, poisson:200/s:60s, csv:FILE [default: from the scenario and the profile]
    #[arg(long, value_name = "SCHEDULE", value_parser = Arrivals::parse, env = "LAUNCHGATE_ARRIVALS")]
    pub(crate) arrivals: Option<Arrivals>,

    /// This process's part of the buyers, as in 2/5; all parts need the same --seed, and `loadtest merge` judges them
    #[arg(long, value_name = "PART/PARTS", value_parser = Shard::parse, requires = "seed", env = "LAUNCHGATE_SHARD")]
    pub(crate) shard: Option<Shard>,

    #[command(flatten)]
    pub(crate) output: Output,

    /// End the load when a threshold can't be met any more, whatever is still to come; a part of a run can't know that
    #[arg(long, conflicts_with = "shard", env = "LAUNCHGATE_ABORT_ON_FAIL")]
    pub(crate) abort_on_fail: bool,

    /// Also write goose's log of every request to the report's folder (requests.json, a line each)
    #[arg(long, requires = "report", env = "LAUNCHGATE_REQUEST_LOG")]
    pub(crate) request_log: bool,

    /// Serve Prometheus metrics of this load test at this address
    #[arg(long, value_name = "ADDR", env = "LAUNCHGATE_METRICS_LISTEN")]
    pub(crate) metrics_listen: Option<SocketAddr>,

    /// Allow an address that other machines can reach
    #[arg(long, env = "LAUNCHGATE_METRICS_BEYOND_LOOPBACK")]
    pub(crate) metrics_beyond_loopback: bool,
}

/// Options of `loadtest merge`.
#[derive(Clone, Debug, Args)]
pub(crate) struct MergeOptions {
    /// The reports' folders of all parts
    #[arg(value_name = "DIR", required = true)]
    pub(crate) parts: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) ledger: Ledger,

    #[command(flatten)]
    pub(crate) manners: Manners,

    #[command(flatten)]
    pub(crate) output: Output,
}

/// Options of `loadtest capacity`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CapacityOptions {
    #[command(flatten)]
    pub(crate) target: Target,

    /// The first rate, in taps a second; it is doubled until a threshold breaks
    #[arg(long, value_name = "N", default_value_t = 500.0, env = "LAUNCHGATE_FROM")]
    pub(crate) from: f64,

    /// The highest rate to try
    #[arg(long, value_name = "N", default_value_t = 200_000.0, env = "LAUNCHGATE_UP_TO")]
    pub(crate) up_to: f64,

    /// How long to hold each rate
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = span::parse, env = "LAUNCHGATE_STEP")]
    pub(crate) step: Duration,

    /// The launch to plan for, as TAPS/TIME
    #[arg(long, value_name = "TAPS/TIME", default_value = "1200000/10s", value_parser = Launch::parse, env = "LAUNCHGATE_LAUNCH")]
    pub(crate) launch: Launch,

    /// The folder of capacity.json; created if missing
    #[arg(long, value_name = "DIR", env = "LAUNCHGATE_REPORT")]
    pub(crate) report: Option<PathBuf>,
}

/// So many taps in so much time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Launch {
    pub(crate) taps: f64,
    pub(crate) within: Duration,
}

impl Launch {
    fn parse(text: &str) -> Result<Launch, String> {
        let wrong = || format!("write it as TAPS/TIME, as in 1200000/10s, not {text:?}");
        let (taps, within) = text.split_once('/').ok_or_else(wrong)?;
        let launch = Launch { taps: taps.parse().map_err(|_| wrong())?, within: span::parse(within)? };
        (launch.taps >= 1.0 && launch.taps.is_finite() && !launch.within.is_zero())
            .then_some(launch)
            .ok_or_else(wrong)
    }
}

impl RunCommand {
    /// The scenario of a run, `None` for a mix; and its options.
    pub(crate) fn into_parts(self) -> (Option<Scenario>, RunOptions) {
        match self {
            RunCommand::Spike(options) => (Some(Scenario::Spike), options),
            RunCommand::Crowd(options) => (Some(Scenario::Crowd), options),
            RunCommand::Customise(options) => (Some(Scenario::Customise), options),
            RunCommand::Abandon(options) => (Some(Scenario::Abandon), options),
            RunCommand::RetryStorm(options) => (Some(Scenario::RetryStorm), options),
            RunCommand::Bots(options) => (Some(Scenario::Bots), options),
            RunCommand::Soak(options) => (Some(Scenario::Soak), options),
            RunCommand::Look(options) => (Some(Scenario::Look), options),
            RunCommand::Mix(options) => (None, options),
        }
    }
}

impl RunOptions {
    /// Reports every value that is out of bounds, at once.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let mut mistakes = self.target.mistakes();
        if matches!(self.buyers, Some(n) if n == 0 || n > PEOPLE_MAX) {
            mistakes.push(format!("--buyers must be 1 to {PEOPLE_MAX}"));
        }
        if self.shard.is_some() && self.output.report.is_none() {
            mistakes.push("--shard needs --report: `loadtest merge` reads it".to_owned());
        }
        all_or_none(mistakes)
    }
}

impl CapacityOptions {
    /// Reports every value that is out of bounds, at once.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let mut mistakes = self.target.mistakes();
        if !(self.from >= 1.0 && self.up_to >= self.from && self.up_to <= 1e6) {
            mistakes.push(
                "--from and --up-to must be 1 to 1000000 taps a second, the second not less".to_owned(),
            );
        }
        if self.step < Duration::from_secs(1) {
            mistakes.push("--step must be at least 1s".to_owned());
        }
        all_or_none(mistakes)
    }
}

#[cfg(test)]
mod tests;
