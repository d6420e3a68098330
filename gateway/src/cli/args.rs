//! The command line of the gateway.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::{CommonOptions, ServeOptions};
use crate::doctor::args::DoctorArgs;
use crate::domain::duration::duration;
use crate::fleet::limits_log::ENTRIES_MAX;
use crate::openapi::{Api, Spec};

/// Sells limited stock at a launch: decides each reservation exactly once
///
/// Exit codes: 0 done, 1 the answer is no, 2 wrong usage or bad input, 3 something outside failed.
#[derive(Debug, Parser)]
#[command(name = "gateway", version)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves apps and ops until SIGTERM
    Serve {
        #[command(flatten)]
        /// Connection and log options.
        common: CommonOptions,
        #[command(flatten)]
        /// Options of `serve`.
        serve: ServeOptions,
    },
    /// Defines a sale and runs its operator actions
    Sale {
        #[command(flatten)]
        /// Connection options.
        common: CommonOptions,
        /// The action.
        #[command(subcommand)]
        action: SaleAction,
    },
    /// Audits that every item of a sale balances; exit code 1 if one does not
    Audit {
        /// The sale's id.
        sale: String,
        /// The whole report as JSON
        #[arg(long, env = "LAUNCHGATE_JSON")]
        json: bool,
        #[command(flatten)]
        /// Connection options.
        common: CommonOptions,
    },
    /// Prints every change of a sale, one JSON object a line; exit code 1 if changes after --from were lost
    Journal {
        /// The sale's id.
        sale: String,
        /// Waits for new entries at the end
        #[arg(long, env = "LAUNCHGATE_FOLLOW")]
        follow: bool,
        /// Continues after the `cursor` of a line; without --follow also after an id (4711-0)
        #[arg(long, env = "LAUNCHGATE_FROM", value_name = "CURSOR")]
        from: Option<String>,
        #[command(flatten)]
        /// Connection options.
        common: CommonOptions,
    },
    /// Draws the order of a sale that sells by a draw, publishes it, and verifies a published file
    ///
    /// With --reveal and --beacon it draws: once, and repeating it is harmless. With --publish it writes the file that anybody can
    /// verify; it has pseudonyms in place of buyers. With --verify it repeats a draw from such a file, without Redis; exit code 1 if
    /// something does not follow, with the line.
    Draw {
        /// The sale's id.
        #[arg(required_unless_present = "verify", conflicts_with = "verify")]
        sale: Option<String>,
        /// The file whose SHA-256 is the commitment in the definition
        #[arg(long, value_name = "FILE", requires = "beacon")]
        reveal: Option<PathBuf>,
        /// The beacon, in hexadecimal: two digits a byte
        #[arg(long, value_name = "HEX", requires = "reveal")]
        beacon: Option<String>,
        /// Writes the published file; it must not exist
        #[arg(long, value_name = "FILE", conflicts_with_all = ["reveal", "beacon"])]
        publish: Option<PathBuf>,
        /// Verifies a published file
        #[arg(long, value_name = "FILE", conflicts_with_all = ["reveal", "beacon", "publish"])]
        verify: Option<PathBuf>,
        #[command(flatten)]
        /// Connection options.
        common: CommonOptions,
        #[command(flatten)]
        /// Reason and confirmation.
        confirm_args: ConfirmArgs,
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
        /// The number of tokens
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
        /// Connection options.
        common: CommonOptions,
        /// The action.
        #[command(subcommand)]
        action: LimitsAction,
    },
    /// Runs all checks before a launch, and prints how to fix each finding
    ///
    /// Takes the options of `serve`, with the values that the gateways have. Exit codes: 0 no check
    /// fails, 1 a check fails, 2 wrong usage, 3 Redis is unreachable.
    Doctor {
        #[command(flatten)]
        /// Connection options.
        common: CommonOptions,
        #[command(flatten)]
        /// Options of `serve`, with the gateways' values.
        serve: ServeOptions,
        #[command(flatten)]
        /// Options of the checks.
        args: DoctorArgs,
    },
    /// Prints the OpenAPI document of the listeners
    Openapi {
        /// The version of OpenAPI
        #[arg(long, value_enum, default_value_t = Spec::V31)]
        spec: Spec,
        /// The calls that it has
        #[arg(long, value_enum, default_value_t = Api::All)]
        api: Api,
    },
    /// Lists every metric of a gateway: name, type, unit, labels, buckets
    Metrics {
        /// As JSON, for checks of dashboards and rules
        #[arg(long, env = "LAUNCHGATE_JSON")]
        json: bool,
    },
    /// Prints all options in force, as a file that --config reads
    Config {
        #[command(flatten)]
        /// Connection and log options.
        common: CommonOptions,
        #[command(flatten)]
        /// Options of `serve`.
        serve: ServeOptions,
    },
}

