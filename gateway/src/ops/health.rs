//! Readiness of this gateway, with the reasons against it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::ConnectionLike;

use crate::ops::status::GatewayStatus;
use crate::ops::thresholds::READ_MODEL_STALE;
use crate::projection::consumer::CaughtUp;
use crate::store::compatibility::find_incompatibility;
use crate::store::durability::{Durability, DurabilityCheck};
use crate::store::outage::Outage;
use crate::store::scripts::Failure;
use crate::store::{Connection, Pool, checkout_each};
use crate::telemetry::labels::User;
use crate::telemetry::uses::Stalled;

/// The journal and the script calls must have succeeded within this time: as long as the read model may
/// be stale.
const BEHIND_MAX: Duration = READ_MODEL_STALE;

/// The inputs of readiness.
pub struct Health {
    /// Connections for a `PING`.
    pub pool: Pool,
    /// Whether the scripts were loaded at the start.
    pub scripts_loaded: Arc<AtomicBool>,
    /// How far the consumer has read.
    pub caught_up: Arc<CaughtUp>,
    /// Whether the gateway drains.
    pub draining: Arc<AtomicBool>,
    /// The check of Redis's durability settings.
    pub durability: Durable,
    /// The fleet, the users of Redis, and the sales whose clock is ticked.
    pub status: GatewayStatus,
}

/// Checks whether Redis is set to the required durability, and logs when that changes.
pub struct Durable {
    level: Durability,
    short: Outage,
    is_hidden: Cell<bool>,
}

impl Durable {
    /// Checks for this level.
    pub fn new(level: Durability) -> Self {
        let short = Outage::of("acknowledged changes are less safe than --durability requires");
        Self { level, short, is_hidden: Cell::new(false) }
    }

    /// The setting of a Redis that falls short of the level.
    async fn problem(&self, conn: &mut impl ConnectionLike) -> Option<String> {
        match self.level.check(conn).await {
            Ok(DurabilityCheck::Met) => None,
            Ok(DurabilityCheck::Unreadable(reason)) => {
                if !self.is_hidden.replace(true) {
                    let level = self.level;
                    tracing::warn!(%level, reason, "the durability settings of Redis can't be read: ask its operator to confirm them");
                }
                None
            }
            Ok(DurabilityCheck::Unmet(what)) => {
                Some(format!("durability {} is required, but {what}", self.level))
            }
            Err(error) => Some(format!("durability {} could not be checked: {error}", self.level)),
        }
    }
}

/// The reasons of the last check why this gateway is not ready, for other threads.
#[derive(Debug)]
pub struct Readiness(ArcSwap<Vec<String>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(vec!["it has just started".to_owned()]))
    }
}

impl Readiness {
    /// Empty when it is ready.
    pub fn reasons(&self) -> Arc<Vec<String>> {
        self.0.load_full()
    }

    /// Records the reasons.
    pub fn set(&self, reasons: Vec<String>) {
        if **self.0.load() != reasons {
            self.0.store(Arc::new(reasons));
        }
    }
}

impl Health {
    /// Why this gateway is not ready; empty when it is.
    pub async fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.draining.load(Ordering::Relaxed) {
            reasons.push("draining".to_owned());
        }
        match checkout_each(&self.pool).await {
            Ok(all) => reasons.extend(self.redis(all).await),
            Err(failure) => reasons.push(words(failure)),
        }
        if !self.scripts_loaded.load(Ordering::Relaxed) {
            reasons.push("the scripts are not loaded".to_owned());
        }
        reasons.extend(self.connections());
        if !self.status.membership.has_joined() {
            let text = "this gateway waits until all peers list it as a member".to_owned();
            reasons.push(because(text, self.reason_of(User::Fleet)));
        }
        let behind = match self.caught_up.age() {
            None => Some("the journal has not been read to its end yet".to_owned()),
            Some(age) => (age > BEHIND_MAX)
                .then(|| format!("the journal was last read to its end {} ms ago", age.as_millis())),
        };
        reasons.extend(behind.map(|text| because(text, self.reason_of(User::Consumer))));
        reasons.extend(self.tick());
        reasons
    }

    /// The batch connections over which no script has succeeded lately.
    fn connections(&self) -> Option<String> {
        let uses = self.status.metrics.redis_uses();
        let batch = uses.iter().filter(|(user, _)| matches!(user, User::Batches | User::Ledger));
        let all = batch.clone().count();
        let stalled: Vec<Stalled> = batch.filter_map(|(_, of_user)| of_user.stalled(BEHIND_MAX)).collect();
        let worst = stalled.iter().max_by_key(|stalled| (stalled.since.is_none(), stalled.since))?;
        let since = worst.since.map_or("yet".to_owned(), |since| format!("for {} ms", since.as_millis()));
        let count = stalled.len();
        let text = format!("Redis has run no script {since} over {count} of {all} connections for batches");
        Some(because(text, worst.reason.clone()))
    }

    /// Why Redis does not serve this user of it, if that is so.
    fn reason_of(&self, user: User) -> Option<String> {
        let uses = self.status.metrics.redis_uses();
        uses.iter().filter(|(of, _)| *of == user).find_map(|(_, of_user)| of_user.reason())
    }

    /// Reports when Redis refuses the ticks of all sales. What the ledger of one sale refuses concerns
    /// that sale only.
    fn tick(&self) -> Option<String> {
        let sales = self.status.sales.all();
        let refused: Vec<_> = sales.iter().filter_map(|sale| sale.tick_status().tick_refused_for()).collect();
        let (tick_refused_for, reason) = refused.iter().min()?;
        let text = || format!("no sale clock was ticked for {} ms", tick_refused_for.as_millis());
        (refused.len() == sales.len() && *tick_refused_for > BEHIND_MAX)
            .then(|| because(text(), Some(reason.clone())))
    }

    /// Problems of Redis. An unreachable master of a cluster halts its own sales only, not this gateway.
    async fn redis(&self, all: Vec<(String, Result<Connection, Failure>)>) -> Vec<String> {
        let is_cluster = self.pool.redis().is_cluster();
        let (mut reasons, mut short, mut away, mut is_reached) = (Vec::new(), None, Vec::new(), false);
        for (address, conn) in all {
            let at = |reason: String| if is_cluster { format!("{address}: {reason}") } else { reason };
            match conn {
                Ok(mut conn) => {
                    is_reached = true;
                    let incompatibility = find_incompatibility(&mut conn, is_cluster).await.map(at);
                    if incompatibility.is_some() && !is_cluster {
                        // The address may resolve to another host by now.
                        self.pool.leave().await;
                    }
                    reasons.extend(incompatibility);
                    let problem = self.durability.problem(&mut conn).await.map(at);
                    reasons.extend(problem.clone());
                    short = short.or(problem);
                }
                Err(failure) => away.push(at(words(failure))),
            }
        }
        match short {
            Some(problem) => self.durability.short.record_failure(problem),
            None => self.durability.short.record_success(),
        }
        if !is_reached {
            reasons.extend(away);
        }
        reasons
    }
}

fn because(text: String, reason: Option<String>) -> String {
    match reason {
        Some(reason) => format!("{text}: {reason}"),
        None => text,
    }
}

fn words(failure: Failure) -> String {
    match failure {
        Failure::NotDone(reason) | Failure::WrongServer(reason) => reason,
        other => other.to_string(),
    }
}
