//! Owns the command line: flags, their environment variables and what makes them invalid.

use crate::Failure;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Reproduces launch day against a gateway and proves the ledger afterwards.
///
/// Exit codes: 0 PASS, 1 FAIL, 2 wrong usage or bad input, 3 something outside failed,
/// 4 a load test that proves nothing.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
pub(crate) struct Cli {
    /// What to reproduce.
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

/// What to reproduce.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// All buyers tap in the second in which the sale opens.
    Spike(SpikeOptions),
}

/// Options of `loadtest spike`.
#[derive(Clone, Debug, Args)]
pub(crate) struct SpikeOptions {
    /// A gateway's public listener; give it several times to spread the buyers
    #[arg(long, value_name = "URL", required = true, value_delimiter = ',', env = "LAUNCHGATE_GATEWAY")]
    pub(crate) gateway: Vec<String>,

    /// A gateway's ops listener: the definition, the journal and the audit come from it
    #[arg(long, value_name = "URL", env = "LAUNCHGATE_OPS")]
    pub(crate) ops: String,

    /// The sale to be stormed; its definition must say `rehearsal = true`
    #[arg(long, value_name = "ID", env = "LAUNCHGATE_SALE")]
    pub(crate) sale: String,

    /// The gateway's secret, to mint the buyers' tokens with (HS256)
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "tokens",
        conflicts_with = "tokens",
        env = "LAUNCHGATE_AUTH_SECRET_FILE"
    )]
    pub(crate) auth_secret_file: Option<PathBuf>,

    /// A file with one buyer's token a line, where the secret is not at hand
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

    /// The gateway's ops tokens, lines of `NAME TOKEN`
    #[arg(long, value_name = "FILE", env = "LAUNCHGATE_OPS_TOKEN_FILE")]
    pub(crate) ops_token_file: PathBuf,

    /// Which of the ops tokens to use [default: the first line's]
    #[arg(long, value_name = "NAME", env = "LAUNCHGATE_OPS_TOKEN_NAME")]
    pub(crate) ops_token_name: Option<String>,

    /// Where verdict.json and goose's report.html go; made if missing
    #[arg(long, value_name = "DIR", env = "LAUNCHGATE_REPORT")]
    pub(crate) report: Option<PathBuf>,

    /// Send load to a sale that is no rehearsal
    #[arg(long, env = "LAUNCHGATE_I_MEAN_IT")]
    pub(crate) i_mean_it: bool,

    /// How many buyers tap [default: 1000, or as many as there are tokens]
    #[arg(long, value_name = "N", env = "LAUNCHGATE_BUYERS")]
    pub(crate) buyers: Option<usize>,

    /// How many of a hundred winners pay
    #[arg(long, value_name = "PERCENT", default_value_t = 60, env = "LAUNCHGATE_CONFIRM_PERCENT")]
    pub(crate) confirm_percent: u32,

    /// How many of a hundred winners cancel; the rest abandon their holds
    #[arg(long, value_name = "PERCENT", default_value_t = 10, env = "LAUNCHGATE_CANCEL_PERCENT")]
    pub(crate) cancel_percent: u32,

    /// Send every tap twice with the same key, as nervous fingers do
    #[arg(long, env = "LAUNCHGATE_TWICE")]
    pub(crate) twice: bool,

    /// How often a model is chosen [default: in proportion to its stock]; may be repeated
    #[arg(long, value_name = "MODEL=WEIGHT", value_delimiter = ',', env = "LAUNCHGATE_MODEL_WEIGHT")]
    pub(crate) model_weight: Vec<String>,

    /// All random choices, subs and keys come from it [default: the clock]; a seed that
    /// was used before sends the same keys again and thus wins nothing new
    #[arg(long, value_name = "N", env = "LAUNCHGATE_SEED")]
    pub(crate) seed: Option<u64>,

    /// How many requests may be in flight at once [default: what descriptors allow, at most
    /// one a tap]; with fewer than buyers the taps queue here
    #[arg(long, value_name = "N", env = "LAUNCHGATE_CONNECTIONS")]
    pub(crate) connections: Option<usize>,

    /// How often one request is tried before its outcome is called unknown
    #[arg(long, value_name = "N", default_value_t = 10, env = "LAUNCHGATE_TRIES")]
    pub(crate) tries: u32,

    /// How long one answer is waited for
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, env = "LAUNCHGATE_TIMEOUT")]
    pub(crate) timeout: Duration,

    /// Bound of the whole load, the wait for the opening included
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = duration, env = "LAUNCHGATE_DEADLINE")]
    pub(crate) deadline: Duration,
}