/// The actions on sales.
#[derive(Debug, Subcommand)]
pub enum SaleAction {
    /// Creates or updates a sale from its definition; harmless when repeated
    Apply {
        /// The TOML file.
        file: PathBuf,
        /// The reason; it goes into the journal
        #[arg(long, env = "LAUNCHGATE_REASON")]
        reason: Option<String>,
    },
    /// Shows a sale with live numbers as a table: state, times, items, stores in one line, gateways
    Show {
        /// The sale's id.
        sale: String,
        /// As JSON, with every store and the definition
        #[arg(long, env = "LAUNCHGATE_JSON")]
        json: bool,
    },
    /// Lists all sales, a line each: id, state, opening, name, separated by tabs; states are upcoming, open,
    /// paused, sold_out, closed, fenced (until recovery is over) and halted (a damaged ledger); (frozen)
    /// follows while the sale clock is stopped
    List,
    /// Stops new reservations
    Pause(OperatorActionArgs),
    /// Accepts new reservations again
    Resume(OperatorActionArgs),
    /// Stops the sale clock: no hold expires
    Freeze(OperatorActionArgs),
    /// Resumes the sale clock
    Unfreeze(OperatorActionArgs),
    /// Stops new reservations for good; without a terminal it needs --confirm
    Close(OperatorActionArgs),
    /// Stops grants to the standby queues: what comes back is set aside
    StandbySuspend(OperatorActionArgs),
    /// Resumes grants to the standby queues
    StandbyResume(OperatorActionArgs),
    /// Writes a sale into a file: definition, reservations, journal, at one sequence, with a checksum;
    /// the file has ids of buyers
    Export {
        /// The sale's id.
        sale: String,
        /// The file; it must not exist.
        file: PathBuf,
    },
    /// Imports a sale from an export into a Redis without a sale of this id, and checks that its audit is
    /// the same
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
        /// Reason and confirmation.
        confirm_args: ConfirmArgs,
    },
    /// Removes a released or expired reader of the journal that is not needed any more
    ForgetReader {
        /// The sale's id.
        sale: String,
        /// The reader's name, as `gateway doctor` shows it.
        reader: String,
    },
    /// After a failover: recovery no longer waits for a gateway that is gone for good, as named in the
    /// sale's alarm. Reservations that only it acknowledged may be lost. Without a terminal it needs --confirm
    Release {
        /// The sale's id.
        sale: String,
        /// The gateway's id, from the alarm.
        #[arg(required_unless_present = "all")]
        gateway: Option<String>,
        /// Instead: recovery continues with the ledger as it is, without any gateway's report; restart
        /// each gateway that holds more changes
        #[arg(long, conflicts_with = "gateway")]
        all: bool,
        #[command(flatten)]
        /// Reason and confirmation.
        confirm_args: ConfirmArgs,
    },
    /// Sets the total of an item; repeating it changes nothing
    Restock {
        /// The sale's id.
        sale: String,
        /// model:ID, package:ID or store:ID
        item: String,
        /// The new total.
        #[arg(value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
        total: u64,
        /// The total before the change
        #[arg(long, env = "LAUNCHGATE_WAS", value_name = "N")]
        was: u64,
        #[command(flatten)]
        /// Reason and confirmation.
        confirm_args: ConfirmArgs,
    },
}

/// The actions on rate limits.
#[derive(Debug, Subcommand)]
pub enum LimitsAction {
    /// Shows the rates set for all gateways, and the live gateways
    Show {
        /// As JSON, with the whole report of each gateway
        #[arg(long, env = "LAUNCHGATE_JSON")]
        json: bool,
    },
    /// Sets rates, all or none of them; gateways apply them within a second or so, and keep them over restarts
    Set {
        /// POLICY=RATE:BURST (units a second, units at once; of sale: reservations), POLICY=off, or
        /// POLICY=default (as each gateway is configured); policies: buyer, address, unverified, sale, gateway
        #[arg(required = true, value_name = "POLICY=RATE")]
        rates: Vec<String>,
        #[command(flatten)]
        /// Reason and confirmation.
        confirm_args: ConfirmArgs,
    },
    /// Prints the changes of rates with user, time and reason: one JSON object a line, oldest first
    Log {
        /// The number of latest entries; 1,000 are kept
        #[arg(long, env = "LAUNCHGATE_LIMIT", value_name = "N", default_value_t = ENTRIES_MAX)]
        #[arg(value_parser = log_limit)]
        limit: usize,
    },
}

/// Arguments of an operator action.
#[derive(Debug, clap::Args)]
pub struct OperatorActionArgs {
    /// The sale's id.
    pub(super) sale: String,
    #[command(flatten)]
    /// Reason and confirmation.
    pub(super) confirm_args: ConfirmArgs,
}

/// Reason and confirmation of an operator action. At a terminal the command asks for what is missing.
#[derive(Debug, clap::Args)]
pub struct ConfirmArgs {
    /// The reason; it goes into the journal, or into the log of rate limits
    #[arg(long, env = "LAUNCHGATE_REASON")]
    pub(super) reason: Option<String>,
    /// Confirms without a prompt: the sale's id once more, for rate limits the word `limits`. Another
    /// word is refused. Never by a variable, which other commands would inherit
    #[arg(long, value_name = "SALE")]
    pub(super) confirm: Option<String>,
}

fn log_limit(text: &str) -> Result<usize, String> {
    let fits = text.parse().ok().filter(|n| (1..=ENTRIES_MAX).contains(n));
    fits.ok_or_else(|| format!("not a number from 1 to {ENTRIES_MAX}"))
}
