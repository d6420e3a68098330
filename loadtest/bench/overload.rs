//! Measures overload: goodput and latencies at multiples of the ledger's capacity, as a table and a
//! plot.
//!
//! Redis is the bottleneck, as on launch day, when one serves a whole fleet: here it is behind a slow link and gets
//! small batches. The load is open: taps start at their instants, whatever the answers.

use std::path::Path;
use std::time::Duration;

use plotters::prelude::*;
use serde::Serialize;
use testkit::gateway::Gateway;
use testkit::link::Link;
use testkit::redis::Redis;
use testkit::run_folder::RunFolder;
use testkit::{Failed, print_line};

use crate::Options;
use crate::cases::{Buyers, Case, WARM_UP, audit, ledger, rounds, warmed};
use crate::cpus::make_room;
use crate::figures::Spread;
use crate::generator::Generator;
use crate::report::write;
use crate::servers::gateway;

/// One way of the link to Redis.
const DELAY: Duration = Duration::from_millis(5);
/// Taps a batch: with the link it makes the capacity, some 6,000 a second.
const BATCH: &str = "64";
/// Offered loads, as multiples of the capacity.
const LOADS: [f64; 7] = [0.5, 0.8, 1.0, 1.5, 2.0, 5.0, 10.0];
/// How long each is offered.
const SECONDS: f64 = 3.0;
/// Enough that a tap always finds a free one: refused ones are answered at once, the others wait 0.2 s at most.
const CONNECTIONS: usize = 4_000;
/// Taps that the capacity is measured with, in a closed loop.
const CAPACITY_TAPS: usize = 20_000;
/// With the gateway's default queue delay, where the bench's other modes wait as long as it takes.
const OPTIONS: [&str; 4] = ["--batch-max", BATCH, "--queue-delay-max-ms", "200"];

/// One offered load.
#[derive(Debug, Clone, Serialize)]
struct Load {
    /// Multiples of the capacity.
    factor: f64,
    offered_per_second: f64,
    /// Won reservations a second.
    goodput: f64,
    won_p99_ms: f64,
    /// 0 without a refusal.
    refused_p99_ms: f64,
    refused_share: f64,
    /// Share of taps that were sent more than a millisecond late: the generator, not the gateway.
    late_share: f64,
    resident_mib: f64,
}

/// Measures all rounds.
pub(crate) fn run(options: &Options) -> Result<(), Failed> {
    make_room(1)?;
    let rounds = rounds(options.rounds(), || round(options))?;
    print_line("");
    print_line(
        "   load   offered/s             goodput/s       won p99 ms        refused p99 ms  refused  sent late  resident MiB",
    );
    let mut medians = Vec::new();
    for (n, factor) in LOADS.into_iter().enumerate() {
        let of = |figure: fn(&Load) -> f64| Spread::of(rounds.iter().map(|loads| figure(&loads[n])));
        let shown =
            |figure, digits| of(figure).map(|spread| format!("{spread:.digits$}")).unwrap_or_default();
        let median = |figure| of(figure).map_or(f64::NAN, |spread| spread.median);
        let load = Load {
            factor,
            offered_per_second: median(|l| l.offered_per_second),
            goodput: median(|l| l.goodput),
            won_p99_ms: median(|l| l.won_p99_ms),
            refused_p99_ms: median(|l| l.refused_p99_ms),
            refused_share: median(|l| l.refused_share),
            late_share: median(|l| l.late_share),
            resident_mib: median(|l| l.resident_mib),
        };
        print_line(&format!(
            "{:>6.1} × {:>10.0} {:>22} {:>16} {:>21} {:>7.0}% {:>9.1}% {:>13.1}",
            load.factor,
            load.offered_per_second,
            shown(|l| l.goodput, 0),
            shown(|l| l.won_p99_ms, 2),
            shown(|l| l.refused_p99_ms, 2),
            load.refused_share * 100.0,
            load.late_share * 100.0,
            load.resident_mib,
        ));
        medians.push(load);
    }
    judge(&rounds);
    if let Some(file) = &options.plot {
        plot(file, &medians)
            .map_err(|error| Failed::Usage(format!("can't draw {}: {error}", file.display())))?;
        print_line(&format!("the plot: {}", file.display()));
    }
    write(options, serde_json::json!({ "overload": rounds }))
}

/// What was asked for (issue 4), within each round.
fn judge(rounds: &[Vec<Load>]) {
    print_line("");
    let extreme = |pick: fn(f64, f64) -> f64, figure: fn(&Load, &[Load]) -> f64| {
        Spread::of(rounds.iter().filter_map(|loads| {
            let overloaded = loads.iter().filter(|load| load.factor >= 2.0);
            overloaded.map(|load| figure(load, loads)).reduce(pick)
        }))
    };
    let peak_share = extreme(f64::min, |load, loads| {
        load.goodput / loads.iter().map(|l| l.goodput).fold(f64::MIN_POSITIVE, f64::max)
    });
    let refused = extreme(f64::max, |load, _| load.refused_p99_ms);
    let grown = extreme(f64::max, |load, loads| load.resident_mib / loads[0].resident_mib);
    let print = |name: &str, spread: Option<Spread>, sign: &str, bound: f64, unit: &str| {
        if let Some(spread) = spread {
            let is_met = if sign == "≥" { spread.median >= bound } else { spread.median <= bound };
            let met = if is_met { "met" } else { "MISSED" };
            print_line(&format!("{name:<58} {sign} {bound}{unit}  {spread}{unit} {met}"));
        }
    };
    print("goodput at 2, 5 and 10 times capacity ÷ its peak, the least", peak_share, "≥", 0.9, "");
    print("p99 of refused taps at 2, 5 and 10 times, the most", refused, "≤", 250.0, " ms");
    print("memory at 2, 5 and 10 times ÷ at half the capacity, the most", grown, "≤", 1.5, "");
}

