//! The command line: what can be asked of the program.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::duration::duration;
use crate::config::{CommonOptions, ServeOptions};
use crate::doctor::args::DoctorArgs;
use crate::fleet::limits_log::ENTRIES_MAX;

/// The gateway that takes the taps of a launch and decides each exactly once.
///
/// Exit codes: 0 done, 1 the answer is no, 2 wrong usage or bad input, 3 something outside failed, 141 the reader of its
/// output has gone.
#[derive(Debug, Parser)]
#[command(name = "gateway", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves apps and ops until SIGTERM
    Serve {
        #[command(flatten)]
        /// Where Redis is, how to log.
        common: CommonOptions,
        #[command(flatten)]
        /// Everything else.
        serve: Box<ServeOptions>,
    },
    /// Defines a sale and pulls its actions
    Sale {
        #[command(flatten)]
        /// Where Redis is.
        common: CommonOptions,
        /// What to do.
        #[command(subcommand)]
        action: SaleAction,
    },
    /// Proves that every item of a sale balances; exit code 1 if one does not
    Audit {
        /// The sale's id.
        sale: String,
        /// The whole report as JSON
        #[arg(long, env = "LAUNCHGATE_JSON")]
        json: bool,
        #[command(flatten)]
        /// Where Redis is.
        common: CommonOptions,
    },
    /// Prints every change of a sale, one JSON object a line
    Journal {
        /// The sale's id.
        sale: String,
        /// Waits for more at the end
        #[arg(long, env = "LAUNCHGATE_FOLLOW")]
        follow: bool,
        /// Goes on after this id (4711-0) or cursor (4711-0/3)
        #[arg(long, env = "LAUNCHGATE_FROM", value_name = "ID")]
        from: Option<String>,
        #[command(flatten)]
        /// Where Redis is.
        common: CommonOptions,
    },
    /// Mints tokens for tests, one a line
    Token {
        /// The buyer; with --count, BUYER-0, BUYER-1, …
        #[arg(long, env = "LAUNCHGATE_SUB", value_name = "BUYER")]
        sub: String,
        /// A scope: service
        #[arg(long, env = "LAUNCHGATE_SCOPE", value_parser = ["service"])]
        scope: Option<String>,
        /// How long the tokens are valid: 90s, 15m, 1h
        #[arg(long, env = "LAUNCHGATE_TTL", default_value = "1h", value_parser = duration)]
        ttl: Duration,
        /// How many
        #[arg(long, env = "LAUNCHGATE_COUNT", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
        count: Option<u32>,
        /// `iss`
        #[arg(long, env = "LAUNCHGATE_AUTH_ISSUER", value_name = "TEXT")]
        auth_issuer: Option<String>,
        /// `aud`
        #[arg(long, env = "LAUNCHGATE_AUTH_AUDIENCE", value_name = "TEXT")]
        auth_audience: Option<String>,
        /// The file with the secret
        #[arg(long, env = "LAUNCHGATE_AUTH_SECRET_FILE", value_name = "FILE")]
        auth_secret_file: PathBuf,
    },
    /// Shows and sets the rate limits of all running gateways
    Limits {
        #[command(flatten)]
        /// Where Redis is.
        common: CommonOptions,
        /// What to do.
        #[command(subcommand)]
        action: LimitsAction,
    },
    /// Checks before a launch whatever can be checked, and says what to do about it
    ///
    /// Takes the options of `serve`, as the gateways have them. Exit codes: 0 all is well or only warns, 1 something fails,
    /// 2 wrong usage, 3 Redis is out of reach.
    Doctor {
        #[command(flatten)]
        /// Where Redis is.
        common: CommonOptions,
        #[command(flatten)]
        /// As gateways are started with.
        serve: Box<ServeOptions>,
        #[command(flatten)]
        /// What to look at.
        args: DoctorArgs,
    },
    /// Prints the OpenAPI document of both listeners
    Openapi,
    /// Prints every metric that a gateway shows: name, type, unit, labels, buckets
    Metrics {
        /// As JSON, for what checks dashboards and rules
        #[arg(long, env = "LAUNCHGATE_JSON")]
        json: bool,
    },
    /// Prints all options as they are in force, as a file that --config reads
    Config {
        #[command(flatten)]
        /// Where Redis is, how to log.
        common: CommonOptions,
        #[command(flatten)]
        /// Everything else.
        serve: Box<ServeOptions>,
    },
}

