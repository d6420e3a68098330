//! The commands besides `serve`: each reads its arguments, does one thing, prints the result, and sets
//! the exit code.

mod archive;
mod args;
mod confirm;
mod journal;
mod limits;
mod sale;

use std::io::{self, Write};
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
use crate::terminal::{CommandError, print, print_json};

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
            Command::Token { sub, scope, ttl, count, auth_issuer, auth_audience, auth_secret_file } => {
                let secret = read_secret(&auth_secret_file).map_err(CommandError::Usage)?;
                let subs: Box<dyn Iterator<Item = String>> = match count {
                    None => Box::new(std::iter::once(sub)),
                    Some(count) => Box::new((0..count).map(move |n| format!("{sub}-{n}"))),
                };
                let (secret, is_service, ttl_s) = (secret.as_bytes(), scope.is_some(), ttl.as_secs());
                let (issuer, audience) = (auth_issuer.as_deref(), auth_audience.as_deref());
                let now_s = jiff::Timestamp::now().as_second().unsigned_abs();
                let mut out = io::BufWriter::new(io::stdout().lock());
                for sub in subs {
                    let token = mint(secret, &sub, is_service, ttl_s, now_s, issuer, audience);
                    writeln!(out, "{}", token.map_err(CommandError::Usage)?)?;
                }
                Ok(out.flush()?)
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
    let mut lines = vec![format!(
        "{:<40} {:>9} {:>9} {:>9} {:>9} {:>7}",
        "item", "total", "free", "held", "confirmed", "drift"
    )];
    let dash = |n: Option<i64>| n.map_or("-".to_owned(), |n| n.to_string());
    let row = |name: &str, total, free, held: i64, confirmed: i64| {
        format!("{name:<40} {:>9} {:>9} {held:>9} {confirmed:>9}", dash(total), dash(free))
    };
    let is_store = |i: &&ItemReport| i.item.starts_with("store:");
    for i in report.items.iter().filter(|i| !is_store(i) || i.drift != 0) {
        lines.push(format!("{} {:>7}", row(&i.item, i.total, i.free, i.held, i.confirmed), i.drift));
    }
    // A store without a limit has no total, so it can't be part of the sum.
    let limits = |i: &ItemReport| i.total.zip(i.free);
    let (limited, unlimited): (Vec<_>, Vec<_>) =
        report.items.iter().filter(is_store).partition(|i| limits(i).is_some());
    for (stores, what) in [(limited, "stores together"), (unlimited, "stores without a limit")] {
        if !stores.is_empty() {
            let sum = |of: fn(&ItemReport) -> i64| stores.iter().map(|i| of(i)).sum();
            let (total, free) = stores
                .iter()
                .try_fold((0, 0), |(total, free), i| {
                    limits(i).map(|limits| (total + limits.0, free + limits.1))
                })
                .unzip();
            let name = format!("{} {what}", stores.len());
            lines.push(row(&name, total, free, sum(|i| i.held), sum(|i| i.confirmed)));
        }
    }
    let r = &report.reservations;
    lines.push(format!(
        "reservations: {} held, {} confirmed, {} cancelled, {} expired",
        r.held, r.confirmed, r.cancelled, r.expired
    ));
    lines.extend(report.problems.iter().map(|problem| format!("problem: {problem}")));
    let verdict = if report.verdict == AuditVerdict::Balanced { "balanced" } else { "DRIFT" };
    lines.extend((1..).zip(report.plan()).map(|(step, text)| format!("plan {step}: {text}")));
    lines.push(format!("{}: {verdict} at sequence {}\n", report.sale, report.sequence));
    lines.join("\n")
}
