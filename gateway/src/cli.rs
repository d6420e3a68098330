//! The commands besides `serve`: each reads its arguments, does one thing, prints the result, and sets
//! the exit code.

mod archive;
mod args;
mod confirm;
mod draw;
mod items;
mod journal;
mod limits;
mod sale;
mod show;

use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches};

pub use args::{Cli, Command, ConfirmArgs, LimitsAction, OperatorActionArgs, SaleAction};

use crate::config::{CommonOptions, Settings, variables};
use crate::doctor;
use crate::doctor::args::DoctorArgs;
use crate::identify::{mint, read_secret};
use crate::manage::admin::Admin;
use crate::manage::audit::{AuditReport, AuditVerdict, ItemReport};
use crate::openapi;
use crate::runtime;
use crate::store::compatibility;
use crate::store::scripts::{REAL_CLOCK, Scripts};
use crate::telemetry::list;
use crate::terminal::{CommandError, print, print_all, print_json};
use items::{ItemRow, is_store};

/// The files that define the options of other programs.
const OTHERS: &[&str] = &[
    include_str!("../../loadtest/src/cli.rs"),
    include_str!("../../loadtest/src/load/output.rs"),
    include_str!("../../loadtest/src/client/options.rs"),
    include_str!("../../loadtest/src/client/transport.rs"),
    include_str!("../relay/src/cli.rs"),
];

/// Variables of this process that no command has.
pub fn unknown_variables() -> variables::Unknown {
    variables::unknown(&Cli::command(), OTHERS)
}

/// Parses the command line and the variables; usage errors and help end the process.
pub fn parse() -> Cli {
    let matches = variables::without_empty(Cli::command()).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Runs any command but `serve`.
pub fn run(command: Command) -> Result<(), CommandError> {
    runtime::run(async {
        match command {
            Command::Serve { .. } => Ok(()),
            Command::Sale { common, action } => sale::run(&admin(&common).await?, action).await,
            Command::Audit { sale, json, common } => audit(&admin(&common).await?, &sale, json).await,
            Command::Journal { sale, follow, from, common } => {
                journal::run(&admin(&common).await?, &sale, follow, from.as_deref()).await
            }
            Command::Draw { verify: Some(file), .. } => draw::verify(&file),
            Command::Draw { sale, reveal, beacon, publish, common, confirm_args, .. } => {
                let admin = admin(&common).await?;
                let sale = sale.unwrap_or_default();
                match (publish, reveal.zip(beacon)) {
                    (Some(file), _) => draw::publish(&admin, &sale, &file).await,
                    (None, Some((reveal, beacon))) => {
                        draw::draw(&admin, &sale, (&reveal, &beacon), confirm_args).await
                    }
                    (None, None) => draw::show(&admin, &sale).await,
                }
            }
            Command::Token { sub, scope, ttl, count, auth_issuer, auth_audience, auth_secret_file } => {
                let secret = read_secret(&auth_secret_file).map_err(CommandError::Usage)?;
                let subs: Box<dyn Iterator<Item = String>> = match count {
                    None => Box::new(std::iter::once(sub)),
                    Some(count) => Box::new((0..count).map(move |n| format!("{sub}-{n}"))),
                };
                let (secret, is_service, ttl_s) = (secret.as_bytes(), scope.is_some(), ttl.as_secs());
                let (issuer, audience) = (auth_issuer.as_deref(), auth_audience.as_deref());
                let now_s = jiff::Timestamp::now().as_second().unsigned_abs();
                print_all(subs.map(|sub| {
                    let token = mint(secret, &sub, is_service, ttl_s, now_s, issuer, audience);
                    token.map(|token| token + "\n").map_err(CommandError::Usage)
                }))
            }
            Command::Limits { common, action } => limits::run(&admin(&common).await?, action).await,
            Command::Metrics { json: true } => print_json(&list::document()),
            Command::Metrics { json: false } => print(&list::table()),
            Command::Doctor { common, serve, args } => {
                let config = Settings::new(&common, Some(&serve)).serve()?;
                let args = DoctorArgs { unknown_variables: unknown_variables().others, ..args };
                doctor::run(&config, args).await
            }
            Command::Openapi { spec, api } => print(&openapi::document(spec, api)),
            Command::Config { common, serve } => print(&Settings::new(&common, Some(&serve)).document()?),
        }
    })?
}

/// Admin access to the ledger; Redis may be unreachable.
async fn admin(common: &CommonOptions) -> Result<Admin, CommandError> {
    let redis = Settings::new(common, None).redis()?;
    let pool = redis.pool(1);
    compatibility::check(&pool).await?;
    let scripts = Scripts::new(REAL_CLOCK).with_replica_acks(redis.replica_acks());
    Ok(Admin::new(pool, Arc::new(scripts), Arc::default()))
}

async fn audit(admin: &Admin, sale: &str, json: bool) -> Result<(), CommandError> {
    let report = admin.audit(sale).await?;
    let printed = if json { print_json(&report) } else { print(&table(&report)) };
    match report.verdict {
        AuditVerdict::Balanced => printed,
        AuditVerdict::Drift => Err(CommandError::No(report.first_problem().unwrap_or_default())),
    }
}

/// The balance of every model and package; stores as one line, and by id only where they drift.
fn table(report: &AuditReport) -> String {
    let is_shown = |item: &&ItemReport| !is_store(&item.item) || item.drift != 0;
    let mut lines = vec![format!("{} {:>7}", items::header(), "drift")];
    let shown = report.items.iter().filter(is_shown);
    lines.extend(shown.map(|item| format!("{} {:>7}", ItemRow::of(item).line(), item.drift)));
    lines.extend(items::stores(&report.items.iter().map(ItemRow::of).collect::<Vec<_>>()));
    lines.push(format!("reservations: {}", items::reservations(&report.reservations)));
    lines.extend(report.problems.iter().map(|problem| format!("problem: {problem}")));
    let verdict = if report.verdict == AuditVerdict::Balanced { "balanced" } else { "DRIFT" };
    lines.extend((1..).zip(report.plan()).map(|(step, text)| format!("plan {step}: {text}")));
    lines.push(format!("{}: {verdict} at sequence {}\n", report.sale, report.sequence));
    lines.join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
