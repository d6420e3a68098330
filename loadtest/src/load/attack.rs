//! Runs the load in goose: each user takes sessions from its scenario's queue; goose writes its reports.
//!
//! Goose judges by status code and would count every "sold out" as a failure; correcting that later (`set_success`)
//! defeats its batching. It also starts a user's next round after the last one, which is a closed loop. So users here
//! take starts from a queue, our own client sends, and goose gets custom requests judged by the contract. Goose
//! measures from sending to the answer; our own figures count from the intended instant.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use goose::GooseAttack;
use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::goose::{GooseUser, Scenario, Transaction, TransactionResult};
use tokio::sync::mpsc::unbounded_channel;

use crate::base::failure::Failure;
use crate::base::signals::Loading;
use crate::client::Answer;
use crate::load::output::{GOOSE, Output, REPORT_JSON, REQUEST_LOG};
use crate::load::session::Session;
use crate::load::{LAUNCHES_PER_SECOND, Load};
use crate::plan::Start;

/// A request as goose's report shows it.
pub(crate) struct GooseRequest {
    name: String,
    took: Duration,
    good: bool,
    status: Option<u16>,
    error: Option<String>,
}

impl GooseRequest {
    /// `good`: the answer is one that the contract allows, also when it is a "no".
    pub(crate) fn new(name: String, answer: &Answer, good: bool) -> GooseRequest {
        let error = match &answer.reply {
            Ok(reply) if !good => Some(format!("{name}: {}", reply.status)),
            // Not the error's text: it has addresses in it, and goose keeps a row a text.
            Err(lost) => Some(format!("{name}: {}", lost.kind())),
            Ok(_) => None,
        };
        GooseRequest { name, took: answer.took, good, status: answer.status(), error }
    }
}

/// Goose labels requests that are not its own.
const LABEL: &str = "API";
/// Beyond this many buyers the logs are shortened: a soak of hours must fit in RAM.
const FULL_HISTORIES_MAX: usize = 50_000;
/// Goose polls twice a second for users that are done, and then writes its report.
const GOOSE_SPARE: Duration = Duration::from_secs(30);

/// What goose is to write and to read, each with its option.
#[derive(Debug, Default)]
pub(crate) struct Files(Vec<(&'static str, PathBuf)>);

impl Files {
    /// Its reports, its log of requests, and its report of an earlier run to compare with, where there is one.
    pub(crate) fn of(output: &Output, request_log: bool) -> Files {
        let mut files = Vec::new();
        if let Some(dir) = &output.report {
            files.extend([("--report-file", dir.join(GOOSE)), ("--report-file", dir.join(REPORT_JSON))]);
            files.extend(request_log.then(|| ("--request-log", dir.join(REQUEST_LOG))));
            let before = output.baseline.as_ref().map(|dir| dir.join(REPORT_JSON));
            files.extend(before.filter(|file| file.exists()).map(|file| ("--baseline-file", file)));
        }
        Files(files)
    }
}

/// Starts all sessions and waits for their end.
pub(crate) async fn run(load: &Arc<Load>, users: &[usize], files: &Files) -> Result<(), Failure> {
    let broken = |error: String| Failure::Outside(format!("goose: {error}"));
    let mut attack = GooseAttack::initialize_with_config(configuration(load, users.iter().sum(), files)?)
        .and_then(|attack| {
            // A client for each user would cost more than the sessions.
            attack.set_client_builder_without_cookies(GooseClientBuilder::new().without_cookies())
        })
        .map_err(|error| broken(error.to_string()))?;
    for (queue, users) in users.iter().enumerate() {
        // Goose shares its users out by weight: with their number as the weight each scenario has exactly its own.
        let scenario = Scenario::new(load.queues[queue].line.scenario.name())
            .set_weight(*users)
            .map_err(|error| broken(error.to_string()))?;
        attack = attack.register_scenario(scenario.register_transaction(journeys(load, queue)));
    }
    let _loading = Loading::start();
    let limit = load.moments.deadline.saturating_duration_since(Instant::now()) + GOOSE_SPARE;
    match tokio::time::timeout(limit, attack.execute()).await {
        Ok(Ok(_metrics)) => Ok(()),
        Ok(Err(error)) => Err(broken(error.to_string())),
        Err(_) => Err(broken(format!("did not come back within {} s", limit.as_secs()))),
    }
}

fn configuration(load: &Load, users: usize, files: &Files) -> Result<GooseConfiguration, Failure> {
    let mut line = vec!["loadtest".to_owned()];
    // What follows overrides goose's defaults: it would print tables, open a port for
    // telnet and run until it is stopped.
    line.extend(["--quiet", "--no-print-metrics", "--no-telnet", "--iterations", "1"].map(str::to_owned));
    line.extend(["--host".to_owned(), load.client.gateway(0).to_owned()]);
    line.extend(["--users".to_owned(), users.to_string()]);
    line.extend(["--increase-rate".to_owned(), users.min(LAUNCHES_PER_SECOND).to_string()]);
    for (option, file) in &files.0 {
        line.extend([(*option).to_owned(), file.to_string_lossy().into_owned()]);
    }
    <GooseConfiguration as clap::Parser>::try_parse_from(line)
        .map_err(|error| Failure::Outside(format!("goose does not take its options: {error}")))
}

/// What a goose user does: one session after the other, until the queue is empty.
fn journeys(load: &Arc<Load>, queue: usize) -> Transaction {
    let load = Arc::clone(load);
    Transaction::new(Arc::new(move |user| {
        let load = Arc::clone(&load);
        Box::pin(async move {
            while let Some(start) = load.queues[queue].take() {
                journey(&load, start, user).await;
            }
            TransactionResult::Ok(())
        })
    }))
    .set_name("journeys")
}

async fn journey(load: &Load, start: Start, user: &mut GooseUser) {
    let mut buyer = load.buyers[start.person].lock().await;
    let (notes, mut received) = unbounded_channel();
    let session = Session::new(load, &mut buyer, notes).run(start);
    let listening = async {
        while let Some(note) = received.recv().await {
            let GooseRequest { name, took, good, status, error } = note;
            // It fails only when goose is shutting down.
            let _ =
                user.record_custom_request_duration(LABEL, &name, took, good, status, error.as_deref()).await;
        }
    };
    tokio::join!(session, listening);
    if load.buyers.len() > FULL_HISTORIES_MAX {
        buyer.history.iter_mut().for_each(|history| history.log.shorten());
    }
}
