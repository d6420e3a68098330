//! Measures what a reservation costs beside an empty answer and beside a common alternative, in one run.
//!
//! `scripts/bench` builds and starts it. Every round measures everything once, one after the other on
//! the same machine, so that ratios within a round hold although the machine's speed changes.

mod attacks;
mod beside;
mod cases;
mod cpus;
mod draw;
mod figures;
mod floods;
mod generator;
mod growth;
mod hostile;
mod instructions;
mod overload;
mod pages;
mod peer;
mod relay;
mod report;
mod rounds;
mod servers;
mod targets;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use testkit::ending::exit;

use cases::Case;

/// Measures the gateway beside bare hyper and beside nginx with Lua and Redis.
///
/// Exit codes: 0 measured, 1 an answer was wrong, a ledger did not balance, (with --instructions) a path got longer
/// or (with --relay) the copy was late or differs, 2 wrong usage, 3 something outside failed.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Options {
    /// The folder of gateway and examples/
    #[arg(long, value_name = "DIR")]
    bin: PathBuf,
    /// Few requests, two rounds, only the base case: takes a minute
    #[arg(long)]
    quick: bool,
    /// How many rounds to measure
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Requests of each measurement
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    requests: u32,
    /// The gateway's cases [default: all]
    #[arg(long, value_delimiter = ',', value_name = "CASES")]
    cases: Vec<Case>,
    /// Without nginx and the cases that only compare with it
    #[arg(long)]
    no_peer: bool,
    /// Instead: measure a reservation's cost with few and with very many reservations and stores
    #[arg(long, conflicts_with = "instructions")]
    growth: bool,
    /// Instead: measure goodput and latencies at up to ten times the ledger's capacity
    #[arg(long, conflicts_with_all = ["instructions", "growth"])]
    overload: bool,
    /// Draw the overload as an SVG file
    #[arg(long, value_name = "FILE", requires = "overload")]
    plot: Option<PathBuf>,
    /// Instead: measure honest buyers' latency undisturbed, and beside each of several attacks
    #[arg(long, conflicts_with_all = ["instructions", "growth", "overload"])]
    hostile: bool,
    /// Instead: compare what `loadtest` measures and costs at a fixed rate with wrk and h2load
    #[arg(long, conflicts_with_all = ["instructions", "growth", "overload", "hostile"])]
    loadtest: bool,
    /// Instead: measure what a hundred open live pages cost a gateway
    #[arg(long, conflicts_with_all = ["instructions", "growth", "overload", "hostile", "loadtest"])]
    pages: bool,
    /// Instead: measure how far a relay's copy in PostgreSQL is behind, and what it costs the gateway beside it
    #[arg(long, conflicts_with_all = ["instructions", "growth", "overload", "hostile", "loadtest", "pages"])]
    relay: bool,
    /// Instead: measure a draw of a million entrants, from sign-up to the end of the allocation
    #[arg(long, conflicts_with_all = ["instructions", "growth", "overload", "hostile", "loadtest", "pages", "relay"])]
    draw: bool,
    /// Changes a second for the relay
    #[arg(long, requires = "relay", default_value_t = relay::RATE, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    rate: u32,
    /// Only beside these attacks
    #[arg(long, value_delimiter = ',', value_name = "ATTACKS", requires = "hostile")]
    attacks: Vec<attacks::Attack>,
    /// The attackers of --hostile, which starts them
    #[arg(long, hide = true, requires = "target")]
    attack: Option<attacks::Attack>,
    /// The target of the attackers
    #[arg(long, hide = true)]
    target: Option<std::net::SocketAddr>,
    /// The certificate of a target in TLS
    #[arg(long, hide = true, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Instead: compare the instructions of a tap, by callgrind, with this committed file
    #[arg(long, value_name = "FILE")]
    instructions: Option<PathBuf>,
    /// Write the measured instructions into the file instead of comparing
    #[arg(long, requires = "instructions")]
    accept: bool,
    /// Instead: measure what a reservation costs at each durability
    #[arg(long)]
    durability: bool,
    /// Also write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Options {
    /// The rounds and the size of each with `--quick`, or else those of a complete run.
    fn either<T>(&self, quick: (usize, T), size: T) -> (usize, T) {
        if self.quick { quick } else { (self.rounds(), size) }
    }

    fn rounds(&self) -> usize {
        self.rounds.into()
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = if let (Some(attack), Some(target)) = (options.attack, options.target) {
        attacks::run(attack, target, options.trust.as_deref())
    } else if let Some(file) = &options.instructions {
        instructions::run(&options, file)
    } else if options.growth {
        growth::run(&options)
    } else if options.overload {
        overload::run(&options)
    } else if options.hostile {
        hostile::run(&options)
    } else if options.pages {
        pages::run(&options)
    } else if options.draw {
        draw::run(&options)
    } else if options.relay {
        relay::run(&options)
    } else if options.loadtest {
        beside::run(&options)
    } else {
        rounds::run(&options).and_then(|rounds| report::print(&options, &rounds, &targets::judge(&rounds)))
    };
    exit("bench: ", done.map(|()| 0))
}
