//! Delivers every change of a sale to PostgreSQL, to a webhook, or to standard output.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic shows where a test failed"))]

mod backoff;
pub mod change;
mod cli;
mod delivery;
#[path = "../../src/domain/duration.rs"]
#[allow(dead_code, reason = "the gateway uses all of it")]
mod duration;
pub mod failure;
mod feed;
pub mod filter;
mod log;
mod metrics;
#[path = "../../src/domain/nearest.rs"]
#[allow(dead_code, reason = "the gateway uses all of it")]
mod nearest;
mod postgres;
pub mod sink;
pub mod status;
mod stdout;
mod stop;
mod trust;
#[path = "../../src/config/variables.rs"]
#[allow(unreachable_pub, reason = "the gateway's library shows it to its program")]
mod variables;
pub mod webhook;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use backoff::Backoff;
use clap::CommandFactory;
use cli::{Cli, DeliverOptions};
use delivery::Delivery;
use failure::Failure;
use feed::Feed;
use feed::lease::Leases;
use log::Troubles;
use metrics::Metrics;
use postgres::{Database, Postgres};
use sink::Sink;
use status::Status;
use stop::Stop;
use webhook::{Webhooks, commands};

/// The command line, for man pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line, runs the command and returns its exit code.
pub async fn run() -> ExitCode {
    let cli = cli::parse();
    let unknown = cli::unknown_variables();
    unknown.mistyped.iter().chain(&unknown.others).for_each(|variable| report(variable));
    if !unknown.mistyped.is_empty() {
        return ExitCode::from(2);
    }
    match run_command(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run_command(cli: Cli) -> Result<(), Failure> {
    if let Some(command) = &cli.command {
        return print(&commands::run(command)?);
    }
    let options = cli.deliver;
    if options.postgres.print_schema {
        return print(&postgres::schema::text());
    }
    options.check()?;
    log::start(options.log_format, &options.log_level)?;
    let outside = |error: io::Error| Failure::Outside(format!("signals can't be set up: {error}"));
    let stop = Stop::on_signals().map_err(outside)?;
    let (Some(sale), Some(from_ops), Some(token_file)) =
        (options.sale.as_deref(), options.from_ops.as_deref(), options.token_file.clone())
    else {
        return Err(Failure::Usage("expected SALE, --from-ops and --token-file".to_owned()));
    };
    let tls = trust::tls(options.ca_file.as_deref())?;
    let feed = Feed::new(from_ops, sale, token_file, tls.clone())?;
    let status = Arc::new(Status::new(sale, options.reader(), options.sink()));
    let _metrics = match options.metrics_listen {
        Some(address) => {
            Some(Metrics::start(address, options.metrics_beyond_loopback, status.clone()).await?)
        }
        None => None,
    };
    let work = Work { feed, status: status.clone(), stop };
    if let Some(url) = &options.postgres.postgres {
        let database = Database::new(url, options.postgres.postgres_password_file.as_deref(), tls)?;
        return work.deliver_to(Postgres::new(database, status), &options).await;
    }
    if let Some(url) = &options.webhook.webhook {
        return work.deliver_to(Webhooks::new(url, &options.webhook, tls, status)?, &options).await;
    }
    if options.stdout {
        let sink = stdout::Stdout::new(options.from.as_deref(), status, work.stop.clone())?;
        return work.deliver_to(sink, &options).await;
    }
    Err(Failure::Usage("expected --stdout".to_owned()))
}

/// What all sinks are delivered with.
struct Work {
    feed: Feed,
    status: Arc<Status>,
    stop: Stop,
}

impl Work {
    async fn deliver_to<S: Sink>(self, sink: S, options: &DeliverOptions) -> Result<(), Failure> {
        let Self { feed, status, stop } = self;
        let leases = Leases::new(feed.clone(), status.clone(), options.lease);
        let mut delivery = Delivery {
            feed,
            leases,
            sink,
            filter: options.filter(),
            from: options.from.clone(),
            until_caught_up: options.until_caught_up,
            status,
            stop,
            troubles: Troubles::default(),
            sink_backoff: Backoff::default(),
            is_known: false,
            cut_at: None,
        };
        let ended = delivery.run().await;
        delivery.sink.close().await;
        ended
    }
}

/// Prints to standard output. A reader that has gone away is not a failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Outside(format!("standard output can't be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints why the program did not do what it was asked to.
fn report(text: &str) {
    let _ = writeln!(io::stderr().lock(), "relay: {text}");
}
