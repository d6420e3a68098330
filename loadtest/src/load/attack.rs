//! Runs the load in goose: each goose user plays one journey after the other of its scenario; goose writes its reports.
//!
//! Goose judges by status code and would count every "sold out" as a failure; correcting that later (`set_success`)
//! defeats its batching. So our own client sends, and goose gets custom requests judged by the contract. Goose measures
//! from sending to the answer; our own figures count from the intended instant.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use goose::GooseAttack;
use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;

use crate::base::failure::Failure;
use crate::base::signals::Loading;
use crate::load::output::{GOOSE, Output, REPORT_JSON};
use crate::load::scenarios::Scenarios;
use crate::load::{LAUNCHES_PER_SECOND, Load, journey};

/// Goose polls twice a second for users that are done, and then writes its report.
const GOOSE_SPARE: Duration = Duration::from_secs(30);

/// What goose is to write and to read, each with its option.
#[derive(Debug, Default)]
pub(crate) struct Files(Vec<(&'static str, PathBuf)>);

impl Files {
    /// Its reports, and its report of an earlier run to compare with, where there is one.
    pub(crate) fn of(output: &Output) -> Files {
        let mut files = Vec::new();
        if let Some(dir) = &output.report {
            files.extend([("--report-file", dir.join(GOOSE)), ("--report-file", dir.join(REPORT_JSON))]);
            let before = output.baseline.as_ref().map(|dir| dir.join(REPORT_JSON));
            files.extend(before.filter(|file| file.exists()).map(|file| ("--baseline-file", file)));
        }
        Files(files)
    }
}

/// Starts all sessions and waits for their end.
pub(crate) async fn run(
    load: &Arc<Load>,
    users: &[usize],
    files: &Files,
    scenarios: &Scenarios,
) -> Result<(), Failure> {
    let broken = |error: String| Failure::Outside(format!("goose: {error}"));
    let mut attack = GooseAttack::initialize_with_config(configuration(load, users.iter().sum(), files)?)
        .and_then(|attack| {
            // A client for each user would cost more than the sessions.
            attack.set_client_builder_without_cookies(GooseClientBuilder::new().without_cookies())
        })
        .map_err(|error| broken(error.to_string()))?;
    for (queue, users) in users.iter().enumerate() {
        let scenario = scenarios.named(load.queues[queue].scenario).ok_or_else(|| {
            broken(format!("the scenario {:?} is not defined", load.queues[queue].scenario))
        })?;
        // Goose shares its users out by weight: with their number as the weight each scenario has exactly its own.
        let played = journey::play(&scenario, load, queue).set_weight(*users);
        attack = attack.register_scenario(played.map_err(|error| broken(error.to_string()))?);
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
    // telnet and run until it is stopped. A user ends when no start is left, see `journey`.
    line.extend(["--quiet", "--no-print-metrics", "--no-telnet"].map(str::to_owned));
    line.extend(["--iterations".to_owned(), usize::MAX.to_string()]);
    line.extend(["--host".to_owned(), load.client.gateway(0).to_owned()]);
    line.extend(["--users".to_owned(), users.to_string()]);
    line.extend(["--increase-rate".to_owned(), users.min(LAUNCHES_PER_SECOND).to_string()]);
    for (option, file) in &files.0 {
        line.extend([(*option).to_owned(), file.to_string_lossy().into_owned()]);
    }
    <GooseConfiguration as clap::Parser>::try_parse_from(line)
        .map_err(|error| Failure::Outside(format!("goose does not take its options: {error}")))
}
