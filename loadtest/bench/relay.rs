//! Measures how far a relay's copy in PostgreSQL is behind the ledger, and what it costs the gateway beside it. Then it
//! proves that the copy is the ledger.
//!
//! The load is open: calls start at their instants, whatever the answers. All programs share the same CPUs.

mod load;
mod observer;
mod stage;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::json;
use testkit::copy::{Compared, compare};
use testkit::program::Program;
use testkit::run_folder::RunFolder;
use testkit::{Failed, block_on, print_line};

use crate::Options;
use crate::cases::rounds;
use crate::cpus::share;
use crate::figures::Spread;
use crate::generator::{Generator, Outcome, Requests};
use crate::report::write;
use observer::{Observed, Observer};
use stage::{DATABASE, Stage};

/// Changes a second.
pub(crate) const RATE: u32 = 2_000;
/// The longest lag.
const LAG_MAX_S: f64 = 2.0;
/// So much of the offered load has to be made: a lag under a smaller one shows nothing.
const MADE_MIN: f64 = 0.98;
/// CPUs of everything together.
const CPUS: usize = 2;
/// Of cases: the one that has room for all.
const SALE: &str = "won";
/// As many as the real launch has.
const STORES: usize = 43_000;
/// Seconds of each load.
const LASTS: usize = 30;
const LASTS_QUICK: usize = 5;
/// Enough that a call finds a free one.
const CONNECTIONS: usize = 512;
/// A program's name and its share of a core.
const PROGRAMS: [&str; 5] = ["gateway", "Redis", "PostgreSQL", "relay", "bench"];

/// A load without or with a relay.
#[derive(Debug, Clone, Serialize)]
struct Load {
    offered_per_second: f64,
    /// Changes that were acknowledged.
    made_per_second: f64,
    made: u64,
    statuses: BTreeMap<u16, u64>,
    /// Share of calls that were sent more than a millisecond late.
    late_share: f64,
    /// From the intended instant to the answer.
    tap_p50_ms: f64,
    tap_p99_ms: f64,
    /// Of confirms, cancels and amends.
    call_p99_ms: f64,
    /// Percent of a core, in the order of `PROGRAMS`.
    cpu: [f64; 5],
}

/// How far the copy was behind, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
struct Lag {
    count: u64,
    p50: f64,
    p99: f64,
    most: f64,
}

#[derive(Serialize)]
struct RelayRound {
    without: Load,
    with: Load,
    /// Of each row, as a reader of the database sees it.
    rows: Lag,
    /// As the relay's metric reports it.
    metric: Lag,
    /// Changes a second of a relay that was away, with no load beside it.
    catch_up_per_second: f64,
    changes: usize,
    reservations: usize,
    /// How the copy differs from the ledger.
    difference: Option<String>,
}

/// Measures all rounds, prints them, and fails if the copy is late or differs.
pub(crate) fn run(options: &Options) -> Result<(), Failed> {
    share(CPUS)?;
    let (count, lasts) = options.either((1, LASTS_QUICK), LASTS);
    let rate = options.rate as usize;
    let mut is_first_without = false;
    let measured = rounds(count, || {
        is_first_without = !is_first_without;
        round(options, rate, lasts, is_first_without)
    })?;
    print(&measured, rate);
    write(options, json!({ "programs": PROGRAMS, "seconds": lasts, "rounds": measured }))?;
    let failures: Vec<String> = measured.iter().flat_map(|round| round.failures()).collect();
    if failures.is_empty() { Ok(()) } else { Err(Failed::Wrong(failures.join("\n"))) }
}

