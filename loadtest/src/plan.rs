//! The plan: which buyer of which scenario starts when. Made once, from the seed, before anything is sent; a
//! shard's plan is its share of the whole one.

pub(crate) mod arrivals;
mod line;
pub(crate) mod price_list;
pub(crate) mod profile;
pub(crate) mod recording;
pub(crate) mod selection;

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use crate::base::failure::Failure;
use crate::base::scenario::{Arrive, Scenario};
use arrivals::{Arrivals, Offsets};
pub(crate) use line::{Line, Starts};
use profile::Profile;
use recording::Recording;

/// The work of one process.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The starts of each scenario, in order.
    pub(crate) lines: Vec<Line>,
    /// The start of the second wave of `abandon`, in µs after the opening.
    pub(crate) second_wave_us: Option<i64>,
    /// Of all shards together.
    pub(crate) people_of_all: usize,
}

/// A buyer, or a bot's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// In the whole run, all shards together.
    pub(crate) number: usize,
    pub(crate) scenario: Scenario,
    /// The account of the token: the buyer's own number; bots share accounts.
    pub(crate) account: usize,
}

/// When a buyer is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// µs after the opening.
    pub(crate) at_us: i64,
    pub(crate) person: Person,
}

impl Start {
    /// Buyers that start at or soon after the opening prepare before it; later ones do not.
    pub(crate) fn is_ready(self) -> bool {
        self.at_us < READY_FOR_US
    }
}

/// A part of all buyers: number `part` of `parts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) part: usize,
    pub(crate) parts: usize,
}

/// More than this at once need more descriptors and ports than a process has.
const AT_ONCE_MAX: usize = 50_000;
/// A goose user costs RAM, and a look lasts a millisecond: these are at work only when the server stalls.
const LOOKS_AT_ONCE_MAX: usize = 10_000;
/// How often a buyer thinks on a journey, at most.
const THINKS: u32 = 10;
/// What a recording's last deed may take.
const JOURNEY: Duration = Duration::from_secs(120);
/// The most buyers of a run: three days of 100 a second, and more than any launch.
pub(crate) const PEOPLE_MAX: usize = 30_000_000;
/// A second.
const READY_FOR_US: i64 = 1_000_000;
/// Of few buyers one shall come at a time that can be waited for.
const SCALE_MIN: f64 = 0.001;
const SHARDS_MAX: usize = 1_000;

impl Shard {
    /// All of it.
    pub(crate) const WHOLE: Shard = Shard { part: 1, parts: 1 };

    /// Reads `2/5`.
    pub(crate) fn parse(text: &str) -> Result<Shard, String> {
        let wrong = || format!("write it as PART/PARTS, 1/{SHARDS_MAX} at most, not {text:?}");
        let (part, parts) = text.split_once('/').ok_or_else(wrong)?;
        let shard =
            Shard { part: part.parse().map_err(|_| wrong())?, parts: parts.parse().map_err(|_| wrong())? };
        ((1..=shard.parts).contains(&shard.part) && shard.parts <= SHARDS_MAX)
            .then_some(shard)
            .ok_or_else(wrong)
    }

    fn has(self, number: usize) -> bool {
        number % self.parts == self.part - 1
    }
}

/// What the plan is made from.
pub(crate) struct PlanRequest<'a> {
    pub(crate) profile: &'a Profile,
    /// Scenarios and their weights.
    pub(crate) mix: &'a BTreeMap<Scenario, u32>,
    /// All buyers of the run; `None`: as many as the arrivals want.
    pub(crate) buyers: Option<usize>,
    /// Instead of the profile's.
    pub(crate) arrivals: Option<&'a Arrivals>,
    pub(crate) shard: Shard,
    pub(crate) seed: u64,
    /// The earliest arrival before the opening.
    pub(crate) lead_max: Duration,
    /// From a hold's beginning until it has run out and its stock is free: the second wave comes then.
    pub(crate) hold_lasts: Duration,
    /// How many buyers, if neither the command line nor the arrivals set it.
    pub(crate) buyers_default: usize,
    /// How long buyers can sign up.
    pub(crate) sign_up_lasts: Duration,
    /// How long a buyer may wait for a draw, or in a queue.
    pub(crate) turn_lasts: Duration,
    /// How long a try of a request and the pause after it take at most, and how many tries there are.
    pub(crate) try_takes: Duration,
    pub(crate) tries: u32,
}

