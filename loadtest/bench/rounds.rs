//! Runs the rounds: starts the servers and measures in order.

use std::net::SocketAddr;

use clap::ValueEnum;
use testkit::gateway::Gateway;
use testkit::options::Level;
use testkit::program::{Program, Server};
use testkit::redis::Redis;
use testkit::run_folder::RunFolder;
use testkit::{Failed, Signal, block_on};

use crate::cases::{
    BATCHES, Buyers, CONNECTIONS, Case, MOST_CONNECTIONS, WARM_UP, audit, define, ledger, measure,
    measure_any, requests, rounds, sizes_of_a_win, status_read, warmed,
};
use crate::cpus::make_room;
use crate::figures::{Round, Row, Side};
use crate::generator::{Generator, Requests};
use crate::servers::{floor, gateway, redis, replica, url, wrk};
use crate::{Options, peer};

/// Connections that it is varied to besides.
const MORE_CONNECTIONS: [usize; 2] = [1_000, MOST_CONNECTIONS];
/// Share of the capacity at which latencies are compared.
const PACE: f64 = 0.7;
/// Stores of the sales.
const STORES: usize = 10;
/// Measurements of one gateway that need buyers without a reservation.
const FRESH_RANGES: usize = 5;

/// Measures all rounds.
pub(crate) fn run(options: &Options) -> Result<Vec<Round>, Failed> {
    let (count_of_rounds, count) = options.either((2, 20_000), options.requests as usize);
    let all = |case: &&Case| options.cases.is_empty() || options.cases.contains(case);
    let wanted: Vec<Case> = Case::value_variants().iter().filter(all).copied().collect();
    rounds(count_of_rounds, || {
        let bench = Bench {
            folder: RunFolder::new(&options.bin)?,
            count,
            wanted: &wanted,
            quick: options.quick,
            peer: !options.no_peer,
            only_levels: options.durability,
            round: Round::default(),
        };
        bench.round()
    })
}

struct Bench<'a> {
    folder: RunFolder,
    /// Requests of a measurement.
    count: usize,
    wanted: &'a [Case],
    quick: bool,
    peer: bool,
    /// A reservation at each durability, and nothing else.
    only_levels: bool,
    round: Round,
}

/// A gateway, its Redis, and the floors that its answers are compared with.
struct Stage {
    redis: Redis,
    /// Of Redis, if there is one; it ends with the stage.
    _replica: Option<Redis>,
    gateway: Gateway,
    /// Answers as long as a 201.
    floor: Server,
    /// Answers as long as the sale's page.
    floor_get: Server,
    workers: usize,
    level: &'static str,
}