/// Both loads, on one ledger and one copy.
fn round(options: &Options, rate: usize, lasts: usize, is_first_without: bool) -> Result<RelayRound, Failed> {
    // A second between a reservation and what becomes of it.
    let lead = rate / 2;
    let count = rate * lasts;
    let folder = RunFolder::new(&options.bin)?;
    let requests = load::requests(&folder, lead + count, lead)?;
    let stage = Stage::set(folder)?;
    let mut generator = Generator::connect(stage.gateway.address(), CONNECTIONS)?;
    generator.run(&requests, 0, lead, Some(rate as f64))?;
    let mut next = lead;
    let mut load = |relay: Option<&Program>, observer: Observer| {
        let bench = Bench { stage: &stage, requests: &requests, rate, count };
        let measured = bench.load(&mut generator, next, relay, observer);
        next += count;
        measured
    };
    let with_relay =
        |load: &mut dyn FnMut(Option<&Program>, Observer) -> Result<(Load, Observed), Failed>| {
            stage.catch_up()?;
            let (mut relay, metrics) = stage.relay()?;
            let measured = load(Some(&relay), Observer::start(&stage.url(), Some(metrics))?)?;
            relay.end()?;
            Ok::<_, Failed>(measured)
        };
    let with_first = if is_first_without { None } else { Some(with_relay(&mut load)?) };
    let without = load(None, Observer::start(&stage.url(), None)?)?.0;
    let caught_up = stage.catch_up()?;
    let (with, observed) = match with_first {
        Some(with) => with,
        None => with_relay(&mut load)?,
    };
    let is_copied = stage.audit().and_then(|()| stage.is_copied());
    let compared =
        is_copied.and_then(|()| block_on(compare(&stage.gateway, &stage.postgres, DATABASE, SALE)));
    let (Compared { changes, reservations }, difference) = match compared {
        Ok(compared) => (compared, None),
        Err(failed) => (Compared { changes: 0, reservations: 0 }, Some(failed.to_string())),
    };
    Ok(RelayRound {
        catch_up_per_second: without.made as f64 / caught_up.as_secs_f64(),
        without,
        with,
        rows: Lag::of(&observed.rows),
        metric: Lag::of(&observed.metric),
        changes,
        reservations,
        difference,
    })
}

/// What a load needs.
struct Bench<'a> {
    stage: &'a Stage,
    requests: &'a Requests,
    rate: usize,
    count: usize,
}

impl Bench<'_> {
    /// One load, observed until the copy has all of it.
    fn load(
        &self,
        generator: &mut Generator,
        first: usize,
        relay: Option<&Program>,
        observer: Observer,
    ) -> Result<(Load, Observed), Failed> {
        let before = self.stage.cpu(relay);
        let outcome = generator.run(self.requests, first, self.count, Some(self.rate as f64))?;
        let after = self.stage.cpu(relay);
        // What is not there after a minute is found by the comparison, and by its lag.
        let _ = relay.map(|_| self.stage.is_copied());
        let observed = observer.end()?;
        let seconds = outcome.elapsed.as_secs_f64();
        let mut cpu = [0.0; 5];
        for (share, (after, before)) in cpu.iter_mut().zip(after.into_iter().zip(before)) {
            *share = 100.0 * after.saturating_sub(before).as_secs_f64() / seconds;
        }
        Ok((Load::of(&outcome, self.rate, cpu), observed))
    }
}

impl Load {
    fn of(outcome: &Outcome, rate: usize, cpu: [f64; 5]) -> Self {
        let statuses = outcome.statuses();
        let made = [200, 201].iter().filter_map(|status| statuses.get(status)).sum();
        let ms = |quantile, status| outcome.quantile(quantile, |of| of == status) as f64 / 1e3;
        Self {
            offered_per_second: rate as f64,
            made_per_second: made as f64 / outcome.elapsed.as_secs_f64(),
            made,
            statuses,
            late_share: outcome.late as f64 / outcome.requests as f64,
            tap_p50_ms: ms(0.5, 201),
            tap_p99_ms: ms(0.99, 201),
            call_p99_ms: ms(0.99, 200),
            cpu,
        }
    }
}

impl Lag {
    fn of(seen: &Histogram<u64>) -> Self {
        let ms = |us: u64| us as f64 / 1e3;
        let [p50, p99] = [0.5, 0.99].map(|quantile| ms(seen.value_at_quantile(quantile)));
        Self { count: seen.len(), p50, p99, most: ms(seen.max()) }
    }
}