impl PlanRequest<'_> {
    /// Makes the plan.
    pub(crate) fn plan(&self) -> Result<Plan, Failure> {
        let weights: u64 = self.mix.values().map(|weight| u64::from(*weight)).sum();
        let buyers = self.buyers.or_else(|| self.wanted(weights)).unwrap_or(self.buyers_default);
        if buyers > PEOPLE_MAX {
            return Err(Failure::Usage(format!(
                "{buyers} buyers are more than {PEOPLE_MAX}: lower --buyers or the rate"
            )));
        }
        let mut plan = Plan { lines: Vec::new(), second_wave_us: None, people_of_all: buyers };
        let (mut taken, mut weight_before) = (0, 0);
        for (scenario, weight) in self.mix.iter().filter(|(_, weight)| **weight > 0) {
            weight_before += u64::from(*weight);
            // By what has been given out, so that the parts add up to the whole.
            let until = (buyers as u64 * weight_before / weights.max(1)) as usize;
            let offsets = match *scenario {
                Scenario::ABANDON => {
                    let [first, second] = self.two_waves(until - taken, buyers);
                    plan.second_wave_us = second.first().copied();
                    Offsets::listed([first, second].concat())
                }
                scenario => self.offsets(scenario, until - taken, buyers),
            };
            plan.lines.extend(self.line(*scenario, taken, offsets));
            taken = until;
        }
        if plan.lines.is_empty() {
            return Err(Failure::Usage(
                "the plan has no buyer: raise --buyers, the rate, or the weights".to_owned(),
            ));
        }
        Ok(plan)
    }

    /// How many buyers a schedule wants by itself, where there is just one.
    fn wanted(&self, weights: u64) -> Option<usize> {
        let mut scenarios = self.mix.iter().filter(|(_, weight)| **weight > 0);
        let (scenario, weight) = scenarios.next()?;
        let alone = u64::from(*weight) == weights;
        let own = self.profile.arrivals(*scenario).filter(|_| alone && *scenario == Scenario::SOAK);
        let schedule = self.arrivals.or(own)?;
        schedule.count()
    }

    /// The starts of a scenario with so many of all the run's buyers, in µs after the opening, in order.
    fn offsets(&self, scenario: Scenario, own: usize, all: usize) -> Offsets {
        let mut rng = self.rng(scenario);
        match (self.schedule(scenario, own, all), scenario.arrive()) {
            (Some(schedule), _) => schedule.offsets(own, &mut rng),
            (None, Arrive::BeforeOpening) => Offsets::listed(self.crowd(own, &mut rng)),
            (None, Arrive::DuringSignUp) => Offsets::listed(self.signing_up(own, &mut rng)),
            (None, _) => Offsets::listed(vec![0; own]),
        }
    }

    /// The schedule of a scenario with so many of all buyers: its share of the run's, or the profile's for as many.
    fn schedule(&self, scenario: Scenario, own: usize, all: usize) -> Option<Arrivals> {
        if let Some(arrivals) = self.arrivals {
            return Some(arrivals.scaled(own as f64 / all.max(1) as f64));
        }
        let arrivals = self.profile.arrivals(scenario)?;
        // A steady load does not depend on the number of interested buyers.
        if scenario == Scenario::SOAK {
            return Some(arrivals.clone());
        }
        let scale = own as f64 / self.profile.launch.interested as f64;
        Some(arrivals.scaled(scale.clamp(SCALE_MIN, 1.0)))
    }

    fn rng(&self, scenario: Scenario) -> Rng {
        // Each scenario has chances of its own: FNV-1a of its name.
        let name = scenario.name().bytes();
        let hash = name.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        Rng::with_seed(self.seed ^ hash)
    }

    /// Arrivals grow denser towards the opening, and thin out after it.
    fn crowd(&self, own: usize, rng: &mut Rng) -> Vec<i64> {
        let crowd = &self.profile.crowd;
        let lead = crowd.lead.0.min(self.lead_max).as_secs_f64();
        let tail = crowd.tail.0.as_secs_f64();
        let mut offsets: Vec<i64> = (0..own)
            .map(|_| {
                let seconds = if rng.u32(0..100) < crowd.at_opening {
                    // The square crowds them together at the end.
                    -lead * rng.f64().powi(2)
                } else {
                    tail * rng.f64().powi(2)
                };
                (seconds * 1e6) as i64
            })
            .collect();
        offsets.sort_unstable();
        offsets
    }

    /// As chance has it, and not at the very end: some change or withdraw what they have signed up for.
    fn signing_up(&self, own: usize, rng: &mut Rng) -> Vec<i64> {
        let span = self.profile.signup.within.0.min(self.sign_up_lasts / 2).as_secs_f64();
        let mut offsets: Vec<i64> = (0..own).map(|_| (span * rng.f64() * 1e6) as i64).collect();
        offsets.sort_unstable();
        offsets
    }

    /// The first wave follows the arrivals; the second comes when the first wave's holds have
    /// expired.
    fn two_waves(&self, own: usize, all: usize) -> [Vec<i64>; 2] {
        let mut rng = self.rng(Scenario::ABANDON);
        let second = own * self.profile.abandon.second_wave as usize / 100;
        let schedule = self.schedule(Scenario::ABANDON, own, all);
        let mut wave = |count: usize| match &schedule {
            Some(schedule) => schedule.offsets(count, &mut rng).collect::<Vec<_>>(),
            None => vec![0; count],
        };
        let first = wave(own - second);
        let after =
            first.last().copied().unwrap_or(0) + i64::try_from(self.hold_lasts.as_micros()).unwrap_or(0);
        let second: Vec<i64> = wave(second).into_iter().map(|at| at + after).collect();
        [first, second]
    }

    /// The starts of a scenario whose buyers are numbered from here; `None` without any in this part of the run.
    fn line(&self, scenario: Scenario, from: usize, offsets: Offsets) -> Option<Line> {
        let starts = Starts {
            offsets,
            scenario,
            from,
            next: from,
            connections: self.profile.bots.connections,
            shard: self.shard,
        };
        // As long as one of its requests may be tried, also where the server answers none.
        let journey = self.try_takes * self.tries + self.profile.buyers.think[1].0 * THINKS;
        let (takes, at_once_max) = match scenario {
            Scenario::LOOK => (self.try_takes, LOOKS_AT_ONCE_MAX),
            Scenario::BOTS => (self.profile.bots.lasts.0 + journey, AT_ONCE_MAX),
            Scenario::SPIKE
            | Scenario::CUSTOMISE
            | Scenario::ABANDON
            | Scenario::RETRY_STORM
            | Scenario::SOAK
            | Scenario::SIGN_UP => (journey, AT_ONCE_MAX),
            // Scenarios of a program's own may wait for draws and queues, too.
            _ => (self.turn_lasts + journey, AT_ONCE_MAX),
        };
        Line::new(starts, takes, at_once_max)
    }
}

