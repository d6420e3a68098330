//! What every gateway does for draws in the background: fixes the entrants, ranks them, allocates.
//!
//! All of it may be done by any number of gateways at once, and again after any crash: the scripts do each step once.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;

use crate::domain::decision::Header;
use crate::domain::draw::{Ranking, Seed};
use crate::domain::hex;
use crate::domain::sale::SaleControls;
use crate::draw::entrants::LedgerEntrants;
use crate::manage::admin::Admin;
use crate::projection::read_model::{DrawState, Drawn, Entrants, Sale, Sales};
use crate::store::reply::text;
use crate::store::scripts::{Failure, Script};

/// Between two looks at a sale, with jitter.
const LOOK: Duration = Duration::from_millis(200);
/// After the end of sign-up the gateways begin at different times, so that mostly one reads all sign-ups.
const SPREAD: Duration = Duration::from_secs(2);
/// By how much this process's reading of Redis's clock may be wrong.
const CLOCKS_DIFFER_MS: i64 = 5_000;
/// How long another gateway that allocates is left alone.
const LEAVE_ALONE: Duration = Duration::from_secs(1);
/// How long after a failure it is tried again, and after so many times as long at most: each try may read all sign-ups.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_FACTOR_MAX: u32 = 30;
/// Entrants of one script call: more make a call long, and save little.
const BATCH: u64 = 128;
/// Calls for one sale before the next sale's turn.
const CALLS_MAX: u64 = 200;
/// Entrants that are kept ready: some 50 MB. For each window all sign-ups are read.
const WINDOW: u64 = 512 * 1024;

/// Follows all draws for the lifetime of the process.
pub async fn follow(admin: Admin, sales: Arc<Sales>) {
    let mut followed: HashMap<String, FollowedDraw> = HashMap::new();
    loop {
        let all = sales.all();
        followed.retain(|incarnation, _| all.iter().any(|sale| sale.incarnation() == incarnation));
        for sale in all.iter().filter(|sale| sale.read_model().draw.is_some()) {
            let new = || FollowedDraw::new(Some(SPREAD), BATCH, CALLS_MAX);
            let draw = followed.entry(sale.incarnation().to_owned()).or_insert_with(new);
            if draw.rests_until.is_some_and(|until| Instant::now() < until) {
                continue;
            }
            draw.rests_until = None;
            match draw.step(&admin, sale).await {
                Ok(_) => draw.failures = 0,
                Err(failure) => draw.note_failure(&sale.id, &failure),
            }
        }
        tokio::time::sleep(LOOK.mul_f32(0.5 + fastrand::f32())).await;
    }
}

/// What this process has of one draw.
pub struct FollowedDraw {
    rests_until: Option<Instant>,
    /// Steps that failed, one after the other.
    failures: u32,
    /// How long, at most, it still waits for another gateway to fix the entrants.
    spread: Option<Duration>,
    /// Entrants of a script call, and the most calls of a step.
    batch: u64,
    calls_max: u64,
    /// What all below follows from.
    seed: Option<Seed>,
    /// Ranks that are kept ready, and their entrants.
    ranks: Range<u64>,
    entrants: Vec<String>,
    /// Where another gateway was last seen.
    seen: u64,
}

impl FollowedDraw {
    /// With nothing of it. It waits for other gateways so long, at most, and allocates in calls of so many entrants, some of
    /// them in a step.
    pub fn new(spread: Option<Duration>, batch: u64, calls_max: u64) -> Self {
        let (rests_until, failures, seed, ranks, entrants, seen) = (None, 0, None, 0..0, Vec::new(), 0);
        Self { rests_until, failures, spread, batch, calls_max, seed, ranks, entrants, seen }
    }

    fn rest(&mut self, time: Duration) {
        self.rests_until = Some(Instant::now() + time);
    }

    /// Logs the first of several failures.
    fn note_failure(&mut self, sale: &str, failure: &Failure) {
        if self.failures == 0 {
            tracing::warn!(sale, %failure, "the draw waits; it is tried again");
        }
        self.failures = (self.failures + 1).min(RETRY_FACTOR_MAX);
        self.rest(RETRY * self.failures);
    }

