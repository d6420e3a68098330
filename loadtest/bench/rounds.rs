//! Runs the rounds: starts the servers and measures in order.

use testkit::Signal;

use crate::cases::{
    self, BATCHES, Buyers, CONNECTIONS, Case, MOST_CONNECTIONS, WARM_UP, audit, define, measure, measure_any,
    requests, warm,
};
use crate::cpus::make_room;
use crate::figures::{Round, Row, Side};
use crate::generator::{Generator, Requests};
use crate::servers::{Level, Place, Server, get, url, wrk};
use crate::{Failure, Options, peer, print_line};

/// Connections that it is varied to besides.
const MORE_CONNECTIONS: [usize; 2] = [1_000, MOST_CONNECTIONS];
/// Share of the capacity at which latencies are compared.
const PACE: f64 = 0.7;
/// Stores of the sales.
const STORES: usize = 10;
/// Measurements of one gateway that need buyers without a reservation.
const FRESH_RANGES: usize = 5;

/// Measures all rounds.
pub(crate) fn run(options: &Options) -> Result<Vec<Round>, Failure> {
    let (rounds, count) =
        if options.quick { (2, 20_000) } else { (usize::from(options.rounds), options.requests as usize) };
    let all = |case: &Case| options.cases.is_empty() || options.cases.contains(case);
    let wanted: Vec<Case> = Case::ALL.into_iter().filter(all).collect();
    let mut measured = Vec::new();
    for number in 1..=rounds {
        print_line(&format!("round {number} of {rounds}"));
        let bench = Bench {
            place: Place::new(options.bin.clone())?,
            count,
            wanted: &wanted,
            quick: options.quick,
            peer: !options.no_peer,
            only_levels: options.durability,
        };
        measured.push(bench.round()?);
    }
    Ok(measured)
}

struct Bench<'a> {
    place: Place,
    /// Requests of a measurement.
    count: usize,
    wanted: &'a [Case],
    quick: bool,
    peer: bool,
    /// A reservation at each durability, and nothing else.
    only_levels: bool,
}

/// A gateway, its Redis, and the floors that its answers are compared with.
struct Stage {
    redis: Server,
    /// Of Redis, if there is one; it ends with the stage.
    _replica: Option<Server>,
    gateway: Server,
    /// Answers as long as a 201.
    floor: Server,
    /// Answers as long as the sale's page.
    floor_get: Server,
    workers: usize,
    level: &'static str,
}