/// More buyers than this need more memory and descriptors than one load generator has.
const BUYERS_MAX: usize = 100_000;
/// Retries end somewhere, also with a deadline of a day.
const TRIES_MAX: u32 = 100;

impl SpikeOptions {
    /// Reports every value that is out of bounds, at once.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let mut mistakes = Vec::new();
        if self.confirm_percent + self.cancel_percent > 100 {
            mistakes.push("--confirm-percent and --cancel-percent are more than 100 together".to_owned());
        }
        if matches!(self.buyers, Some(n) if n == 0 || n > BUYERS_MAX) {
            mistakes.push(format!("--buyers must be 1 to {BUYERS_MAX}"));
        }
        if self.tries == 0 || self.tries > TRIES_MAX {
            mistakes.push(format!("--tries must be 1 to {TRIES_MAX}"));
        }
        if self.connections == Some(0) {
            mistakes.push("--connections must be at least 1".to_owned());
        }
        if self.timeout.is_zero() || self.deadline.is_zero() {
            mistakes.push("--timeout and --deadline must be longer than nothing".to_owned());
        }
        if self.sale.is_empty()
            || self.sale.len() > 64
            || !self.sale.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            mistakes.push("--sale must be 1 to 64 of a-z, 0-9 and -".to_owned());
        }
        for (flag, url) in self.gateway.iter().map(|url| ("--gateway", url)).chain([("--ops", &self.ops)]) {
            if !is_base_url(url) {
                mistakes.push(format!("{flag} must be http://HOST:PORT or https://HOST:PORT, not {url:?}"));
            }
        }
        for weight in &self.model_weight {
            if model_weight(weight).is_none() {
                mistakes
                    .push(format!("--model-weight must be MODEL=WEIGHT with a whole number, not {weight:?}"));
            }
        }
        if mistakes.is_empty() { Ok(()) } else { Err(Failure::Usage(mistakes.join("\n"))) }
    }

    /// The gateways without trailing slashes, ready to have a path put behind.
    pub(crate) fn gateways(&self) -> Vec<String> {
        self.gateway.iter().map(|url| url.trim_end_matches('/').to_owned()).collect()
    }

    /// The weights that were given for models.
    pub(crate) fn model_weights(&self) -> Vec<(String, u64)> {
        self.model_weight.iter().filter_map(|text| model_weight(text)).collect()
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

fn model_weight(text: &str) -> Option<(String, u64)> {
    let (model, weight) = text.split_once('=')?;
    Some((model.to_owned(), weight.parse().ok()?))
}

/// Reads `90s`, `2m`, `1m30s`, `500ms` or a bare number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| "write it as 90s, 2m or 500ms".to_owned())?;
    Duration::try_from(span).map_err(|_| "must not be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(more: &[&str]) -> SpikeOptions {
        let mut line = vec![
            "loadtest",
            "spike",
            "--gateway",
            "http://a:1/",
            "--ops",
            "http://o:2",
            "--sale",
            "s-1",
            "--ops-token-file",
            "o",
        ];
        line.extend(more);
        match Cli::try_parse_from(line).unwrap().scenario {
            Scenario::Spike(options) => options,
        }
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_has_its_environment_variable() {
        for command in Cli::command().get_subcommands() {
            for arg in
                command.get_arguments().filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()))
            {
                let long = arg.get_long().unwrap();
                let variable = format!("LAUNCHGATE_{}", long.to_uppercase().replace('-', "_"));
                assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(variable.as_str()), "--{long}");
            }
        }
    }

    #[test]
    fn a_usual_line_is_read() {
        let options = parse(&["--auth-secret-file", "f", "--gateway", "https://b:1", "--deadline", "2m"]);
        assert!(options.check().is_ok());
        assert_eq!(options.gateways(), ["http://a:1", "https://b:1"]);
        assert_eq!(options.deadline, Duration::from_secs(120));
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let options = parse(&[
            "--tokens",
            "f",
            "--confirm-percent",
            "80",
            "--cancel-percent",
            "30",
            "--buyers",
            "0",
            "--gateway",
            "b:1",
            "--model-weight",
            "air",
        ]);
        let text = options.check().unwrap_err().to_string();
        for flag in ["--confirm-percent", "--buyers", "--gateway", "--model-weight"] {
            assert!(text.contains(flag), "{flag} is missing in {text}");
        }
    }

    #[test]
    fn there_must_be_a_source_of_tokens() {
        let line = [
            "loadtest",
            "spike",
            "--gateway",
            "http://a",
            "--ops",
            "http://o",
            "--sale",
            "s",
            "--ops-token-file",
            "o",
        ];
        assert!(Cli::try_parse_from(line).is_err());
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("15"), Ok(Duration::from_secs(15)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("soon").is_err() && duration("-1s").is_err());
    }
}
