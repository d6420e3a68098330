//! Rounds: one small read of a sale's ledger for all requests that wait in [`crate::reserve::round_waiters`].
//!
//! A round reads the ledger's latest sequence, and waits until the journal consumer has reached it: then the
//! model is complete as of the sending. Redis refuses it where it would refuse a reservation.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::fleet::membership::Membership;
use crate::projection::read_model::{Sale, Sales};
use crate::reserve::round_waiters::REFUSAL_WAIT_MAX;
use crate::store::connection::{LiveConnection, RedisConnection};
use crate::store::connections::RedisConnections;
use crate::store::dial::Dial;
use crate::store::scripts::{Failure, text};

static SEQUENCE: LazyLock<redis::Script> =
    LazyLock::new(|| redis::Script::new(include_str!("../store/lua/sequence.lua")));

/// Redis's CPU time of a round with its system calls: measured with Redis 7.0 on two busy cores, 19
/// µs with 100 connections that each ask every 20 ms (10 µs back to back).
const ROUND_COST: Duration = Duration::from_micros(20);
/// All gateways' rounds together take at most one part in this many of Redis's time.
const ROUNDS_SHARE: u32 = 20;
/// The shortest interval between two rounds of a sale, limited by the timer's resolution.
const INTERVAL_MIN: Duration = Duration::from_millis(1);
/// The longest one: with more than 125 gateways (and busy sales) the share grows instead.
const INTERVAL_MAX: Duration = Duration::from_millis(50);
/// How soon a new sale gets rounds.
const DISCOVERY_INTERVAL: Duration = Duration::from_millis(250);

/// Makes the rounds of all sales for the lifetime of the process. Each sale has its own loop, so
/// that an unresponsive Redis delays no other sale.
pub async fn make_rounds<D: Dial>(
    connections: Rc<RedisConnections<D>>,
    sales: Arc<Sales>,
    fleet: Arc<Membership>,
) {
    let pacer = Rc::new(RoundPacer { fleet, busy: Cell::new(0) });
    let mut loops: HashMap<String, (Arc<Sale>, JoinHandle<()>)> = HashMap::new();
    loop {
        loops.retain(|id, (sale, task)| {
            // A purged sale may have been replaced by another.
            let stays = sales.get(id).is_some_and(|now| Arc::ptr_eq(&now, sale));
            if !stays {
                task.abort();
            }
            stays
        });
        for sale in sales.all() {
            loops.entry(sale.id.clone()).or_insert_with(|| {
                let rounds = make_rounds_of(connections.clone(), sales.clone(), sale.clone(), pacer.clone());
                (sale, tokio::task::spawn_local(rounds))
            });
        }
        tokio::time::sleep(DISCOVERY_INTERVAL).await;
    }
}

async fn make_rounds_of<D: Dial>(
    connections: Rc<RedisConnections<D>>,
    sales: Arc<Sales>,
    sale: Arc<Sale>,
    pacer: Rc<RoundPacer>,
) {
    let mut next = Instant::now();
    loop {
        sale.wait_for_round_request().await;
        let _busy = pacer.mark_busy();
        if next > Instant::now() {
            tokio::time::sleep_until(next.into()).await;
        }
        next = Instant::now() + pacer.interval();
        make_round(&connections.of(&sale.keys), &sales, &sale).await;
    }
}

/// Makes one round. It releases earlier requests whatever its result: those that the model may not
/// refuse go to the ledger.
pub async fn make_round<D: Dial>(connection: &RedisConnection<D>, sales: &Sales, sale: &Sale) {
    // Changes in the model now must be in the ledger; the reply has its state from now on.
    let (begun, consumed_sequence) = (Instant::now(), sale.consumed_sequence());
    if let Some(live) = connection.live() {
        match read_sequence(connection, &live, sale).await {
            Ok(sequence) if sequence >= consumed_sequence => {
                let wait_until_consumed = sale.wait_until_consumed(sequence, REFUSAL_WAIT_MAX);
                // `join` polls them in this order.
                let wake_consumers = async {
                    if sale.is_awaiting_change() {
                        sales.wake_consumers();
                    }
                };
                if futures_util::future::join(wait_until_consumed, wake_consumers).await.0 {
                    sale.set_complete_as_of(begun);
                }
            }
            Ok(sequence) => {
                tracing::trace!(
                    sale = sale.id,
                    sequence,
                    consumed_sequence,
                    "a ledger older than what was read of it"
                );
            }
            Err(failure) => tracing::trace!(sale = sale.id, %failure, "a round failed"),
        }
    }
    sale.end_round(begun);
}

/// The ledger's latest sequence, if it is of this incarnation and the connected Redis serves it.
async fn read_sequence<D: Dial>(
    connection: &RedisConnection<D>,
    live: &LiveConnection<D::Conn>,
    sale: &Sale,
) -> Result<u64, Failure> {
    let mut conn = live.conn();
    let asked = async {
        let mut call = SEQUENCE.prepare_invoke();
        call.key(sale.keys.state()).invoke_async::<[redis::Value; 3]>(&mut conn).await.map_err(Failure::from)
    };
    // A value that is not text matches neither, so that no such round counts.
    let [epoch, incarnation, sequence] =
        connection.await_reply(live, asked).await?.map(|value| text(&value).unwrap_or_default());
    if *epoch != *live.epoch {
        return Err(Failure::NotDone(format!("the ledger is served at epoch {epoch}")));
    }
    if *incarnation != *sale.incarnation() {
        sale.note_incarnation(&incarnation);
        return Err(Failure::NotDone(format!("the ledger has the incarnation {incarnation}")));
    }
    sequence.parse().map_err(|_| Failure::unreadable(format!("a sequence that can't be read: {sequence:?}")))
}

/// Limits how often rounds are made.
struct RoundPacer {
    fleet: Arc<Membership>,
    /// The number of sales with waiting requests.
    busy: Cell<u32>,
}

impl RoundPacer {
    fn interval(&self) -> Duration {
        let gateways = self.fleet.latest().map_or(1, |heartbeat| heartbeat.live.len());
        interval(u32::try_from(gateways).unwrap_or(u32::MAX), self.busy.get())
    }

    fn mark_busy(&self) -> BusyGuard<'_> {
        self.busy.set(self.busy.get() + 1);
        BusyGuard(self)
    }
}

/// A sale with waiting requests.
struct BusyGuard<'a>(&'a RoundPacer);

impl Drop for BusyGuard<'_> {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
    }
}

fn interval(gateways: u32, sales: u32) -> Duration {
    let all = ROUND_COST.saturating_mul(gateways.saturating_mul(sales)).saturating_mul(ROUNDS_SHARE);
    all.clamp(INTERVAL_MIN, INTERVAL_MAX)
}

#[cfg(test)]
mod tests;