    /// Takes the next step of a sale's draw; whether there was one.
    pub async fn step(&mut self, admin: &Admin, sale: &Sale) -> Result<bool, Failure> {
        let read_model = sale.read_model();
        let Some(draw) = read_model.draw.as_deref() else { return Ok(false) };
        let SaleControls { is_drawing, opens, closes, paused, closed, .. } = read_model.controls;
        let (entrants, time) = (draw.entrants, sale.best_time());
        let Some(Entrants { root, count }) = entrants else {
            let signup = read_model.catalogue.definition.signup.as_ref();
            let is_over = signup.is_some_and(|signup| time >= signup.closes_at.as_millisecond());
            if !is_over || closed {
                return Ok(false);
            }
            if let Some(spread) = self.spread.take() {
                self.rest(spread.mul_f32(fastrand::f32()));
                return Ok(false);
            }
            return fix(admin, sale, draw, read_model.sign_ups.now).await;
        };
        let Some(Drawn { seed, .. }) = draw.drawn else { return Ok(false) };
        let entrants = LedgerEntrants { admin, sale: &sale.id, secret: &draw.secret, count };
        if self.seed.replace(seed) != Some(seed) {
            (self.ranks, self.entrants, self.seen) = (0..0, Vec::new(), 0);
        }
        let ranking = match sale.ranking(seed) {
            Some(ranking) => ranking,
            None => {
                let ranking = Arc::new(entrants.ranking(seed, &hex::encode(&root)).await?);
                sale.set_ranking(ranking.clone());
                ranking
            }
        };
        // By the script's clock the sale may be open for a little longer.
        if !is_drawing || closed || time >= closes + CLOCKS_DIFFER_MS {
            (self.ranks, self.entrants) = (0..0, Vec::new());
            return Ok(false);
        }
        // Ready before the opening.
        let next = read_model.allocated.max(self.seen) + 1;
        self.make_ready(&entrants, &ranking, next).await?;
        if time < opens || paused { Ok(false) } else { self.allocate(sale, &entrants, &ranking, next).await }
    }

    /// Keeps the entrants of this rank and the next ones ready.
    async fn make_ready(
        &mut self,
        entrants: &LedgerEntrants<'_>,
        ranking: &Ranking,
        rank: u64,
    ) -> Result<(), Failure> {
        if self.ranks.contains(&rank) || rank > entrants.count {
            return Ok(());
        }
        let last = entrants.count.min(rank + WINDOW - 1);
        self.entrants = entrants.of_ranks(ranking, rank..=last).await?;
        self.ranks = rank..last + 1;
        Ok(())
    }

    /// Allocates some batches from this rank on; whether there were any.
    async fn allocate(
        &mut self,
        sale: &Sale,
        entrants: &LedgerEntrants<'_>,
        ranking: &Ranking,
        mut next: u64,
    ) -> Result<bool, Failure> {
        for _ in 0..self.calls_max {
            self.make_ready(entrants, ranking, next).await?;
            let skipped = usize::try_from(next.saturating_sub(self.ranks.start)).unwrap_or(usize::MAX);
            let batch = self.entrants.iter().skip(skipped).take(usize::try_from(self.batch).unwrap_or(1));
            let args = std::iter::once(next.to_string()).chain(batch.cloned());
            let reply =
                entrants.admin.call(Script::Allocate, &sale.id, sale.incarnation(), args, None).await?;
            let number = |at: usize| reply.get(at).and_then(text).and_then(|n| n.parse::<u64>().ok());
            let unreadable = || Failure::unreadable("a reply of the allocate script that can't be read");
            match reply.first().and_then(text).as_deref() {
                Some("ok") => {
                    let done = number(2).ok_or_else(unreadable)?;
                    if reply.get(3).and_then(text).as_deref() == Some("1") {
                        return Ok(true);
                    }
                    next = done + 1;
                    self.seen = done;
                }
                Some("at") => {
                    // Another gateway allocates: this one goes on where that is seen to stop.
                    let at = number(1).ok_or_else(unreadable)?;
                    if std::mem::replace(&mut self.seen, at) != at {
                        self.rest(LEAVE_ALONE);
                        return Ok(false);
                    }
                    next = at + 1;
                }
                // Not open by Redis's clock, paused or closed meanwhile.
                Some("stopped" | "none") => return Ok(false),
                _ => return Err(unreadable()),
            }
        }
        Ok(true)
    }
}

/// Fixes the entrants; whether this process did.
async fn fix(admin: &Admin, sale: &Sale, draw: &DrawState, count: u64) -> Result<bool, Failure> {
    let call = async |args: [String; 3]| {
        let reply: Vec<Value> =
            admin.call(Script::FixEntrants, &sale.id, sale.incarnation(), args, None).await?;
        let words = reply.iter().map(|value| text(value).unwrap_or_default()).collect::<Vec<_>>();
        Ok::<_, Failure>((words, reply))
    };
    let (words, reply) = call(["-".to_owned(), "0".to_owned(), "0".to_owned()]).await?;
    if words[0] != "ok" {
        // By Redis's clock sign-up is not over.
        return Ok(false);
    }
    let sequence = Header::of(&reply)?.sequence.to_string();
    let entrants = LedgerEntrants { admin, sale: &sale.id, secret: &draw.secret, count };
    let (root, count) = entrants.root().await?;
    let root = hex::encode(&root);
    let (words, _) = call([root.clone(), count.to_string(), sequence]).await?;
    match (words[0].as_str(), words.get(1), words.get(2)) {
        ("ok", _, Some(is_new)) => {
            if is_new == "1" {
                tracing::info!(sale = sale.id, root, entrants = count, "the entrants are fixed");
            }
            Ok(is_new == "1")
        }
        ("differs", Some(other), Some(others)) => Err(Failure::NotDone(format!(
            "{count} entrants with the root {root} were found, and there are {others} {other}; run `gateway audit`"
        ))),
        // Sign-up was open again meanwhile.
        _ => Ok(false),
    }
}
