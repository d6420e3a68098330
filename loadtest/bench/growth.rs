//! Whether a reservation's cost grows with the sale: with many reservations in the ledger, and with many stores.

use testkit::run_folder::RunFolder;
use testkit::{Failed, print_line};

use crate::Options;
use crate::cases::{Buyers, CONNECTIONS, Case, WARM_UP, audit, ledger, measure, rounds, warmed};
use crate::cpus::make_room;
use crate::figures::Spread;
use crate::servers::{gateway, url};

/// Reservations that are there before, and stores. The first is what the others are compared with.
const SIZES: [(usize, usize); 4] = [(1_000, 10), (100_000, 10), (2_000_000, 10), (1_000, 43_000)];
/// By how much a cost may differ.
const TOLERANCE: f64 = 0.15;
/// Small, so that the small ledger stays small.
const COUNT: usize = 20_000;

/// Measures all sizes in every round.
pub(crate) fn run(options: &Options) -> Result<(), Failed> {
    make_room(1)?;
    let folder = RunFolder::new(&options.bin)?;
    let buyers = Buyers::new(&folder, WARM_UP + COUNT)?;
    let costs: Vec<Vec<f64>> =
        rounds(options.rounds(), || SIZES.iter().map(|size| cost(&folder, &buyers, *size)).collect())?;
    print_line("");
    print_line("microseconds of CPU of gateway and Redis together, a won reservation");
    for (n, (reservations, stores)) in SIZES.into_iter().enumerate() {
        let cost = Spread::of(costs.iter().map(|round| round[n]));
        let ratio = Spread::of(costs.iter().map(|round| round[n] / round[0]));
        let Some((cost, ratio)) = cost.zip(ratio) else { continue };
        let flat = if (ratio.median - 1.0).abs() <= TOLERANCE { "flat" } else { "NOT FLAT" };
        print_line(&format!(
            "{reservations:>9} reservations, {stores:>6} stores: {cost} µs, ÷ the first {ratio} {flat}"
        ));
    }
    Ok(())
}

fn cost(folder: &RunFolder, buyers: &Buyers, (reservations, stores): (usize, usize)) -> Result<f64, Failed> {
    let redis = ledger(folder, stores, 0)?;
    let count = reservations.to_string();
    let fill = ["--redis", &url(&redis), "--sale", "won", "--batch", "250", "--count", &count];
    folder.run("examples/redis_floor", &fill)?;
    let gateway = gateway(folder, redis.address(), 1, &[], &[])?;
    let taps = buyers.taps("won", stores);
    let mut generator = warmed(gateway.address(), CONNECTIONS, &taps)?;
    let load = || generator.run(&taps, WARM_UP, COUNT, None);
    let figures = measure(Case::Won, (&gateway.program, Some(&redis)), load)?;
    audit(folder, &redis, Case::Won)?;
    Ok(figures.server_us + figures.redis_us)
}
