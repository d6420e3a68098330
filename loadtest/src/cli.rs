//! Defines the command line: flags, their environment variables and their validity.

pub(crate) mod line;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

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
    variables::unknown(&command(), OTHERS)
}

/// Reads the command line and the variables; a wrong one, and help, end the process.
pub(crate) fn parse() -> Task {
    let matches = variables::without_empty(command()).get_matches();
    Task::from_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The whole command line: a command for each scenario, also for those that a program adds.
pub(crate) fn command() -> clap::Command {
    let run = |name: &'static str| RunOptions::augment_args(clap::Command::new(name));
    let scenarios = Scenario::all().into_iter().map(|own| run(own.name()).about(own.about()));
    let several = run(MIX).about("Several scenarios at once, weighted by the profile's `mix`");
    let recorded = ReplayOptions::augment_args(run(Scenario::REPLAY.name())).about(Scenario::REPLAY.about());
    let runs = scenarios.chain([several, recorded]);
    // In this order, and before the other commands.
    let ordered = runs.enumerate().map(|(place, run)| run.display_order(place));
    Cli::command().mut_subcommands(|other| other.display_order(usize::MAX)).subcommands(ordered)
}

/// The command that runs several scenarios.
const MIX: &str = "mix";

/// What `loadtest replay` needs besides the options of a run.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReplayOptions {
    /// The recording: a HAR file of a browser or a proxy, or requests.ndjson of a run with --request-log; its first tap, or
    /// its first request if it has no tap, comes at the opening
    #[arg(long, value_name = "FILE", env = "LAUNCHGATE_REPLAY")]
    pub(crate) replay: PathBuf,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Task {
    /// Run a scenario; `None`: the profile's mix.
    Run(Option<Scenario>, Box<RunOptions>),
    /// Play a recording.
    Replay(ReplayOptions, Box<RunOptions>),
    /// Do something else.
    Other(Box<Command>),
}

impl Task {
    /// Reads what [`command`] has matched.
    pub(crate) fn from_matches(matches: &ArgMatches) -> Result<Task, clap::Error> {
        let run = matches.subcommand().and_then(|(name, options)| match name {
            MIX => Some((None, options)),
            name => Some((Some(Scenario::named(name).ok()?), options)),
        });
        match run {
            Some((Some(Scenario::REPLAY), options)) => {
                let replay = ReplayOptions::from_arg_matches(options)?;
                Ok(Task::Replay(replay, Box::new(RunOptions::from_arg_matches(options)?)))
            }
            Some((scenario, options)) => {
                Ok(Task::Run(scenario, Box::new(RunOptions::from_arg_matches(options)?)))
            }
            None => Cli::from_arg_matches(matches).map(|cli| Task::Other(Box::new(cli.command))),
        }
    }
}

/// What to do, other than to run a scenario.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Join the run records of several processes, prove and judge them together
    Merge(Box<MergeOptions>),
    /// Find the rate at which a threshold breaks, and how many gateways a launch needs
    ///
    /// Exit codes: 0 KNEE FOUND, 2 wrong usage or bad input, 3 something outside failed, 4 KNEE NOT FOUND.
    Capacity(Box<CapacityOptions>),
    /// Print the built-in profile, as a start for your own
    Profile,
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

    /// Also write a log of every request to the report's folder (requests.ndjson, a line each), which `loadtest replay` plays
    #[arg(long, requires = "report", env = "LAUNCHGATE_REQUEST_LOG")]
    pub(crate) request_log: bool,

    /// Serve Prometheus metrics of this load test at this address
    #[arg(long, value_name = "ADDR", env = "LAUNCHGATE_METRICS_LISTEN")]
    pub(crate) metrics_listen: Option<SocketAddr>,

    /// Allow an address that other machines can reach
    #[arg(long, env = "LAUNCHGATE_METRICS_BEYOND_LOOPBACK")]
    pub(crate) metrics_beyond_loopback: bool,

    /// Serve the metrics for so long after the verdict, so that a last scrape sees the end; a signal ends it early
    #[arg(long, value_name = "TIME", value_parser = span::parse, requires = "metrics_listen", env = "LAUNCHGATE_LINGER")]
    pub(crate) linger: Option<Duration>,
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

    /// What each start does: a scenario, as `spike` (taps) or `look` (reads), or `mix` for the profile's
    #[arg(long, value_name = "SCENARIO", default_value = "spike", value_parser = CapacityScenario::parse, env = "LAUNCHGATE_SCENARIO")]
    pub(crate) scenario: CapacityScenario,

    /// The first rate, in starts a second; it is doubled until a threshold breaks
    #[arg(long, value_name = "N", default_value_t = 500.0, env = "LAUNCHGATE_FROM")]
    pub(crate) from: f64,

    /// The highest rate to try
    #[arg(long, value_name = "N", default_value_t = 200_000.0, env = "LAUNCHGATE_UP_TO")]
    pub(crate) up_to: f64,

    /// How long to hold each rate
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = span::parse, env = "LAUNCHGATE_STEP")]
    pub(crate) step: Duration,

    /// The launch to plan for, as STARTS/TIME
    #[arg(long, value_name = "STARTS/TIME", default_value = "1200000/10s", value_parser = Launch::parse, env = "LAUNCHGATE_LAUNCH")]
    pub(crate) launch: Launch,

    /// The folder of capacity.json; created if missing
    #[arg(long, value_name = "DIR", env = "LAUNCHGATE_REPORT")]
    pub(crate) report: Option<PathBuf>,
}

/// What each start of the search does; `None`: the profile's mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CapacityScenario(pub(crate) Option<Scenario>);

impl CapacityScenario {
    fn parse(text: &str) -> Result<CapacityScenario, String> {
        if text == MIX {
            return Ok(CapacityScenario(None));
        }
        let all = Scenario::all();
        let named = all.iter().find(|scenario| scenario.name() == text);
        named.map(|scenario| CapacityScenario(Some(*scenario))).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|scenario| scenario.name()).collect();
            format!("expected one of {}, or {MIX}", names.join(", "))
        })
    }

    pub(crate) fn name(self) -> &'static str {
        self.0.map_or(MIX, Scenario::name)
    }

    /// What its starts are called.
    pub(crate) fn unit(self) -> &'static str {
        match self.0 {
            Some(Scenario::SPIKE) => "taps",
            Some(Scenario::LOOK) => "reads",
            _ => "starts",
        }
    }
}

/// So many starts in so much time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Launch {
    pub(crate) starts: f64,
    pub(crate) within: Duration,
}

impl Launch {
    fn parse(text: &str) -> Result<Launch, String> {
        let wrong = || format!("write it as STARTS/TIME, as in 1200000/10s, not {text:?}");
        let (starts, within) = text.split_once('/').ok_or_else(wrong)?;
        let launch = Launch { starts: starts.parse().map_err(|_| wrong())?, within: span::parse(within)? };
        (launch.starts >= 1.0 && launch.starts.is_finite() && !launch.within.is_zero())
            .then_some(launch)
            .ok_or_else(wrong)
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
                "--from and --up-to must be 1 to 1000000 starts a second, the second not less".to_owned(),
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
