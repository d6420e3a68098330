//! Counts the instructions of a tap with callgrind, which shows a slow-down on any machine.
//!
//! Reads that need no token are compared with a status read instead: none may cost more than a few, however little it
//! finds, and however often the sale changes.
//!
//! The gateway runs under valgrind with one worker. Only its worker thread counts: other threads (the journal
//! consumer, the live page) work by the clock, and weigh more on a slow machine. Valgrind lacks SHA instructions, so
//! hashes weigh more here than on a CPU that has them.

mod reads;
mod searches;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::Command;

use testkit::cli::output;
use testkit::gateway::Gateway;
use testkit::options::Named;
use testkit::run_folder::RunFolder;
use testkit::{Failed, print_line};

use crate::Options;
use crate::cases::{Buyers, Case, ledger, requests};
use crate::generator::Generator;
use crate::servers::gateway;

/// More than the committed figure by this share is a failure.
const TOLERANCE: f64 = 0.15;
const CASES: [Case; 3] = [Case::Won, Case::SoldOut, Case::Status];
/// As in a small batch.
const CONNECTIONS: usize = 16;
const WARM_UP: usize = 320;
const COUNT: usize = 1_600;
/// The most threads of a gateway with one worker: main, worker, journal consumer, ledger, and file
/// readers.
const THREADS_MAX: usize = 99;

/// No answer may be late beside other checks on a busy machine, where a tap takes 50 times as long under Valgrind: here
/// work counts, not time.
const PATIENCE: [&str; 4] = ["--tap-deadline-ms", "60000", "--redis-answer-timeout-ms", "10000"];

/// Counts, prints, and compares with the committed figures.
pub(crate) fn run(options: &Options, committed: &Path) -> Result<(), Failed> {
    let known = read(committed)?;
    let folder = RunFolder::new(&options.bin)?;
    let buyers = Buyers::new(&folder, WARM_UP + COUNT)?;
    let redis = ledger(&folder, 10, COUNT)?;
    let out = format!("--callgrind-out-file={}", folder.path("callgrind").display());
    let wrapper = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", &out];
    let gateway = gateway(&folder, redis.address(), 1, &wrapper, &PATIENCE)?;
    let mut counted = BTreeMap::new();
    let mut longer = Vec::new();
    for (n, case) in CASES.into_iter().enumerate() {
        let (requests, profile) = count(&folder, &gateway, case, &buyers, n + 1)?;
        let instructions = profile.instructions / requests;
        let allocations = profile.allocations as f64 / requests as f64;
        let name = case.name();
        let before = known.get(&name).copied();
        let change = before.map(|before| instructions as f64 / before as f64 - 1.0);
        let reply = before.zip(change).map_or("no committed figure".to_owned(), |(before, change)| {
            format!("committed {before}, {:+.1} %", change * 100.0)
        });
        print_line(&format!(
            "{name:<9} {instructions:>7} instructions, {allocations:>5.1} allocations; {reply}"
        ));
        if change.is_none_or(|change| change > TOLERANCE) {
            longer.push(case.title());
        }
        counted.insert(name, instructions);
    }
    drop(gateway);
    let too_dear = reads::measure(&folder, &redis)?;
    if options.accept {
        return write(committed, &counted);
    }
    if !too_dear.is_empty() {
        let most = reads::STATUS_READS_MAX;
        return Err(Failed::Wrong(format!("more than {most} status reads: {}", too_dear.join(", "))));
    }
    if longer.is_empty() {
        return Ok(());
    }
    Err(Failed::Wrong(format!(
        "{}: more than {:.0} % above {}. If that is worth it: scripts/bench --instructions --accept",
        longer.join(", "),
        TOLERANCE * 100.0,
        committed.display()
    )))
}

/// Loads the gateway with one case; how many requests were counted, and their profile: callgrind's dump of that number.
fn count(
    folder: &RunFolder,
    gateway: &Gateway,
    case: Case,
    buyers: &Buyers,
    dump: usize,
) -> Result<(u64, Profile), Failed> {
    let taps = requests(case, buyers, 10);
    let mut generator = Generator::connect(gateway.address(), CONNECTIONS)?;
    generator.run(&taps, 0, WARM_UP, None)?;
    control(gateway, &["-i", "on"])?;
    let outcome = generator.run(&taps, WARM_UP, COUNT, None)?;
    control(gateway, &["-i", "off"])?;
    control(gateway, &["--dump=bench"])?;
    case.check(&outcome)?;
    Ok((outcome.requests, worker(folder, dump)?))
}

/// The profile of the worker: of the thread that did most. A dump is a file a thread.
fn worker(folder: &RunFolder, dump: usize) -> Result<Profile, Failed> {
    let threads = (1..=THREADS_MAX).map(|thread| folder.path(&format!("callgrind.{dump}-{thread:02}")));
    let profiles =
        threads.filter_map(|file| std::fs::read_to_string(file).ok()).map(|text| Profile::read(&text));
    let worker = profiles.max_by_key(|profile| profile.instructions).filter(|worker| worker.instructions > 0);
    worker.ok_or_else(|| Failed::Outside("callgrind left no dump of a thread that did anything".into()))
}

fn write(committed: &Path, counted: &BTreeMap<String, u64>) -> Result<(), Failed> {
    let lines: String = counted.iter().map(|(name, n)| format!("{name} = {n}\n")).collect();
    let head = "# Instructions of one request, as `scripts/bench --instructions --accept` counted them.\n";
    std::fs::write(committed, format!("{head}{lines}"))
        .map_err(|error| Failed::Usage(format!("can't write {}: {error}", committed.display())))
}

/// The committed figures, by case: lines of `name = number`.
fn read(file: &Path) -> Result<BTreeMap<String, u64>, Failed> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failed::Usage(format!("can't read {}: {error}", file.display())))?;
    let figures = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).map(|line| {
        let (name, number) = line.split_once('=')?;
        Some((name.trim().to_owned(), number.trim().parse().ok()?))
    });
    let wrong = || Failed::Usage(format!("{}: a line is not `name = number`", file.display()));
    figures.collect::<Option<_>>().ok_or_else(wrong)
}

/// Sends a command to the running callgrind.
fn control(gateway: &Gateway, args: &[&str]) -> Result<(), Failed> {
    let mut command = Command::new("callgrind_control");
    command.args(args).arg(gateway.pid().to_string());
    output(command).map(drop)
}

/// What is read of callgrind's file.
struct Profile {
    instructions: u64,
    /// Calls of Rust's allocator, also to make something larger.
    allocations: u64,
}

impl Profile {
    /// A name is a number in brackets after its first use: `cfn=(7) name`, later `cfn=(7)`.
    fn read(text: &str) -> Self {
        let mut profile = Self { instructions: 0, allocations: 0 };
        let mut allocators = HashSet::new();
        let mut called = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("totals: ") {
                profile.instructions += rest.trim().parse::<u64>().unwrap_or_default();
            }
            let function = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn="));
            if let Some((number, name)) = function.and_then(|f| f.split_once(')'))
                && ["__rust_alloc", "__rust_realloc", "__rust_alloc_zeroed"].iter().any(|a| name.ends_with(a))
            {
                allocators.insert(number);
            }
            if let Some(function) = line.strip_prefix("cfn=") {
                called = function.split_once(')').map_or("", |(number, _)| number);
            } else if let Some(calls) = line.strip_prefix("calls=")
                && allocators.contains(called)
            {
                let count = calls.split(' ').next().and_then(|n| n.parse::<u64>().ok());
                profile.allocations += count.unwrap_or_default();
            }
        }
        profile
    }
}

#[cfg(test)]
mod tests;