/// What can be done to a sale.
#[derive(Debug, Subcommand)]
pub enum SaleAction {
    /// Creates or updates a sale from its definition; harmless when repeated
    Apply {
        /// The TOML file.
        file: PathBuf,
        /// Why; it goes into the journal
        #[arg(long, env = "LAUNCHGATE_REASON")]
        reason: Option<String>,
    },
    /// Shows a sale, live
    Show {
        /// The sale's id.
        sale: String,
    },
    /// Lists all sales
    List,
    /// Stops new reservations
    Pause(OperatorActionArgs),
    /// Takes them again
    Resume(OperatorActionArgs),
    /// Stops the sale clock: no hold expires
    Freeze(OperatorActionArgs),
    /// Lets it go on
    Unfreeze(OperatorActionArgs),
    /// Stops new reservations for good
    Close(OperatorActionArgs),
    /// Writes a sale into a file: definition, reservations, journal, at one sequence, with a checksum. Ids of buyers are in it
    Export {
        /// The sale's id.
        sale: String,
        /// The file; it must not be there yet.
        file: PathBuf,
    },
    /// Takes a sale from an export into a Redis that has none of its name, and proves that its audit is the same
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Removes a sale that is over, with all ids of buyers, once its last state was exported
    Purge {
        /// The sale's id.
        sale: String,
        /// The export of its last state
        #[arg(long, env = "LAUNCHGATE_EXPORT", value_name = "FILE")]
        export: PathBuf,
        #[command(flatten)]
        /// Who purges is asked.
        confirm_args: ConfirmArgs,
    },
    /// After a failover: does not wait for what a gateway knows that is gone for good, as the sale's alarm tells. What it alone
    /// had told buyers may be lost
    Release {
        /// The sale's id.
        sale: String,
        /// The gateway's id, as the alarm tells it.
        #[arg(required_unless_present = "all")]
        gateway: Option<String>,
        /// Instead: goes on with the ledger as it is, whatever any gateway remembers; each one that knows of more must be
        /// restarted then
        #[arg(long, env = "LAUNCHGATE_ALL", conflicts_with = "gateway")]
        all: bool,
        #[command(flatten)]
        /// Who releases is asked.
        confirm_args: ConfirmArgs,
    },
    /// Sets the total of an item; pressing it twice does it once
    Restock {
        /// The sale's id.
        sale: String,
        /// model:ID, package:ID or store:ID
        item: String,
        /// The new total.
        #[arg(value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
        total: u64,
        /// The total that it was
        #[arg(long, env = "LAUNCHGATE_WAS", value_name = "N")]
        was: u64,
        #[command(flatten)]
        /// Who pulls an operator action is asked.
        confirm_args: ConfirmArgs,
    },
}

/// What can be done to the limits.
#[derive(Debug, Subcommand)]
pub enum LimitsAction {
    /// Shows what is set for all gateways, and the gateways that live
    Show {
        /// As JSON, with all that the gateways say of themselves
        #[arg(long, env = "LAUNCHGATE_JSON")]
        json: bool,
    },
    /// Sets rates, all or none of them; gateways take them in within a second or so, and keep them over restarts
    Set {
        /// POLICY=RATE:BURST (units a second, units at once), POLICY=off, or POLICY=default (as each gateway is
        /// configured); policies: buyer, address, unverified, sale, gateway
        #[arg(required = true, value_name = "POLICY=RATE")]
        rates: Vec<String>,
        #[command(flatten)]
        /// Who pulls an operator action is asked.
        confirm_args: ConfirmArgs,
    },
    /// Who has set rates, when, why and to what: one JSON object a line, the oldest first
    Log {
        /// The latest so many; 1,000 are kept
        #[arg(long, env = "LAUNCHGATE_LIMIT", value_name = "N", default_value_t = ENTRIES_MAX)]
        #[arg(value_parser = log_limit)]
        limit: usize,
    },
}

/// an operator action's arguments.
#[derive(Debug, clap::Args)]
pub struct OperatorActionArgs {
    /// The sale's id.
    pub(super) sale: String,
    #[command(flatten)]
    /// Who pulls an operator action is asked.
    pub(super) confirm_args: ConfirmArgs,
}

/// What else it takes to pull an operator action. At a terminal it is asked for where it is not given.
#[derive(Debug, clap::Args)]
pub struct ConfirmArgs {
    /// Why; it is written down: in the journal, of limits in their log
    #[arg(long, env = "LAUNCHGATE_REASON")]
    pub(super) reason: Option<String>,
    /// Confirms it without being asked: the sale's id once more, of limits the word `limits`. Another word is refused
    #[arg(long, env = "LAUNCHGATE_CONFIRM", value_name = "SALE")]
    pub(super) confirm: Option<String>,
}

fn log_limit(text: &str) -> Result<usize, String> {
    let fits = text.parse().ok().filter(|n| (1..=ENTRIES_MAX).contains(n));
    fits.ok_or_else(|| format!("not a number from 1 to {ENTRIES_MAX}"))
}
