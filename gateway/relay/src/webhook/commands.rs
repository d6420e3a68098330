//! What an operator does about webhooks that are not taken: `relay parked` and `relay retry`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde_json::json;

use crate::cli::Command;
use crate::failure::Failure;
use crate::webhook::outbox::{Outbox, OutboxError};

/// Options of `relay parked`.
#[derive(Debug, Args)]
pub(crate) struct ParkedOptions {
    /// The folder of the relay
    #[arg(long, value_name = "DIR", env = "LAUNCHGATE_STATE_DIR")]
    state_dir: PathBuf,
}

/// Options of `relay retry`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["all", "reservation", "webhooks"]).required(true))]
pub(crate) struct RetryOptions {
    /// The folder of the relay
    #[arg(long, value_name = "DIR", env = "LAUNCHGATE_STATE_DIR")]
    state_dir: PathBuf,

    /// All that is parked; and send again to a receiver that has answered 410 Gone
    #[arg(long)]
    all: bool,

    /// What is parked of this reservation; may be repeated
    #[arg(long, value_name = "ID")]
    reservation: Vec<String>,

    /// Webhooks, by their ids in `relay parked`
    #[arg(value_name = "WEBHOOK-ID")]
    webhooks: Vec<String>,
}

/// Carries a command out; returns what to print.
pub(crate) fn run(command: &Command) -> Result<String, Failure> {
    match command {
        Command::Parked(options) => parked(options),
        Command::Retry(options) => retry(options),
    }
}

fn parked(options: &ParkedOptions) -> Result<String, Failure> {
    let outbox = Outbox::open_beside(&options.state_dir)?;
    let mut lines = String::new();
    if let Some(url) = outbox.gone().map_err(failure)? {
        lines = format!("{}\n", json!({"gone": url}));
    }
    for parked in outbox.parked().map_err(failure)? {
        let line = serde_json::to_string(&parked).map_err(|error| Failure::Outside(error.to_string()))?;
        let _ = writeln!(lines, "{line}");
    }
    Ok(lines)
}

fn retry(options: &RetryOptions) -> Result<String, Failure> {
    let mut outbox = Outbox::open_beside(&options.state_dir)?;
    let mut released = 0;
    let mut unknown = Vec::new();
    if options.all {
        released = outbox.release_all().map_err(failure)?;
    }
    for id in &options.reservation {
        match outbox.release_reservation(id).map_err(failure)? {
            true => released += 1,
            false => unknown.push(format!("reservation {id}")),
        }
    }
    for id in &options.webhooks {
        match outbox.release_webhook(id).map_err(failure)? {
            true => released += 1,
            false => unknown.push(format!("webhook {id}")),
        }
    }
    if unknown.is_empty() {
        return Ok(format!("{}\n", json!({"released": released})));
    }
    Err(Failure::No(format!(
        "not parked: {}; `relay parked` lists what is. Released: {released}",
        unknown.join(", ")
    )))
}

fn failure(error: OutboxError) -> Failure {
    Failure::Outside(error.to_string())
}
