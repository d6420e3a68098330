//! Measures what attacks cost honest buyers: 200 buyers undisturbed, and beside each attack, in one run.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;
use testkit::options::Named;
use testkit::program::Program;
use testkit::run_folder::RunFolder;
use testkit::tls::Certificate;
use testkit::{Failed, print_line};

use crate::attacks::Attack;
use crate::cases::{Buyers, Case, WARM_UP, audit, ledger, measure, rounds};
use crate::cpus::make_room;
use crate::figures::{Figures, Spread};
use crate::generator::{Generator, Requests};
use crate::report::write;
use crate::servers::gateway;
use crate::{Options, wire};

/// Honest buyers at a time, each on a connection of its own.
const HONEST: usize = 200;
/// Their taps a second, all together: far below what a gateway can do, so that what is measured is the disturbance.
const RATE: f64 = 1_000.0;
/// Taps of a measurement.
const COUNT: usize = 10_000;
/// Likewise with `--quick`.
const COUNT_QUICK: usize = 2_000;
/// By how much an attack may lengthen the 99th percentile.
const RATIO_MAX: f64 = 2.0;
/// Stores of the sale.
const STORES: usize = 10;

/// The figures of one round: buyers in plain text, and in TLS, each beside the attacks that come that way.
#[derive(Serialize)]
struct HostileRound {
    scenes: [Scene; 2],
}

#[derive(Serialize)]
struct Scene {
    undisturbed: Figures,
    attacks: Vec<(Attack, Figures)>,
}

impl Scene {
    fn beside(&self, attack: Attack) -> Option<&Figures> {
        self.attacks.iter().find(|(found, _)| *found == attack).map(|(_, figures)| figures)
    }
}

impl HostileRound {
    /// How much longer the 99th percentile was beside an attack.
    fn ratio(&self, attack: Attack) -> Option<f64> {
        let scene = &self.scenes[usize::from(attack.needs_tls())];
        Some(scene.beside(attack)?.p99_us as f64 / scene.undisturbed.p99_us as f64)
    }
}

/// Measures all rounds, prints a table, and writes all figures where that was asked for.
pub(crate) fn run(options: &Options) -> Result<(), Failed> {
    make_room(1)?;
    let (count_of_rounds, count) = options.either((1, COUNT_QUICK), COUNT);
    let folder = RunFolder::new(&options.bin)?;
    let (certificate, _) = Certificate::new();
    let all = if options.attacks.is_empty() { Attack::value_variants() } else { &options.attacks };
    let buyers = Buyers::new(&folder, WARM_UP + (1 + all.len()) * count)?;
    let measured = rounds(count_of_rounds, || {
        let scene = |tls| scene(&folder, &buyers, count, tls, all);
        Ok(HostileRound { scenes: [scene(None)?, scene(Some(&certificate))?] })
    })?;
    print(&measured, all);
    let ratios = all.iter().filter_map(|attack| Some((attack.name(), ratios(&measured, *attack)?)));
    let ratios: serde_json::Map<_, _> = ratios.map(|(name, ratio)| (name, json!(ratio))).collect();
    write(options, json!({ "rounds": measured, "p99_ratios": ratios }))
}

/// On one gateway: first undisturbed, then each attack in turn. Every tap is another buyer's, and
/// must win.
fn scene(
    folder: &RunFolder,
    buyers: &Buyers,
    count: usize,
    tls: Option<&Certificate>,
    all: &[Attack],
) -> Result<Scene, Failed> {
    let redis = ledger(folder, STORES, 0)?;
    // All clients come through a trusted proxy, so that attackers can choose their addresses;
    // limits have their defaults.
    let mut options = vec!["--trusted-proxies", "127.0.0.0/8", "--limit-address", "2000:20000"];
    let files = tls.map(|files| files.options("")).unwrap_or_default();
    options.extend(files.iter().map(String::as_str));
    let gateway = gateway(folder, redis.address(), 1, &[], &options)?;
    let taps = buyers.taps("won", STORES);
    let client = tls.map(|files| wire::client(&files.cert(), "http/1.1")).transpose()?;
    let mut generator = Generator::connect_over(gateway.address(), HONEST, client.as_ref())?;
    generator.run(&taps, 0, WARM_UP, None)?;
    let mut first = WARM_UP;
    let mut next = |during: &str| {
        let load = || generator.run(&taps, first, count, Some(RATE));
        let figures = measure(Case::Won, (&gateway.program, Some(&redis)), load);
        first += count;
        figures.map_err(|failed| failed.during(during))
    };
    let undisturbed = next("undisturbed")?;
    let mut attacks = Vec::new();
    for attack in all.iter().filter(|attack| attack.needs_tls() == tls.is_some()) {
        let attackers = start(folder, *attack, gateway.address(), &taps, tls)?;
        attacks.push((*attack, next(&attack.name())?));
        drop(attackers);
    }
    audit(folder, &redis, Case::Won)?;
    Ok(Scene { undisturbed, attacks })
}

