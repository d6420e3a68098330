//! Defines the command line: options, their environment variables and their validity.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::change::position;
use crate::duration;
use crate::failure::Failure;
use crate::filter::{Filter, Item, State};
use crate::variables;
use crate::webhook::CONCURRENCY;
use crate::webhook::commands::{ParkedOptions, RetryOptions};

/// Delivers every change of a sale, at least once and in order per reservation.
///
/// Reads the journal from a gateway's ops listener. Of all relays of a sale that have the same --name, one delivers;
/// the others wait. Secrets come from files only.
///
/// Exit codes: 0 done, or ended by SIGTERM, 1 what was delivered can't be taken back, 2 wrong usage or bad
/// input, 3 something outside failed.
#[derive(Debug, Parser)]
#[command(name = "relay", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) deliver: DeliverOptions,

    /// What to do with what was not delivered
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do besides delivering.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the reservations whose webhooks are not taken, one JSON object a line
    Parked(ParkedOptions),
    /// Send webhooks again that were not taken, also while a relay runs
    Retry(RetryOptions),
}

/// Options of a delivery.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("sink").args(["postgres", "webhook", "stdout", "print_schema"]).required(true))]
pub(crate) struct DeliverOptions {
    /// The sale to deliver
    #[arg(value_name = "SALE", required_unless_present = "print_schema", env = "LAUNCHGATE_SALE")]
    pub(crate) sale: Option<String>,

    /// A gateway's ops listener, as in http://127.0.0.1:8081
    #[arg(long, value_name = "URL", required_unless_present = "print_schema", env = "LAUNCHGATE_FROM_OPS")]
    pub(crate) from_ops: Option<String>,

    /// The ops token: a file with one line, TOKEN or NAME TOKEN [ROLE]; the role `feed` is enough. It is read again
    /// for every request
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "print_schema",
        env = "LAUNCHGATE_TOKEN_FILE"
    )]
    pub(crate) token_file: Option<PathBuf>,

    /// Certificates to trust besides the system's, PEM: for gateways, PostgreSQL and webhooks
    #[arg(long, value_name = "FILE", env = "LAUNCHGATE_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) postgres: PostgresOptions,

    #[command(flatten)]
    pub(crate) webhook: WebhookOptions,

    /// Print the changes, one JSON object a line
    #[arg(long, env = "LAUNCHGATE_STDOUT")]
    pub(crate) stdout: bool,

    /// The reader: of all relays of the sale with this name, one delivers [default: postgres, webhook or stdout]
    #[arg(long, value_name = "NAME", env = "LAUNCHGATE_NAME")]
    pub(crate) name: Option<String>,

    /// Deliver only changes after which a reservation is in one of these states: held, confirmed, cancelled,
    /// expired. Not with --postgres, whose copy is whole
    #[arg(long, value_name = "STATE", value_delimiter = ',', env = "LAUNCHGATE_STATE")]
    pub(crate) state: Vec<State>,

    /// Deliver only changes of reservations that then have one of these items, as in model:air-400. Not with
    /// --postgres
    #[arg(long, value_name = "ITEM", value_delimiter = ',', value_parser = Item::parse, env = "LAUNCHGATE_ITEM")]
    pub(crate) item: Vec<Item>,

    /// Start after this cursor of a line, if the sink has none yet [default: 0-0, the start]
    #[arg(long, value_name = "CURSOR", env = "LAUNCHGATE_FROM")]
    pub(crate) from: Option<String>,

    /// End once all changes so far are delivered
    #[arg(long, env = "LAUNCHGATE_UNTIL_CAUGHT_UP")]
    pub(crate) until_caught_up: bool,

    /// How long the lease lasts: another relay takes over that long after this one has died (1s to 60s)
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = duration::duration, env = "LAUNCHGATE_LEASE")]
    pub(crate) lease: Duration,

    /// Serve Prometheus metrics at this address
    #[arg(long, value_name = "ADDR", env = "LAUNCHGATE_METRICS_LISTEN")]
    pub(crate) metrics_listen: Option<SocketAddr>,

    /// Allow an address for metrics that other machines can reach
    #[arg(long, env = "LAUNCHGATE_METRICS_BEYOND_LOOPBACK")]
    pub(crate) metrics_beyond_loopback: bool,

    /// The form of the log on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text", env = "LAUNCHGATE_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,

    /// What to log: error, warn, info, debug, trace, or per module as in "info,relay=debug"
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "LAUNCHGATE_LOG_LEVEL")]
    pub(crate) log_level: String,
}

/// Options of the copy in PostgreSQL.
#[derive(Debug, Args)]
pub(crate) struct PostgresOptions {
    /// Keep a copy in this database, as in postgres://relay@db.example/orders?sslmode=require. Without `sslmode` the
    /// connection is plain; a password comes from --postgres-password-file
    #[arg(long, value_name = "URL", env = "LAUNCHGATE_POSTGRES")]
    pub(crate) postgres: Option<String>,

