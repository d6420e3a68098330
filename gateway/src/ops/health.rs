//! Whether this gateway shall get traffic, and if not, why.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::ConnectionLike;

use crate::fleet::membership::Membership;
use crate::ops::thresholds::READ_MODEL_STALE;
use crate::projection::consumer::CaughtUp;
use crate::projection::read_model::Sales;
use crate::store::compatibility::find_incompatibility;
use crate::store::durability::{Durability, DurabilityCheck};
use crate::store::outage::Outage;
use crate::store::scripts::Failure;
use crate::store::{Connection, Pool, checkout_each};
use crate::telemetry::labels::User;
use crate::telemetry::metrics::Metrics;

/// The time within which the journal and what taps need must have worked: as long as the read model may be stale.
const BEHIND_MAX: Duration = READ_MODEL_STALE;

/// What readiness depends on.
pub struct Health {
    /// For a `PING`.
    pub pool: Pool,
    /// Whether the scripts were loaded at the start.
    pub scripts_loaded: Arc<AtomicBool>,
    /// How far the consumer is.
    pub caught_up: Arc<CaughtUp>,
    /// Whether we are on the way out.
    pub draining: Arc<AtomicBool>,
    /// Whether the fleet has received that this gateway is a member.
    pub membership: Arc<Membership>,
    /// Whether Redis keeps what an acknowledgement promises.
    pub durability: Durable,
    /// How this gateway's batch connections and its journal consumer fare.
    pub metrics: Arc<Metrics>,
    /// The sales whose clock is ticked.
    pub sales: Arc<Sales>,
}

/// Looks whether Redis is set as safe as was asked for, and says in the log when that changes.
pub struct Durable {
    level: Durability,
    short: Outage,
    is_hidden: Cell<bool>,
}

impl Durable {
    /// At this level.
    #[must_use]
    pub fn new(level: Durability) -> Self {
        let short = Outage::of("acknowledged changes are less safe than was asked for");
        Self { level, short, is_hidden: Cell::new(false) }
    }

    /// What falls short at a Redis, in words.
    async fn problem(&self, conn: &mut impl ConnectionLike) -> Option<String> {
        match self.level.check(conn).await {
            Ok(DurabilityCheck::Met) => None,
            Ok(DurabilityCheck::Unreadable(why)) => {
                if !self.is_hidden.replace(true) {
                    let level = self.level;
                    tracing::warn!(%level, why, "whether Redis is set so can't be seen: ask whoever runs it");
                }
                None
            }
            Ok(DurabilityCheck::Unmet(what)) => {
                Some(format!("durability {} is asked for, and {what}", self.level))
            }
            Err(error) => Some(format!("whether durability {} is kept is not known: {error}", self.level)),
        }
    }

    /// Says what falls short when it begins and when it is over.
    fn tell(&self, problem: Option<&String>) {
        match problem {
            Some(problem) => self.short.record_failure(problem),
            None => self.short.record_success(),
        }
    }
}

/// Why this gateway is not ready, as it was found last: for other threads, and for whoever can't wait.
#[derive(Debug)]
pub struct Readiness(ArcSwap<Vec<String>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(vec!["it has just been started".to_owned()]))
    }
}

impl Readiness {
    /// Empty when it is ready.
    #[must_use]
    pub fn reasons(&self) -> Arc<Vec<String>> {
        self.0.load_full()
    }

    /// Notes what was found.
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
        if !self.membership.has_joined() {
            let text = "this gateway waits until all others have received that it is a member".to_owned();
            reasons.push(because(text, self.reason_of(User::Fleet)));
        }
        match self.caught_up.age() {
            None => reasons.push(self.journal("the journal has not been read to its end yet".to_owned())),
            Some(age) if age > BEHIND_MAX => {
                let age = age.as_millis();
                reasons.push(self.journal(format!("the journal was last read to its end {age} ms ago")));
            }
            Some(_) => {}
        }
        reasons.extend(self.tick());
        reasons
    }

    /// Over which connections no script was run lately, although taps need that.
    fn connections(&self) -> Option<String> {
        let uses = self.metrics.redis_uses();
        let batch = uses.iter().filter(|(user, _)| matches!(user, User::Batches | User::Ledger));
        let (mut all, mut stalled) = (0, Vec::new());
        for (_, of_user) in batch {
            all += 1;
            stalled.extend(of_user.stalled(BEHIND_MAX));
        }
        let worst = stalled.iter().max_by_key(|stalled| (stalled.since.is_none(), stalled.since))?;
        let since = worst.since.map_or("yet".to_owned(), |since| format!("for {} ms", since.as_millis()));
        let count = stalled.len();
        let text = format!("Redis has run no script {since} over {count} of {all} connections for batches");
        Some(because(text, worst.reason.clone()))
    }

    fn journal(&self, text: String) -> String {
        because(text, self.reason_of(User::Consumer))
    }

    /// Why Redis does not do what this user of it needs, if so.
    fn reason_of(&self, user: User) -> Option<String> {
        let uses = self.metrics.redis_uses();
        uses.iter().filter(|(of, _)| *of == user).find_map(|(_, of_user)| of_user.reason())
    }

    /// That Redis runs the tick of no sale. What the ledger of one sale refuses is that sale's own fault.
    fn tick(&self) -> Option<String> {
        let sales = self.sales.all();
        let refused: Vec<_> =
            sales.iter().filter_map(|sale| sale.sweep_status().tick_refused_for()).collect();
        let (tick_refused_for, why) = refused.iter().min()?;
        (refused.len() == sales.len() && *tick_refused_for > BEHIND_MAX).then(|| {
            because(
                format!("no sale clock was ticked for {} ms", tick_refused_for.as_millis()),
                Some(why.clone()),
            )
        })
    }

    /// What is wrong with Redis. A master of a cluster that is away makes its own sales stand still, not this gateway.
    async fn redis(&self, all: Vec<(String, Result<Connection, Failure>)>) -> Vec<String> {
        let is_cluster = self.pool.redis().is_cluster();
        let (mut reasons, mut short, mut away, mut is_reached) = (Vec::new(), None, Vec::new(), false);
        for (address, conn) in all {
            let at = |why: String| if is_cluster { format!("{address}: {why}") } else { why };
            match conn {
                Ok(mut conn) => {
                    is_reached = true;
                    let incompatibility = find_incompatibility(&mut conn, is_cluster).await.map(at);
                    if incompatibility.is_some() && !is_cluster {
                        // The address may lead elsewhere by now.
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
        self.durability.tell(short.as_ref());
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
        Failure::NotDone(why) | Failure::WrongServer(why) => why,
        other => other.to_string(),
    }
}