impl Bench<'_> {
    fn round(mut self) -> Result<Round, Failed> {
        let buyers = Buyers::new(&self.folder, WARM_UP + FRESH_RANGES * self.count + 1)?;
        let won = buyers.taps("won", STORES);
        if self.only_levels {
            for level in [Level::None, Level::Aof, Level::Fsync, Level::Replica] {
                let stage = self.stage(level, 1, &buyers)?;
                self.case(&stage, Case::Won, &won, 0, CONNECTIONS, None)?;
            }
            return Ok(self.round);
        }
        self.base(&buyers, &won)?;
        if !self.quick && self.wanted.contains(&Case::Won) {
            let levels = [(Level::Aof, 1), (Level::Fsync, 1), (Level::Replica, 1), (Level::None, 2)];
            for (level, workers) in levels {
                let stage = self.stage(level, workers, &buyers)?;
                if workers > 1 {
                    self.floor(&stage, &won, CONNECTIONS, None)?;
                }
                self.case(&stage, Case::Won, &won, 0, CONNECTIONS, None)?;
            }
            self.redis_floor()?;
        }
        Ok(self.round)
    }

    /// One worker, no file: every case, then more connections and a constant rate.
    fn base(&mut self, buyers: &Buyers, won: &Requests) -> Result<(), Failed> {
        let (stage, wanted) = (self.stage(Level::None, 1, buyers)?, self.wanted);
        let mut next_range = 0..;
        let mut next_range = || next_range.next().unwrap_or_default();
        self.floor(&stage, won, CONNECTIONS, None)?;
        // First of all, right beside the floor that they are compared with most closely.
        for case in wanted.iter().copied().filter(|case| case.is_refusal()) {
            self.case(&stage, case, &requests(case, buyers, STORES), 0, CONNECTIONS, None)?;
        }
        if wanted.contains(&Case::Won) {
            let capacity = self.case(&stage, Case::Won, won, next_range(), CONNECTIONS, None)?;
            self.round.recording = Some(self.recording()?);
            if self.peer {
                self.peer(won)?;
            }
            if !self.quick {
                let pace = Some(capacity * PACE);
                self.floor(&stage, won, CONNECTIONS, pace)?;
                self.case(&stage, Case::Won, won, next_range(), CONNECTIONS, pace)?;
                self.case(&stage, Case::Won, won, next_range(), MOST_CONNECTIONS, pace)?;
            }
        }
        let others =
            |case: &Case| *case != Case::Won && !case.is_refusal() && case.admission_refusal().is_none();
        for case in wanted.iter().copied().filter(others) {
            if case == Case::Status {
                self.floor_get(&stage)?;
            }
            // The taps that won first are those that are sent again.
            let range = 0;
            self.case(&stage, case, &requests(case, buyers, STORES), range, CONNECTIONS, None)?;
        }
        for case in wanted.iter().copied() {
            if let Some((options, _)) = case.admission_refusal() {
                self.measure_refusals(&stage, case, options, &requests(case, buyers, STORES))?;
            }
        }
        if !self.quick {
            for connections in MORE_CONNECTIONS {
                self.floor(&stage, won, connections, None)?;
                if wanted.contains(&Case::Won) {
                    self.case(&stage, Case::Won, won, next_range(), connections, None)?;
                }
                if wanted.contains(&Case::SoldOut) {
                    let gone = requests(Case::SoldOut, buyers, STORES);
                    self.case(&stage, Case::SoldOut, &gone, 0, connections, None)?;
                }
            }
            // A new gateway: RAM of earlier use would hide the growth.
            let new = gateway(&self.folder, stage.redis.address(), 1, &[], &[])?;
            self.round.idle_connection = Some(idle(&new.program, new.address())?);
            let floor = floor(&self.folder, 1, 500, 18)?;
            self.round.idle_connection_floor = Some(idle(&floor.program, floor.address)?);
        }
        Ok(())
    }

    fn stage(&self, level: Level, workers: usize, buyers: &Buyers) -> Result<Stage, Failed> {
        make_room(workers)?;
        let redis = redis(level, workers)?;
        let replica = (level == Level::Replica).then(|| replica(&redis, workers)).transpose()?;
        define(&self.folder, &redis, STORES, self.count)?;
        let options = ["--durability", level.option()];
        let gateway = gateway(&self.folder, redis.address(), workers, &[], &options)?;
        let page = block_on(gateway.get("/v1/sales/won")).text.len();
        // The length of a 201, from the last buyer, which is not measured.
        let (body, location) = sizes_of_a_win(buyers, &gateway)?;
        let floor_get = floor(&self.folder, workers, page, 18)?;
        let floor = floor(&self.folder, workers, body, location)?;
        Ok(Stage { redis, _replica: replica, gateway, floor, floor_get, workers, level: level.option() })
    }

    /// Bare hyper gets the very same requests.
    fn floor(
        &mut self,
        stage: &Stage,
        requests: &Requests,
        connections: usize,
        pace: Option<f64>,
    ) -> Result<(), Failed> {
        let mut generator = warmed(stage.floor.address, connections, requests)?;
        let load = || generator.run(requests, WARM_UP, self.count, pace);
        let figures = measure_any((&stage.floor.program, None), load)?;
        self.round.rows.push((stage.row(Side::Floor, "POST", connections, pace), figures));
        Ok(())
    }

    fn floor_get(&mut self, stage: &Stage) -> Result<(), Failed> {
        let (floor, requests) = (&stage.floor_get, status_read());
        let mut generator = warmed(floor.address, CONNECTIONS, &requests)?;
        let load = || generator.run(&requests, 0, self.count, None);
        let figures = measure_any((&floor.program, None), load)?;
        self.round.rows.push((stage.row(Side::Floor, "GET", CONNECTIONS, None), figures));
        self.round.wrk_per_second = Some(wrk(floor.address, "/v1/sales/won", CONNECTIONS)?);
        Ok(())
    }

    /// Measures a case of the gateway, then audits; the answers a second.
    fn case(
        &mut self,
        stage: &Stage,
        case: Case,
        requests: &Requests,
        range: usize,
        connections: usize,
        pace: Option<f64>,
    ) -> Result<f64, Failed> {
        // A winner of the warm-up must not count again: its next tap is a replay.
        let mut generator = if case == Case::Mixed {
            Generator::connect(stage.gateway.address(), connections)?
        } else {
            warmed(stage.gateway.address(), connections, requests)?
        };
        let first = WARM_UP + range * self.count;
        let load = || generator.run(requests, first, self.count, pace);
        let measured = measure(case, (&stage.gateway.program, Some(&stage.redis)), load);
        let row = stage.row(Side::Gateway, &case.title(), connections, pace);
        let figures = measured.map_err(|failed| failed.during(format!("{row:?}")))?;
        let per_second = figures.per_second;
        self.round.rows.push((row, figures));
        audit(&self.folder, &stage.redis, case)?;
        Ok(per_second)
    }

    /// Measures refusals at a gateway of its own beside the same Redis, which is stopped for the
    /// shed taps.
    fn measure_refusals(
        &mut self,
        stage: &Stage,
        case: Case,
        options: &[&str],
        requests: &Requests,
    ) -> Result<(), Failed> {
        let gateway = gateway(&self.folder, stage.redis.address(), 1, &[], options)?;
        let mut generator = warmed(gateway.address(), CONNECTIONS, requests)?;
        if case == Case::Shed {
            stage.redis.signal(Signal::STOP);
        }
        let load = || generator.run(requests, WARM_UP, self.count, None);
        // A stopped Redis can't report its figures, and is otherwise idle.
        let figures = measure(case, (&gateway.program, None), load);
        if case == Case::Shed {
            stage.redis.signal(Signal::CONT);
        }
        self.round.rows.push((stage.row(Side::Gateway, &case.title(), CONNECTIONS, None), figures?));
        audit(&self.folder, &stage.redis, case)
    }

    fn peer(&mut self, requests: &Requests) -> Result<(), Failed> {
        let redis = redis(Level::None, 1)?;
        peer::fill(&redis, STORES)?;
        let nginx = peer::start(&self.folder, &redis, 1)?;
        let mut generator = warmed(nginx.address, CONNECTIONS, requests)?;
        let load = || generator.run(requests, WARM_UP, self.count, None);
        let figures = measure(Case::Won, (&nginx.program, Some(&redis)), load)?;
        let row =
            Row { side: Side::Peer, case: "won".into(), connections: CONNECTIONS, workers: 1, level: "none" };
        self.round.rows.push((row, figures));
        Ok(())
    }

    /// What the gateway writes down of each reservation, right after a load of them.
    fn recording(&self) -> Result<serde_json::Value, Failed> {
        let reply = self.folder.run("examples/recording", &[])?;
        serde_json::from_str(&reply).map_err(Failed::to("read what recording printed"))
    }

    /// The reserve script, driven straight.
    fn redis_floor(&mut self) -> Result<(), Failed> {
        for batch in BATCHES {
            let redis = ledger(&self.folder, STORES, self.count)?;
            let count = if batch == 1 { self.count / 8 } else { self.count * 2 };
            let (count, batch) = (count.to_string(), batch.to_string());
            let args = ["--redis", &url(&redis), "--sale", "won", "--batch", &batch, "--count", &count];
            let reply = self.folder.run("examples/redis_floor", &args)?;
            let reply = serde_json::from_str(&reply).map_err(Failed::to("read what redis_floor printed"))?;
            self.round.redis_floor.push(reply);
            audit(&self.folder, &redis, Case::Won)?;
        }
        Ok(())
    }
}

/// RAM of idle connections that have had one answer each.
fn idle(server: &Program, address: SocketAddr) -> Result<f64, Failed> {
    let read = status_read();
    drop(warmed(address, CONNECTIONS, &read)?);
    let before = server.resident();
    let mut generator = Generator::connect(address, MOST_CONNECTIONS)?;
    generator.run(&read, 0, MOST_CONNECTIONS, None)?;
    let grown = server.resident().saturating_sub(before);
    Ok(grown as f64 / MOST_CONNECTIONS as f64)
}

impl Stage {
    fn row(&self, side: Side, case: &str, connections: usize, pace: Option<f64>) -> Row {
        let case = if pace.is_some() { format!("{case} at 70 %") } else { case.to_owned() };
        Row { side, case, connections, workers: self.workers, level: self.level }
    }
}