/// Starts the attackers: a process with its own descriptors and the lowest priority, because on launch day
/// they use other machines. Returns when they are at full strength.
fn start(
    folder: &RunFolder,
    attack: Attack,
    target: SocketAddr,
    taps: &Requests,
    tls: Option<&Certificate>,
) -> Result<Program, Failed> {
    // The tap of a winner, for attacks that need one.
    let tap = folder.write("tap", &String::from_utf8_lossy(taps.get(0)))?;
    let tap = File::open(tap).map_err(Failed::to("read the tap"))?;
    let own = std::env::current_exe().map_err(Failed::to("find this program"))?;
    let mut command = Command::new("chrt");
    command.args(["--idle", "0"]).arg(own).args(["--bin", ".", "--attack", &attack.name()]);
    if let Some(files) = tls {
        command.arg("--trust").arg(files.cert());
    }
    command.args(["--target", &target.to_string()]).stdin(tap).stdout(Stdio::piped());
    let mut attackers = Program::once("chrt", command)?;
    let mut line = String::new();
    let read = attackers.stdout().map(|stdout| BufReader::new(stdout).read_line(&mut line));
    read.transpose().map_err(Failed::to("read from the attackers"))?;
    if line.is_empty() {
        return Err(Failed::Outside(format!("the attackers gave up: {}", attack.name())));
    }
    Ok(attackers)
}

fn ratios(rounds: &[HostileRound], attack: Attack) -> Option<Spread> {
    Spread::of(rounds.iter().filter_map(|round| round.ratio(attack)))
}

fn print(rounds: &[HostileRound], all: &[Attack]) {
    print_line("");
    print_line(&format!(
        "{HONEST} honest buyers, {RATE} taps a second; medians of {} rounds, in brackets the least and the most",
        rounds.len()
    ));
    print_line("attack            p50 µs   p99 µs  p99.9 µs  server µs   p99 ÷ undisturbed");
    let line = |name: &str, figures: Vec<&Figures>, verdict: &str| {
        let of = |figure: fn(&Figures) -> f64| Spread::median_of(figures.iter().copied().map(figure));
        print_line(&format!(
            "{name:<16} {:>7.0} {:>8.0} {:>9.0} {:>10.2}   {verdict}",
            of(|f| f.p50_us as f64),
            of(|f| f.p99_us as f64),
            of(|f| f.p999_us as f64),
            of(|f| f.server_us),
        ));
    };
    for (scene, undisturbed) in ["none", "none, in TLS"].into_iter().enumerate() {
        line(undisturbed, rounds.iter().map(|round| &round.scenes[scene].undisturbed).collect(), "");
        for attack in all.iter().filter(|attack| usize::from(attack.needs_tls()) == scene) {
            let figures = rounds.iter().filter_map(|round| round.scenes[scene].beside(*attack)).collect();
            let ratio = ratios(rounds, *attack);
            let met = if ratio.is_some_and(|ratio| ratio.median <= RATIO_MAX) { "met" } else { "MISSED" };
            let ratio = ratio.map(|ratio| ratio.to_string()).unwrap_or_default();
            line(&attack.name(), figures, &format!("{ratio}  ≤ {RATIO_MAX} {met}"));
        }
    }
}