impl RelayRound {
    /// Why it does not show what it should.
    fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let (made, offered) = (self.with.made_per_second, self.with.offered_per_second);
        if made < offered * MADE_MIN {
            failures.push(format!(
                "only {made:.0} of {offered:.0} changes a second were made: a lag under less load proves nothing"
            ));
        }
        for (of, lag) in [("the rows", self.rows), ("the relay's metric", self.metric)] {
            if lag.most > LAG_MAX_S * 1e3 {
                failures.push(format!(
                    "the copy was late: expected a lag of at most {LAG_MAX_S} s, found {:.1} s by {of}",
                    lag.most / 1e3
                ));
            }
        }
        if self.rows.count < self.with.made {
            let (seen, made) = (self.rows.count, self.with.made);
            failures.push(format!("the copy lacks rows: {made} changes were made, {seen} became visible"));
        }
        failures
            .extend(self.difference.iter().map(|text| format!("the copy differs from the ledger: {text}")));
        failures
    }
}

fn print(rounds: &[RelayRound], rate: usize) {
    let show = |name: &str, digits: usize, figure: &dyn Fn(&RelayRound) -> f64| {
        if let Some(spread) = Spread::of(rounds.iter().map(figure)) {
            print_line(&format!("  {name:<52} {spread:.digits$}"));
        }
    };
    print_line("");
    print_line(&format!(
        "{rate} changes a second on {CPUS} CPUs for everything; medians of {} rounds, in brackets the least and the most",
        rounds.len()
    ));
    show("changes a second, made without a relay", 0, &|round| round.without.made_per_second);
    show("changes a second, made with a relay", 0, &|round| round.with.made_per_second);
    show("calls that were sent late with a relay, %", 2, &|round| 100.0 * round.with.late_share);
    show("rows that became visible", 0, &|round| round.rows.count as f64);
    show("lag of a row in PostgreSQL, p50, ms", 0, &|round| round.rows.p50);
    show("lag of a row in PostgreSQL, p99, ms", 0, &|round| round.rows.p99);
    show("lag of a row in PostgreSQL, the most, ms", 0, &|round| round.rows.most);
    show("lag by the relay's metric, p50, ms", 0, &|round| round.metric.p50);
    show("lag by the relay's metric, p99, ms", 0, &|round| round.metric.p99);
    show("lag by the relay's metric, the most, ms", 0, &|round| round.metric.most);
    let both: [(&str, fn(&Load) -> f64); 3] = [
        ("p50 of a tap", |load| load.tap_p50_ms),
        ("p99 of a tap", |load| load.tap_p99_ms),
        ("p99 of a confirm, cancel or amend", |load| load.call_p99_ms),
    ];
    for (name, of) in both {
        show(&format!("{name}, without a relay, ms"), 2, &|round| of(&round.without));
        show(&format!("{name}, with a relay, ms"), 2, &|round| of(&round.with));
        show(&format!("{name}, with ÷ without"), 2, &|round| of(&round.with) / of(&round.without));
    }
    for (n, program) in PROGRAMS.into_iter().enumerate() {
        show(&format!("CPU of {program}, without a relay, % of a core"), 0, &|round| round.without.cpu[n]);
        show(&format!("CPU of {program}, with a relay, % of a core"), 0, &|round| round.with.cpu[n]);
    }
    show("changes a second of a relay that catches up", 0, &|round| round.catch_up_per_second);
    for round in rounds {
        let (without, with) = (&round.without.statuses, &round.with.statuses);
        print_line(&format!("  answers by status: {without:?} without, {with:?} with a relay"));
        let RelayRound { changes, reservations, .. } = round;
        print_line(&round.difference.as_ref().map_or_else(
            || format!("  the copy is the ledger: {changes} changes, {reservations} reservations"),
            |text| format!("  the copy differs from the ledger: {text}"),
        ));
    }
    let most = Spread::of(rounds.iter().map(|round| round.rows.most / 1e3));
    let is_met = rounds.iter().all(|round| round.failures().is_empty());
    if let Some(most) = most {
        let met = if is_met { "met" } else { "MISSED" };
        print_line(&format!("  the most lag of a row, s: at most {LAG_MAX_S}  {most:.2} {met}"));
    }
}