/// A gateway at the other end of a slow link to its Redis.
fn behind_a_link(folder: &RunFolder) -> Result<(Gateway, Link, Redis), Failed> {
    let redis = ledger(folder, 10, 0)?;
    let link = Link::slow(redis.address(), DELAY);
    Ok((gateway(folder, link.address, 1, &[], &OPTIONS)?, link, redis))
}

/// All loads, each on a new gateway and Redis, so that RAM can be compared.
fn round(options: &Options) -> Result<Vec<Load>, Failed> {
    let folder = RunFolder::new(&options.bin)?;
    let taps = Buyers::new(&folder, WARM_UP + CAPACITY_TAPS)?.taps("won", 10);
    let capacity = {
        let (gateway, _link, _redis) = behind_a_link(&folder)?;
        let mut generator = warmed(gateway.address(), 128, &taps)?;
        let outcome = generator.run(&taps, WARM_UP, CAPACITY_TAPS, None)?;
        Case::Won.check(&outcome)?;
        outcome.requests as f64 / outcome.elapsed.as_secs_f64()
    };
    print_line(&format!("capacity: {capacity:.0} reservations a second"));
    let most = (capacity * SECONDS * LOADS[LOADS.len() - 1]) as usize;
    let taps = Buyers::new(&folder, most)?.taps("won", 10);
    let mut loads = Vec::new();
    for factor in LOADS {
        // A ledger of its own for each: its buyers have not won yet.
        let (gateway, _link, redis) = behind_a_link(&folder)?;
        let mut generator = Generator::connect(gateway.address(), CONNECTIONS)?;
        let rate = capacity * factor;
        let outcome = generator.run(&taps, 0, (rate * SECONDS) as usize, Some(rate))?;
        let statuses = outcome.statuses();
        if statuses.keys().any(|status| !matches!(status, 201 | 503)) {
            return Err(Failed::Wrong(format!("wrong answers at {factor} times, by status: {statuses:?}")));
        }
        let of = |status: u16| statuses.get(&status).copied().unwrap_or_default() as f64;
        let ms = |status| outcome.quantile(0.99, |s| s == status) as f64 / 1e3;
        loads.push(Load {
            factor,
            offered_per_second: rate,
            goodput: of(201) / outcome.elapsed.as_secs_f64(),
            won_p99_ms: ms(201),
            refused_p99_ms: ms(503),
            refused_share: of(503) / outcome.requests as f64,
            late_share: outcome.late as f64 / outcome.requests as f64,
            resident_mib: gateway.program.resident() as f64 / f64::from(1 << 20),
        });
        drop(gateway);
        audit(&folder, &redis, Case::Won)?;
    }
    Ok(loads)
}

/// Goodput and p99 over the offered load.
fn plot(file: &Path, loads: &[Load]) -> Result<(), Box<dyn std::error::Error>> {
    const LEAST_MS: f64 = 0.1;
    let area = SVGBackend::new(file, (900, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let peak = loads.iter().map(|l| l.goodput).fold(1.0, f64::max);
    let slowest = loads.iter().flat_map(|l| [l.won_p99_ms, l.refused_p99_ms]).fold(250.0, f64::max);
    let factors = LOADS[0]..LOADS[LOADS.len() - 1];
    let mut chart = ChartBuilder::on(&area)
        .caption("Goodput and p99 over offered load", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .right_y_label_area_size(70)
        .build_cartesian_2d(factors.clone().log_scale(), 0.0..peak * 1.2)?
        .set_secondary_coord(factors.log_scale(), (LEAST_MS..slowest * 2.0).log_scale());
    chart
        .configure_mesh()
        .x_desc("offered load, multiples of the capacity (logarithmic)")
        .y_desc("won reservations a second")
        .draw()?;
    chart.configure_secondary_axes().y_desc("p99, ms (logarithmic)").draw()?;
    let goodput = loads.iter().map(|l| (l.factor, l.goodput));
    chart
        .draw_series(LineSeries::new(goodput, BLUE.stroke_width(3)))?
        .label("goodput")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], BLUE.stroke_width(3)));
    type Figure = fn(&Load) -> f64;
    let lines: [(&str, RGBColor, Figure); 2] =
        [("p99 of winners", GREEN, |l| l.won_p99_ms), ("p99 of refused taps", RED, |l| l.refused_p99_ms)];
    for (name, colour, figure) in lines {
        let points = loads.iter().filter(|l| figure(l) > 0.0).map(|l| (l.factor, figure(l).max(LEAST_MS)));
        chart
            .draw_secondary_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}