impl Plan {
    /// The plan of a recording: its buyers, at their times.
    pub(crate) fn of_recording(recording: &Recording, shard: Shard) -> Result<Plan, Failure> {
        let starts = Starts {
            offsets: Offsets::listed(recording.starts()),
            scenario: Scenario::REPLAY,
            from: 0,
            next: 0,
            connections: 1,
            shard,
        };
        // A buyer is there from the first deed to the last.
        let lasts = Duration::from_micros(u64::try_from(recording.last_us()).unwrap_or(0)) + JOURNEY;
        let line = Line::new(starts, lasts, AT_ONCE_MAX)
            .map(|line| Line { last_us: line.last_us.max(recording.last_us()), ..line });
        let lines = Vec::from_iter(line);
        if lines.is_empty() {
            return Err(Failure::Usage("the recording has no buyer for this part of the run".to_owned()));
        }
        Ok(Plan { lines, second_wave_us: None, people_of_all: recording.buyers.len() })
    }

    /// Goose users that are needed, by scenario: as many as may be at work at the same time.
    pub(crate) fn users(&self) -> impl Iterator<Item = usize> {
        self.lines.iter().map(|line| line.users)
    }

    /// Everybody of this process.
    pub(crate) fn buyers(&self) -> usize {
        self.lines.iter().map(|line| line.count).sum()
    }

    /// How many accounts the whole run has, at most.
    pub(crate) fn accounts(&self) -> usize {
        self.lines.iter().map(|line| line.accounts).max().unwrap_or(0)
    }

    /// Buyers that wait for the opening with a warm connection.
    pub(crate) fn waiting(&self) -> usize {
        let lines = self.lines.iter().filter(|line| line.scenario.arrive() == Arrive::AtOpening);
        lines.map(|line| line.ready).sum()
    }

    /// The last start.
    pub(crate) fn last_us(&self) -> i64 {
        self.lines.iter().map(|line| line.last_us).max().unwrap_or(0)
    }

    /// From the opening to the last start.
    pub(crate) fn lasts(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.last_us()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
