//! Injects scheduled faults into the real programs under load, then checks every guarantee against the ledger.
//!
//! `scripts/chaos` builds and starts it. Call order: `schedule.rs` (when each fault strikes) → `launch.rs` (one launch:
//! `stage.rs`, `load.rs`, `strike.rs`) → `judge.rs` (pure: losses and broken rules) → `report.rs`.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic shows where a test failed"))]

mod faults;
mod judge;
mod launch;
mod ledger;
mod load;
mod machine;
mod report;
mod schedule;
mod stage;
mod strike;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use testkit::ending::exit;
use testkit::options::{Level, Named};
use testkit::{Failed, print_line};

use faults::Fault;
use machine::Machine;
use report::Run;

/// Breaks Redis, its hosts and gateways under load, by a schedule from a seed, then checks every guarantee.
///
/// Exit codes: 0 every guarantee held, 1 one was broken, 2 wrong usage, 3 something outside failed.
#[derive(Debug, Parser)]
#[command(name = "chaos", version)]
struct Options {
    /// The folder of the programs gateway and loadtest
    #[arg(long, value_name = "DIR")]
    bin: PathBuf,
    /// The seed of the schedule [default: random]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(..1 << 48))]
    seed: Option<u64>,
    /// Start launches for M minutes, in as many rounds as fit
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: Option<u64>,
    /// Only the first N launches of the schedule
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    launches: Option<u64>,
    /// Only these faults [default: all]
    #[arg(long, value_name = "FAULTS", value_delimiter = ',', hide_possible_values = true)]
    faults: Vec<Fault>,
    /// Only at these levels of durability [default: all]
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', hide_possible_values = true)]
    levels: Vec<Level>,
    /// Only this round of the schedule: to repeat a launch that failed in a later round
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    round: Option<u64>,
    /// Instead: print the schedule, start nothing
    #[arg(long)]
    plan: bool,
    /// Instead: list all faults and levels
    #[arg(long)]
    list: bool,
    /// Also write the findings as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the tables as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Keep the files of failed launches (logs, append-only files, histories) in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// This process has its own namespaces: it may drop packets and mount disks
    #[arg(long, hide = true)]
    own_namespaces: bool,
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.faults.is_empty() {
        options.faults = Fault::value_variants().to_vec();
    }
    if options.levels.is_empty() {
        options.levels = Level::value_variants().to_vec();
    }
    let done = if options.list {
        report::list();
        Ok(0)
    } else {
        run(&options)
    };
    exit("chaos: ", done)
}

/// Runs the schedule and returns the exit code.
fn run(options: &Options) -> Result<u8, Failed> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let of_round = |round| schedule::round(seed, round, &options.faults, &options.levels);
    let first = options.round.unwrap_or(1);
    if of_round(first).is_empty() {
        return Err(Failed::Usage(
            "none of these faults applies at these levels: --list gives the reason".into(),
        ));
    }
    print_line(&format!("seed {seed}; the schedule of round {first}, in its order:"));
    of_round(first).iter().for_each(|launch| print_line(&format!("  {}", launch.line())));
    if options.plan {
        return Ok(0);
    }
    let machine = Machine::probe(options.own_namespaces);
    let mut run = Run::new(seed, options.minutes);
    for fault in &options.faults {
        if let Some(why) = machine.lacks(*fault) {
            print_line(&format!("skipped: {}: {why}", fault.name()));
            run.skipped.insert(*fault, why.to_string());
        }
    }
    let ends = options.minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    // Without a time it is one round.
    let rounds = if ends.is_some() && options.round.is_none() { u64::MAX } else { 1 };
    let launches = (first..).take(usize::try_from(rounds).unwrap_or(usize::MAX)).flat_map(of_round);
    let launches = launches.filter(|launch| machine.lacks(launch.fault).is_none());
    let most = usize::try_from(options.launches.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    if run.skipped.len() == options.faults.len() {
        return Err(Failed::Outside("this machine can inject none of these faults".into()));
    }
    for launch in launches.take(most) {
        if ends.is_some_and(|ends| Instant::now() >= ends) {
            break;
        }
        match launch::play(&options.bin, &launch, options.keep.as_deref()) {
            Ok(findings) => {
                report::print(&launch, &findings);
                run.launches.push((launch, findings));
            }
            // One failed launch does not invalidate the others.
            Err(failed) => {
                print_line(&format!("FAILED {failed}"));
                run.failed += 1;
            }
        }
    }
    run.print();
    if let Some(file) = &options.json {
        write(file, run.json())?;
    }
    if let Some(file) = &options.markdown {
        write(file, run.markdown())?;
    }
    match run.failed {
        _ if run.is_broken() => Ok(1),
        0 => Ok(0),
        failed => Err(Failed::Outside(format!("{failed} launches did not finish"))),
    }
}

fn write(file: &Path, text: String) -> Result<(), Failed> {
    std::fs::write(file, text).map_err(Failed::to(&format!("write {}", file.display())))
}
