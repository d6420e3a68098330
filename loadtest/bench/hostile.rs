//! Measures what attacks cost honest buyers: 200 buyers undisturbed, and beside each attack, in one
//! run.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;
use testkit::tls::Certificate;

use crate::attacks::Attack;
use crate::cases::{Buyers, Case, WARM_UP, audit, define, measure, warm};
use crate::cpus::make_room;
use crate::figures::{Figures, Spread};
use crate::generator::{Generator, Requests};
use crate::report::{bracketed, write};
use crate::servers::{Level, Place, Server};
use crate::wire;
use crate::{Failure, Options, print_line};

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
struct Round {
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

impl Round {
    /// How much longer the 99th percentile was beside an attack.
    fn ratio(&self, attack: Attack) -> Option<f64> {
        let scene = &self.scenes[usize::from(attack.needs_tls())];
        Some(scene.beside(attack)?.p99_us as f64 / scene.undisturbed.p99_us as f64)
    }
}

/// Measures all rounds, prints a table, and writes all figures where that was asked for.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    make_room(1)?;
    let (rounds, count) = if options.quick { (1, COUNT_QUICK) } else { (options.rounds, COUNT) };
    let place = Place::new(options.bin.clone())?;
    let (certificate, _) = Certificate::new();
    let all = if options.attacks.is_empty() { Attack::value_variants() } else { &options.attacks };
    let buyers = Buyers::new(&place, WARM_UP + (1 + all.len()) * count)?;
    let mut measured = Vec::new();
    for number in 1..=rounds {
        print_line(&format!("round {number} of {rounds}"));
        let scene = |tls| scene(&place, &buyers, count, tls, all);
        measured.push(Round { scenes: [scene(None)?, scene(Some(&certificate))?] });
    }
    print(&measured, all);
    let ratios = all.iter().filter_map(|attack| Some((attack.name(), ratios(&measured, *attack)?)));
    let ratios: serde_json::Map<_, _> = ratios.map(|(name, ratio)| (name, json!(ratio))).collect();
    write(options, json!({ "rounds": measured, "p99_ratios": ratios }))
}

/// On one gateway: first undisturbed, then each attack in turn. Every tap is another buyer's, and
/// must win.
fn scene(
    place: &Place,
    buyers: &Buyers,
    count: usize,
    tls: Option<&Certificate>,
    all: &[Attack],
) -> Result<Scene, Failure> {
    let redis = place.redis(Level::None, 1)?;
    define(place, &redis, STORES, 0)?;
    // All clients come through a trusted proxy, so that attackers can choose their addresses;
    // limits have their defaults.
    let mut options = vec!["--trusted-proxies", "127.0.0.0/8", "--limit-address", "2000:20000"];
    let files = tls.map(|files| [files.cert(), files.key()].map(|file| file.to_string_lossy().into_owned()));
    if let Some([cert, key]) = &files {
        options.extend(["--tls-cert-file", cert, "--tls-key-file", key]);
    }
    let gateway = place.gateway(redis.address, 1, &[], &options)?;
    let taps = buyers.taps("won", STORES);
    let client = tls.map(|files| wire::client(&files.cert(), "http/1.1")).transpose()?;
    let mut generator = Generator::connect_over(gateway.address, HONEST, client.as_ref())?;
    warm(&mut generator, &taps)?;
    let mut first = WARM_UP;
    let mut next = || {
        let load = || generator.run(&taps, first, count, Some(RATE));
        let figures = measure(Case::Won, (&gateway, Some(&redis)), load);
        first += count;
        figures
    };
    let undisturbed = next().map_err(|failure| failure.of("undisturbed"))?;
    let mut attacks = Vec::new();
    for attack in all.iter().filter(|attack| attack.needs_tls() == tls.is_some()) {
        let attackers = Attackers::start(*attack, &gateway, &taps, tls)?;
        let figures = next().map_err(|failure| failure.of(&attack.name()))?;
        drop(attackers);
        attacks.push((*attack, figures));
    }
    audit(place, &redis, Case::Won)?;
    Ok(Scene { undisturbed, attacks })
}

/// The attackers: a process with its own descriptors and the lowest priority, because on launch day
/// they use other machines. It ends with this.
struct Attackers(Child);

impl Attackers {
    /// Returns when they are at full strength.
    fn start(
        attack: Attack,
        gateway: &Server,
        taps: &Requests,
        tls: Option<&Certificate>,
    ) -> Result<Self, Failure> {
        let own = std::env::current_exe().map_err(Failure::outside("can't find this program"))?;
        let target: SocketAddr = gateway.address;
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]).arg(own).args(["--bin", ".", "--attack", &attack.name()]);
        if let Some(files) = tls {
            command.arg("--trust").arg(files.cert());
        }
        command.args(["--target", &target.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut attackers = Self(command.spawn().map_err(Failure::outside("can't start chrt"))?);
        // The tap of a winner, for attacks that need one.
        let stdin = attackers.0.stdin.as_mut().ok_or_else(|| Failure::Outside("no stdin".into()))?;
        let tap = taps.get(0);
        let length = u32::try_from(tap.len()).unwrap_or_default().to_be_bytes();
        stdin
            .write_all(&[&length[..], tap].concat())
            .and_then(|()| stdin.flush())
            .map_err(Failure::outside("can't write to the attackers"))?;
        let stdout = attackers.0.stdout.take().ok_or_else(|| Failure::Outside("no stdout".into()))?;
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        read.map_err(Failure::outside("can't read from the attackers"))?;
        if line.is_empty() {
            return Err(Failure::Outside(format!("the attackers gave up: {}", attack.name())));
        }
        Ok(attackers)
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ratios(rounds: &[Round], attack: Attack) -> Option<Spread> {
    Spread::of(rounds.iter().filter_map(|round| round.ratio(attack)))
}

fn print(rounds: &[Round], all: &[Attack]) {
    print_line("");
    print_line(&format!(
        "{HONEST} honest buyers, {RATE} taps a second; medians of {} rounds, in brackets the least and the most",
        rounds.len()
    ));
    print_line("attack            p50 µs   p99 µs  p99.9 µs  server µs   p99 ÷ undisturbed");
    let of = |figures: Vec<&Figures>, figure: fn(&Figures) -> f64| {
        Spread::of(figures.into_iter().map(figure)).map_or(f64::NAN, |spread| spread.median)
    };
    let line = |name: &str, figures: Vec<&Figures>, verdict: &str| {
        print_line(&format!(
            "{name:<16} {:>7.0} {:>8.0} {:>9.0} {:>10.2}   {verdict}",
            of(figures.clone(), |f| f.p50_us as f64),
            of(figures.clone(), |f| f.p99_us as f64),
            of(figures.clone(), |f| f.p999_us as f64),
            of(figures, |f| f.server_us),
        ));
    };
    for (place, undisturbed) in ["none", "none, in TLS"].into_iter().enumerate() {
        line(undisturbed, rounds.iter().map(|round| &round.scenes[place].undisturbed).collect(), "");
        for attack in all.iter().filter(|attack| usize::from(attack.needs_tls()) == place) {
            let figures = rounds.iter().filter_map(|round| round.scenes[place].beside(*attack)).collect();
            let ratio = ratios(rounds, *attack);
            let met = if ratio.is_some_and(|ratio| ratio.median <= RATIO_MAX) { "met" } else { "MISSED" };
            let ratio = ratio.map(bracketed).unwrap_or_default();
            line(&attack.name(), figures, &format!("{ratio}  ≤ {RATIO_MAX} {met}"));
        }
    }
}
