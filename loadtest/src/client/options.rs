//! Defines the options for gateways, ops listener and tokens.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::base::failure::Failure;
use crate::base::span;
use crate::client::transport::Transport;

/// Where the ledger is to be read.
#[derive(Clone, Debug, Args)]
pub(crate) struct Ledger {
    /// A gateway's ops listener, for definition, journal and audit; give several, and the next one is asked when one
    /// fails
    #[arg(long, value_name = "URL", required = true, value_delimiter = ',', env = "LAUNCHGATE_OPS")]
    pub(crate) ops: Vec<String>,

    /// The sale under test; its definition must have `rehearsal = true`
    #[arg(long, value_name = "ID", env = "LAUNCHGATE_SALE")]
    pub(crate) sale: String,

    /// The gateway's ops tokens, lines of `NAME TOKEN [ROLE]`
    #[arg(long, value_name = "FILE", env = "LAUNCHGATE_OPS_TOKEN_FILE")]
    pub(crate) ops_token_file: PathBuf,

    /// Certificates to trust besides the system's, PEM: for gateways in TLS with one of their own
    #[arg(long, value_name = "FILE", env = "LAUNCHGATE_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    /// The ops token to use [default: the first with every permission]
    #[arg(long, value_name = "NAME", env = "LAUNCHGATE_OPS_TOKEN_NAME")]
    pub(crate) ops_token_name: Option<String>,
}

/// How a launch goes and what is asked of it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Manners {
    /// Behaviour of buyers and thresholds of the verdict, TOML [default: the launch of the national
    /// good car, see `loadtest profile`]
    #[arg(long, value_name = "FILE", env = "LAUNCHGATE_PROFILE")]
    pub(crate) profile: Option<PathBuf>,

    /// Set a value of the profile, as in `buyers.twice=100` or `verdict.thresholds=["won.p99 <
    /// 1s"]`; may be repeated
    #[arg(long, value_name = "KEY=VALUE", env = "LAUNCHGATE_SET")]
    pub(crate) set: Vec<String>,
}

/// The gateways under test, and the buyers' tokens.
#[derive(Clone, Debug, Args)]
pub(crate) struct Target {
    /// A gateway's public listener; give it several times to spread the buyers
    #[arg(long, value_name = "URL", required = true, value_delimiter = ',', env = "LAUNCHGATE_GATEWAY")]
    pub(crate) gateway: Vec<String>,

    #[command(flatten)]
    pub(crate) ledger: Ledger,

    #[command(flatten)]
    pub(crate) manners: Manners,

    /// The gateway's secret (HS256), to mint the buyers' tokens
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "tokens",
        conflicts_with = "tokens",
        env = "LAUNCHGATE_AUTH_SECRET_FILE"
    )]
    pub(crate) auth_secret_file: Option<PathBuf>,

    /// A file with one buyer's token a line, in place of the secret
    #[arg(long, value_name = "FILE", env = "LAUNCHGATE_TOKENS")]
    pub(crate) tokens: Option<PathBuf>,

    /// A file with the payment service's token, for `--tokens`; without it nothing is confirmed
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "auth_secret_file",
        env = "LAUNCHGATE_SERVICE_TOKEN_FILE"
    )]
    pub(crate) service_token_file: Option<PathBuf>,

    /// Send load to a sale that is not a rehearsal; never by a variable, which other commands would inherit
    #[arg(long)]
    pub(crate) i_mean_it: bool,

    /// All random choices, subs and keys come from it [default: drawn]; a seed that
    /// was used before sends the same keys again and thus wins nothing new
    #[arg(long, value_name = "N", env = "LAUNCHGATE_SEED")]
    pub(crate) seed: Option<u64>,

    #[command(flatten)]
    pub(crate) transport: Transport,

    /// How often to try a request before its outcome counts as unknown
    #[arg(long, value_name = "N", default_value_t = 10, env = "LAUNCHGATE_TRIES")]
    pub(crate) tries: u32,

    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span::parse, env = "LAUNCHGATE_TIMEOUT")]
    pub(crate) timeout: Duration,

    /// Bound of the whole load, including the wait for the opening [default: an hour, or ten
    /// minutes more than planned]
    #[arg(long, value_name = "TIME", value_parser = span::parse, env = "LAUNCHGATE_DEADLINE")]
    pub(crate) deadline: Option<Duration>,
}

/// Retries end somewhere, also with a deadline of a day.
const TRIES_MAX: u32 = 100;

impl Ledger {
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.sale.is_empty()
            || self.sale.len() > 64
            || !self.sale.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            mistakes.push("--sale must be 1 to 64 of a-z, 0-9 and -".to_owned());
        }
        for url in self.ops.iter().filter(|url| !is_base_url(url)) {
            mistakes.push(format!("--ops must be http://HOST:PORT or https://HOST:PORT, not {url:?}"));
        }
        mistakes
    }

    pub(crate) fn check(&self) -> Result<(), Failure> {
        all_or_none(self.mistakes())
    }
}

impl Target {
    /// Reports every value that is out of bounds, at once.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let mut mistakes = self.ledger.mistakes();
        if self.tries == 0 || self.tries > TRIES_MAX {
            mistakes.push(format!("--tries must be 1 to {TRIES_MAX}"));
        }
        if self.timeout.is_zero() || self.deadline.is_some_and(|deadline| deadline.is_zero()) {
            mistakes.push("--timeout and --deadline must be longer than nothing".to_owned());
        }
        for url in self.gateway.iter().filter(|url| !is_base_url(url)) {
            mistakes.push(format!("--gateway must be http://HOST:PORT or https://HOST:PORT, not {url:?}"));
        }
        mistakes.extend(self.transport.mistakes(&self.gateway));
        mistakes
    }

    /// The gateways without trailing slashes, ready to have a path put behind.
    pub(crate) fn gateways(&self) -> Vec<String> {
        self.gateway.iter().map(|url| url.trim_end_matches('/').to_owned()).collect()
    }
}

fn is_base_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some(authority) = rest.map(|rest| rest.trim_end_matches('/')) else {
        return false;
    };
    // Credentials in a URL would end up in the report.
    !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' '])
}

pub(crate) fn all_or_none(mistakes: Vec<String>) -> Result<(), Failure> {
    if mistakes.is_empty() { Ok(()) } else { Err(Failure::Usage(mistakes.join("\n"))) }
}