    /// The password of the database's user; read again for every connection
    #[arg(long, value_name = "FILE", requires = "postgres", env = "LAUNCHGATE_POSTGRES_PASSWORD_FILE")]
    pub(crate) postgres_password_file: Option<PathBuf>,

    /// Print the SQL of the copy's tables, and end
    #[arg(long, exclusive = true)]
    pub(crate) print_schema: bool,
}

/// Options of webhooks.
#[derive(Debug, Args)]
pub(crate) struct WebhookOptions {
    /// Send each change to this address
    #[arg(
        long,
        value_name = "URL",
        requires_all = ["webhook_secret_file", "state_dir"],
        env = "LAUNCHGATE_WEBHOOK"
    )]
    pub(crate) webhook: Option<String>,

    /// The secret that signs webhooks, `whsec_…`; a second line is the next one during a rotation
    #[arg(long, value_name = "FILE", requires = "webhook", env = "LAUNCHGATE_WEBHOOK_SECRET_FILE")]
    pub(crate) webhook_secret_file: Option<PathBuf>,

    /// The folder of what is not delivered yet; created if missing
    #[arg(long, value_name = "DIR", requires = "webhook", env = "LAUNCHGATE_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,

    /// So many requests at once, never two of one reservation (2 to 256)
    #[arg(
        long,
        value_name = "N",
        requires = "webhook",
        default_value_t = 16,
        env = "LAUNCHGATE_WEBHOOK_CONCURRENCY"
    )]
    pub(crate) webhook_concurrency: usize,

    /// Allow http:// to other machines than this one: the network then sees what buyers chose
    #[arg(long, requires = "webhook", env = "LAUNCHGATE_WEBHOOK_PLAIN_HTTP")]
    pub(crate) webhook_plain_http: bool,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The lease may last this long.
const LEASE_MIN: Duration = Duration::from_secs(1);
const LEASE_MAX: Duration = Duration::from_secs(60);
/// Of sales and of readers' names.
const ID_CHARS_MAX: usize = 64;

/// Where the options of other programs stand, which may share this environment.
const OTHERS: &[&str] = &[
    include_str!("../../src/cli/args.rs"),
    include_str!("../../src/config/options.rs"),
    include_str!("../../src/doctor/args.rs"),
    include_str!("../../../loadtest/src/cli.rs"),
    include_str!("../../../loadtest/src/client/options.rs"),
    include_str!("../../../loadtest/src/client/transport.rs"),
    include_str!("../../../loadtest/src/load/output.rs"),
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

impl DeliverOptions {
    /// Reports every value that is out of bounds, at once.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let mut mistakes = Vec::new();
        let is_sale = |id: &str| id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if let Some(sale) = self.sale.as_deref().filter(|sale| !is_id(sale) || !is_sale(sale)) {
            mistakes.push(format!("SALE: expected 1 to {ID_CHARS_MAX} of a-z, 0-9 and -, found {sale:?}"));
        }
        if let Some(name) = self.name.as_deref().filter(|name| !is_id(name)) {
            mistakes.push(format!(
                "--name: expected 1 to {ID_CHARS_MAX} letters, digits, dots, underscores or hyphens, found {name:?}"
            ));
        }
        if self.postgres.postgres.is_some() && !self.filter().is_open() {
            mistakes.push(
                "--state and --item are not for --postgres: its copy is whole, so that a reservation that changes its \
                 state is right there. Select in SQL, as in `SELECT … FROM reservations WHERE state = 'confirmed'`"
                    .to_owned(),
            );
        }
        if !CONCURRENCY.contains(&self.webhook.webhook_concurrency) {
            mistakes.push("--webhook-concurrency must be 2 to 256".to_owned());
        }
        if let Some(from) = self.from.as_deref().filter(|from| position(from).is_none()) {
            mistakes.push(format!("--from: expected the `cursor` of a line, or 0-0, found {from:?}"));
        }
        if self.lease < LEASE_MIN || self.lease > LEASE_MAX {
            mistakes.push("--lease must be 1s to 60s".to_owned());
        }
        if mistakes.is_empty() { Ok(()) } else { Err(Failure::Usage(mistakes.join("\n"))) }
    }

    /// Which changes to deliver.
    pub(crate) fn filter(&self) -> Filter {
        Filter { states: self.state.clone(), items: self.item.clone() }
    }

    /// The sink's word in metrics, and the reader's name where none is given.
    pub(crate) fn sink(&self) -> &'static str {
        match (&self.postgres.postgres, &self.webhook.webhook) {
            (Some(_), _) => "postgres",
            (None, Some(_)) => "webhook",
            (None, None) => "stdout",
        }
    }

    /// The reader's name.
    pub(crate) fn reader(&self) -> &str {
        self.name.as_deref().unwrap_or(self.sink())
    }
}

/// As ids of items are.
fn is_id(text: &str) -> bool {
    let is_of_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=ID_CHARS_MAX).contains(&text.len()) && text != "-" && text.bytes().all(is_of_id)
}

#[cfg(test)]
mod tests;
