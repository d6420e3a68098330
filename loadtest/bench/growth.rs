//! Whether a reservation's cost grows with the sale: with many reservations in the ledger, and with many stores.

use crate::cases::{Buyers, CONNECTIONS, Case, WARM_UP, audit, define, measure, warm};
use crate::cpus::make_room;
use crate::figures::Spread;
use crate::generator::Generator;
use crate::report::bracketed;
use crate::servers::{Level, Place, url};
use crate::{Failure, Options, print_line};

/// Reservations that are there before, and stores. The first is what the others are compared with.
const SIZES: [(usize, usize); 4] = [(1_000, 10), (100_000, 10), (2_000_000, 10), (1_000, 43_000)];
/// By how much a cost may differ.
const TOLERANCE: f64 = 0.15;
/// Small, so that the small ledger stays small.
const COUNT: usize = 20_000;

/// Measures all sizes in every round.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    make_room(1)?;
    let place = Place::new(options.bin.clone())?;
    let buyers = Buyers::new(&place, WARM_UP + COUNT)?;
    let mut costs: [Vec<f64>; SIZES.len()] = Default::default();
    for number in 1..=options.rounds {
        print_line(&format!("round {number} of {}", options.rounds));
        for (costs, (reservations, stores)) in costs.iter_mut().zip(SIZES) {
            costs.push(cost(&place, &buyers, reservations, stores)?);
        }
    }
    print_line("");
    print_line("microseconds of CPU of gateway and Redis together, a won reservation");
    for (of_size, (reservations, stores)) in costs.iter().zip(SIZES) {
        let ratios = of_size.iter().zip(&costs[0]).map(|(cost, base)| cost / base);
        let (Some(cost), Some(ratio)) = (Spread::of(of_size.iter().copied()), Spread::of(ratios)) else {
            continue;
        };
        let flat = if (ratio.median - 1.0).abs() <= TOLERANCE { "flat" } else { "NOT FLAT" };
        print_line(&format!(
            "{reservations:>9} reservations, {stores:>6} stores: {} µs, ÷ the first {} {flat}",
            bracketed(cost),
            bracketed(ratio)
        ));
    }
    Ok(())
}

fn cost(place: &Place, buyers: &Buyers, reservations: usize, stores: usize) -> Result<f64, Failure> {
    let redis = place.redis(Level::None, 1)?;
    define(place, &redis, stores, 0)?;
    let count = reservations.to_string();
    let fill = ["--redis", &url(&redis), "--sale", "won", "--batch", "250", "--count", &count];
    place.run("examples/redis_floor", &fill)?;
    let gateway = place.gateway(redis.address, 1, &[], &[])?;
    let taps = buyers.taps("won", stores);
    let mut generator = Generator::connect(gateway.address, CONNECTIONS)?;
    warm(&mut generator, &taps)?;
    let load = || generator.run(&taps, WARM_UP, COUNT, None);
    let figures = measure(Case::Won, (&gateway, Some(&redis)), load)?;
    audit(place, &redis, Case::Won)?;
    Ok(figures.server_us + figures.redis_us)
}
