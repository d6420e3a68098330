//! Owns goose: one goose user a buyer, who goes on his journey once; its report is written, its prints are not
//! (but for one line when all have set out).
//!
//! Goose judges a request by its status code and would call every "sold out" a failure, and
//! correcting it afterwards (`set_success`) defeats its batching. So the requests are sent by
//! our own client, which can also send two taps at once, and are handed to goose as custom
//! requests that have been judged by the contract.

use crate::Failure;
use crate::client::Answer;
use crate::load::{LAUNCHES_PER_SECOND, Load};
use goose::GooseAttack;
use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::goose::{GooseUser, Scenario, Transaction, TransactionResult};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A request as goose's report shows it.
pub(crate) struct Note {
    method: &'static str,
    name: String,
    took: Duration,
    good: bool,
    status: Option<u16>,
    error: Option<String>,
}

impl Note {
    /// `good`: the answer is one that the contract allows, also when it is a "no".
    pub(crate) fn new(method: &'static str, name: &str, answer: &Answer, good: bool) -> Note {
        let error = match &answer.reply {
            Ok(reply) if !good => Some(format!("{name}: {}", reply.status)),
            // Not the error's text: it has addresses in it, and goose keeps a row a text.
            Err(_) => Some(format!("{name}: no answer")),
            Ok(_) => None,
        };
        let status = answer.reply.as_ref().ok().map(|reply| reply.status);
        Note { method, name: name.to_owned(), took: answer.took, good, status, error }
    }
}

/// Puts a request into goose's report. It fails only when goose is shutting down.
pub(crate) async fn record(user: &mut GooseUser, note: &Note) {
    let _ = user
        .record_custom_request_duration(
            note.method,
            &note.name,
            note.took,
            note.good,
            note.status,
            note.error.as_deref(),
        )
        .await;
}

/// Goose polls twice a second for users that are done, and then writes its report.
const GOOSE_SPARE: Duration = Duration::from_secs(30);

/// Sends all buyers on their journeys and waits until they are back.
pub(crate) async fn run(load: &Arc<Load>, report: Option<&Path>) -> Result<(), Failure> {
    let broken = |error: String| Failure::Outside(format!("goose: {error}"));
    let scenario = Scenario::new("spike")
        .register_transaction(leg(load, "warm up", 1, |load, user| Box::pin(warm(load, user))))
        .register_transaction(leg(load, "tap", 2, |load, user| Box::pin(tap(load, user))))
        .register_transaction(leg(load, "settle", 3, |load, user| Box::pin(settle(load, user))));
    let attack = GooseAttack::initialize_with_config(configuration(load, report)?)
        .and_then(|attack| {
            // A client a user would cost more than the journeys do.
            attack.set_client_builder_without_cookies(GooseClientBuilder::new().without_cookies())
        })
        .map_err(|error| broken(error.to_string()))?
        .register_scenario(scenario);
    let limit = load.schedule.deadline.saturating_duration_since(Instant::now()) + GOOSE_SPARE;
    match tokio::time::timeout(limit, attack.execute()).await {
        Ok(Ok(_metrics)) => Ok(()),
        Ok(Err(error)) => Err(broken(error.to_string())),
        Err(_) => Err(broken(format!("did not come back within {} s", limit.as_secs()))),
    }
}

fn configuration(load: &Load, report: Option<&Path>) -> Result<GooseConfiguration, Failure> {
    let users = load.buyers.len();
    let mut line = vec!["loadtest".to_owned()];
    // What follows overrides goose's defaults: it would print tables, open a port for
    // telnet and run until it is stopped.
    line.extend(["--quiet", "--no-print-metrics", "--no-telnet", "--iterations", "1"].map(str::to_owned));
    line.extend(["--host".to_owned(), load.client.gateway(0).to_owned()]);
    line.extend(["--users".to_owned(), users.to_string()]);
    line.extend(["--increase-rate".to_owned(), users.min(LAUNCHES_PER_SECOND).to_string()]);
    if let Some(report) = report {
        line.extend(["--report-file".to_owned(), report.join("report.html").to_string_lossy().into_owned()]);
    }
    <GooseConfiguration as clap::Parser>::try_parse_from(line)
        .map_err(|error| Failure::Outside(format!("goose does not take its options: {error}")))
}

type Journey<'r> = Pin<Box<dyn Future<Output = ()> + Send + 'r>>;

/// A part of the journey: goose reports how long each part took.
fn leg(
    load: &Arc<Load>,
    name: &str,
    sequence: usize,
    walk: impl for<'r> Fn(Arc<Load>, &'r mut GooseUser) -> Journey<'r> + Send + Sync + 'static,
) -> Transaction {
    let load = Arc::clone(load);
    Transaction::new(Arc::new(move |user| {
        let journey = walk(Arc::clone(&load), user);
        Box::pin(async move {
            journey.await;
            TransactionResult::Ok(())
        })
    }))
    .set_name(name)
    .set_sequence(sequence)
}

async fn warm(load: Arc<Load>, user: &mut GooseUser) {
    if let Some(buyer) = load.buyers.get(user.weighted_users_index) {
        buyer.lock().await.warm(&load, user).await;
    }
}

async fn tap(load: Arc<Load>, user: &mut GooseUser) {
    if let Some(buyer) = load.buyers.get(user.weighted_users_index) {
        buyer.lock().await.tap(&load, user).await;
    }
}

async fn settle(load: Arc<Load>, user: &mut GooseUser) {
    if let Some(buyer) = load.buyers.get(user.weighted_users_index) {
        buyer.lock().await.settle(&load, user).await;
    }
}