impl Bench<'_> {
    fn round(&self) -> Result<Round, Failure> {
        let mut round = Round::default();
        let buyers = Buyers::new(&self.place, WARM_UP + FRESH_RANGES * self.count + 1)?;
        let won = buyers.taps("won", STORES);
        if self.only_levels {
            for level in [Level::None, Level::Aof, Level::Fsync, Level::Replica] {
                let stage = self.stage(level, 1, &buyers)?;
                self.case(&mut round, &stage, Case::Won, &won, 0, CONNECTIONS, None)?;
            }
            return Ok(round);
        }
        self.base(&mut round, &buyers, &won)?;
        if !self.quick && self.wanted.contains(&Case::Won) {
            let levels = [(Level::Aof, 1), (Level::Fsync, 1), (Level::Replica, 1), (Level::None, 2)];
            for (level, workers) in levels {
                let stage = self.stage(level, workers, &buyers)?;
                if workers > 1 {
                    self.floor(&mut round, &stage, &won, CONNECTIONS, None)?;
                }
                self.case(&mut round, &stage, Case::Won, &won, 0, CONNECTIONS, None)?;
            }
            self.redis_floor(&mut round)?;
        }
        Ok(round)
    }

    /// One worker, no file: every case, then more connections and a constant rate.
    fn base(&self, round: &mut Round, buyers: &Buyers, won: &Requests) -> Result<(), Failure> {
        let stage = self.stage(Level::None, 1, buyers)?;
        let mut fresh = 0;
        let mut next_range = || {
            fresh += 1;
            fresh - 1
        };
        self.floor(round, &stage, won, CONNECTIONS, None)?;
        // First of all, right beside the floor that they are compared with most closely.
        for case in self.wanted.iter().copied().filter(|case| case.is_refusal()) {
            self.case(round, &stage, case, &requests(case, buyers, STORES), 0, CONNECTIONS, None)?;
        }
        if self.wanted.contains(&Case::Won) {
            let capacity = self.case(round, &stage, Case::Won, won, next_range(), CONNECTIONS, None)?;
            round.recording = Some(self.recording()?);
            if self.peer {
                self.peer(round, won)?;
            }
            if !self.quick {
                let pace = Some(capacity * PACE);
                self.floor(round, &stage, won, CONNECTIONS, pace)?;
                self.case(round, &stage, Case::Won, won, next_range(), CONNECTIONS, pace)?;
                self.case(round, &stage, Case::Won, won, next_range(), MOST_CONNECTIONS, pace)?;
            }
        }
        let others =
            |case: &Case| *case != Case::Won && !case.is_refusal() && case.admission_refusal().is_none();
        for case in self.wanted.iter().copied().filter(others) {
            if case == Case::Status {
                self.floor_get(round, &stage)?;
            }
            // The taps that won first are those that are sent again.
            let range = 0;
            self.case(round, &stage, case, &requests(case, buyers, STORES), range, CONNECTIONS, None)?;
        }
        for case in self.wanted.iter().copied() {
            if let Some((options, _)) = case.admission_refusal() {
                self.measure_refusals(round, &stage, case, options, &requests(case, buyers, STORES))?;
            }
        }
        if !self.quick {
            for connections in MORE_CONNECTIONS {
                self.floor(round, &stage, won, connections, None)?;
                if self.wanted.contains(&Case::Won) {
                    self.case(round, &stage, Case::Won, won, next_range(), connections, None)?;
                }
                if self.wanted.contains(&Case::SoldOut) {
                    let gone = requests(Case::SoldOut, buyers, STORES);
                    self.case(round, &stage, Case::SoldOut, &gone, 0, connections, None)?;
                }
            }
            // A new gateway: RAM of earlier use would hide the growth.
            round.idle_connection =
                Some(Self::idle(&self.place.gateway(stage.redis.address, 1, &[], &[])?)?);
            round.idle_connection_floor = Some(Self::idle(&self.place.floor(1, 500, 18)?)?);
        }
        Ok(())
    }

    fn stage(&self, level: Level, workers: usize, buyers: &Buyers) -> Result<Stage, Failure> {
        make_room(workers)?;
        let redis = self.place.redis(level, workers)?;
        let replica = (level == Level::Replica).then(|| self.place.replica(&redis, workers)).transpose()?;
        define(&self.place, &redis, STORES, self.count)?;
        let options = ["--durability", level.option()];
        let gateway = self.place.gateway(redis.address, workers, &[], &options)?;
        let page = get(gateway.address, "/v1/sales/won").unwrap_or_default();
        let page = page.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
        // The length of a 201, from the last buyer, which is not measured.
        let (body, location) = cases::sizes_of_a_win(buyers, gateway.address)?;
        let floor = self.place.floor(workers, body, location)?;
        let floor_get = self.place.floor(workers, page, 18)?;
        Ok(Stage { redis, _replica: replica, gateway, floor, floor_get, workers, level: level.option() })
    }

    /// Bare hyper gets the very same requests.
    fn floor(
        &self,
        round: &mut Round,
        stage: &Stage,
        requests: &Requests,
        connections: usize,
        pace: Option<f64>,
    ) -> Result<(), Failure> {
        let mut generator = Generator::connect(stage.floor.address, connections)?;
        warm(&mut generator, requests)?;
        let load = || generator.run(requests, WARM_UP, self.count, pace);
        let figures = measure_any((&stage.floor, None), load)?;
        round.add(stage.row(Side::Floor, "POST", connections, pace), figures);
        Ok(())
    }

    fn floor_get(&self, round: &mut Round, stage: &Stage) -> Result<(), Failure> {
        let requests = cases::status_read();
        let mut generator = Generator::connect(stage.floor_get.address, CONNECTIONS)?;
        warm(&mut generator, &requests)?;
        let figures =
            measure_any((&stage.floor_get, None), || generator.run(&requests, 0, self.count, None))?;
        round.add(stage.row(Side::Floor, "GET", CONNECTIONS, None), figures);
        round.wrk_per_second = Some(wrk(stage.floor_get.address, "/v1/sales/won", CONNECTIONS)?);
        Ok(())
    }

    /// Measures a case of the gateway, then audits; the answers a second.
    #[expect(clippy::too_many_arguments, reason = "each is a dimension of the bench")]
    fn case(
        &self,
        round: &mut Round,
        stage: &Stage,
        case: Case,
        requests: &Requests,
        range: usize,
        connections: usize,
        pace: Option<f64>,
    ) -> Result<f64, Failure> {
        let mut generator = Generator::connect(stage.gateway.address, connections)?;
        // A winner of the warm-up must not count again: its next tap is a replay.
        if case != Case::Mixed {
            warm(&mut generator, requests)?;
        }
        let first = WARM_UP + range * self.count;
        let load = || generator.run(requests, first, self.count, pace);
        let measured = measure(case, (&stage.gateway, Some(&stage.redis)), load);
        let row = stage.row(Side::Gateway, case.name(), connections, pace);
        let figures = measured.map_err(|failure| failure.of(&format!("{row:?}")))?;
        let per_second = figures.per_second;
        round.add(row, figures);
        audit(&self.place, &stage.redis, case)?;
        Ok(per_second)
    }

    /// Measures refusals at a gateway of its own beside the same Redis, which is stopped for the
    /// shed taps.
    fn measure_refusals(
        &self,
        round: &mut Round,
        stage: &Stage,
        case: Case,
        options: &[&str],
        requests: &Requests,
    ) -> Result<(), Failure> {
        let gateway = self.place.gateway(stage.redis.address, 1, &[], options)?;
        let mut generator = Generator::connect(gateway.address, CONNECTIONS)?;
        warm(&mut generator, requests)?;
        if case == Case::Shed {
            stage.redis.signal(Signal::STOP);
        }
        let load = || generator.run(requests, WARM_UP, self.count, None);
        // A stopped Redis can't report its figures, and is otherwise idle.
        let figures = measure(case, (&gateway, None), load);
        if case == Case::Shed {
            stage.redis.signal(Signal::CONT);
        }
        let row = stage.row(Side::Gateway, case.name(), CONNECTIONS, None);
        round.add(row, figures?);
        audit(&self.place, &stage.redis, case)
    }

    fn peer(&self, round: &mut Round, requests: &Requests) -> Result<(), Failure> {
        let redis = self.place.redis(Level::None, 1)?;
        peer::fill(&redis, STORES)?;
        let nginx = peer::start(&self.place, &redis, 1)?;
        let mut generator = Generator::connect(nginx.address, CONNECTIONS)?;
        warm(&mut generator, requests)?;
        let load = || generator.run(requests, WARM_UP, self.count, None);
        let figures = measure(Case::Won, (&nginx, Some(&redis)), load)?;
        let row =
            Row { side: Side::Peer, case: "won".into(), connections: CONNECTIONS, workers: 1, level: "none" };
        round.add(row, figures);
        Ok(())
    }

    /// RAM of idle connections that have had one answer each.
    fn idle(server: &Server) -> Result<f64, Failure> {
        let read = cases::status_read();
        Generator::connect(server.address, CONNECTIONS)?.run(&read, 0, WARM_UP, None)?;
        let before = server.resident();
        let mut generator = Generator::connect(server.address, MOST_CONNECTIONS)?;
        generator.run(&read, 0, MOST_CONNECTIONS, None)?;
        let grown = server.resident().saturating_sub(before);
        Ok(grown as f64 / MOST_CONNECTIONS as f64)
    }

    /// What the gateway writes down of each reservation, right after a load of them.
    fn recording(&self) -> Result<serde_json::Value, Failure> {
        let reply = self.place.run("examples/recording", &[])?;
        serde_json::from_str(&reply).map_err(Failure::outside("recording"))
    }

    /// The reserve script, driven straight.
    fn redis_floor(&self, round: &mut Round) -> Result<(), Failure> {
        for batch in BATCHES {
            let redis = self.place.redis(Level::None, 1)?;
            define(&self.place, &redis, STORES, self.count)?;
            let count = if batch == 1 { self.count / 8 } else { self.count * 2 };
            let (count, batch) = (count.to_string(), batch.to_string());
            let args = ["--redis", &url(&redis), "--sale", "won", "--batch", &batch, "--count", &count];
            let reply = self.place.run("examples/redis_floor", &args)?;
            let reply = serde_json::from_str(&reply).map_err(Failure::outside("redis_floor"))?;
            round.redis_floor.push(reply);
            audit(&self.place, &redis, Case::Won)?;
        }
        Ok(())
    }
}

impl Stage {
    fn row(&self, side: Side, case: &str, connections: usize, pace: Option<f64>) -> Row {
        let case = if pace.is_some() { format!("{case} at 70 %") } else { case.to_owned() };
        Row { side, case, connections, workers: self.workers, level: self.level }
    }
}
