//! The expiry sweeper: ticks the sale clock, sweeps holds that are due, and starts the recovery of a fenced sale.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;
use tokio::task::JoinHandle;

use crate::domain::decision::Header;
use crate::domain::sale::LedgerStop;
use crate::manage::archive;
use crate::projection::acknowledged::Acknowledged;
use crate::projection::read_model::{Sale, Sales};
use crate::recovery::failover::{Fence, Recovery};
use crate::reserve::standby;
use crate::reserve::tick::tick;
use crate::store::connection::{LiveConnection, RedisConnection};
use crate::store::connections::RedisConnections;
use crate::store::dial::Dial;
use crate::store::reply::text;
use crate::store::scripts::{Failure, Refusal, Script, Scripts};

/// Between two ticks of a sale; with jitter, so that many gateways do not tick at once. Well below
/// half a second, so that stock is free within a second of a deadline.
const TICK: Duration = Duration::from_millis(250);
/// Journal entries that one sweep looks at.
const SWEEP_ENTRIES: usize = 64;
/// Sweeps in a row before the next tick.
const SWEEPS_MAX: usize = 50;
/// Between two attempts to recover a sale, at most.
const RECOVERY_RETRY: Duration = Duration::from_secs(1);

/// Ticks and sweeps all sales for as long as the process lives. Any number of gateways may do so at once.
/// Each sale has a loop of its own, so that a damaged or a very busy one delays no other.
pub async fn sweep_all<D: Dial>(connections: Rc<RedisConnections<D>>, recovery: Recovery, sales: Arc<Sales>) {
    let recovery = Rc::new(recovery);
    let mut sweepers: HashMap<String, (Arc<Sale>, JoinHandle<()>)> = HashMap::new();
    loop {
        for sale in sales.all() {
            // A sale that was purged or replaced may come back under its name.
            if sweepers.get(&sale.id).is_some_and(|(known, _)| Arc::ptr_eq(known, &sale)) {
                continue;
            }
            let task = sweep_sale(connections.clone(), recovery.clone(), sales.clone(), sale.clone());
            let task = tokio::task::spawn_local(task);
            if let Some((_, former)) = sweepers.insert(sale.id.clone(), (sale, task)) {
                former.abort();
            }
        }
        sweepers.retain(|_, (_, task)| !task.is_finished());
        tokio::time::sleep(TICK).await;
    }
}

async fn sweep_sale<D: Dial>(
    connections: Rc<RedisConnections<D>>,
    recovery: Rc<Recovery>,
    sales: Arc<Sales>,
    sale: Arc<Sale>,
) {
    let mut fence = None;
    while !sale.is_replaced() {
        let connection = connections.of(&sale.keys);
        if let Some(live) = connection.live() {
            let mut outcome = tick_and_sweep(&connection, &live, &recovery.scripts, &sale).await;
            if matches!(outcome, Err(Failure::Refused(Refusal::Missing))) {
                if archive::is_purged(&recovery.pool, &sale.id, sale.incarnation()).await.unwrap_or(false) {
                    tracing::info!(sale = sale.id, "the sale was purged");
                    return sales.forget(&sale);
                }
                // The purge is not noted any more once the name is given to another sale: that one is there now.
                outcome = tick_and_sweep(&connection, &live, &recovery.scripts, &sale).await;
            }
            handle_outcome(&connection, &live, &recovery, &sale, &mut fence, outcome).await;
        }
        tokio::time::sleep(TICK.mul_f32(0.8 + 0.4 * fastrand::f32())).await;
    }
}

/// One tick, its sweeps, and the grants of what is set aside.
async fn tick_and_sweep<D: Dial>(
    connection: &RedisConnection<D>,
    live: &LiveConnection<D::Conn>,
    scripts: &Scripts,
    sale: &Sale,
) -> Result<(), Failure> {
    let sent = Instant::now();
    let (header, counters) = tick(connection, live, sale).await?;
    sale.read_clock(&header, sent);
    sale.tick_status().note_tick(header.sale_clock);
    let catalogue = sale.read_model().catalogue.clone();
    let aside = counters.aside_models(&catalogue);
    sale.compare_counters(counters);
    sweep_due(connection, live, scripts, sale, &header).await?;
    // Last, so that a damaged queue keeps no hold from ending.
    if aside.is_empty() {
        Ok(())
    } else {
        standby::grant(connection, live, scripts, sale, &aside).await.map(drop)
    }
}

/// As many sweeps as it takes until no hold is due.
async fn sweep_due<D: Dial>(
    connection: &RedisConnection<D>,
    live: &LiveConnection<D::Conn>,
    scripts: &Scripts,
    sale: &Sale,
    header: &Header,
) -> Result<(), Failure> {
    if header.held == 0 {
        sale.tick_status().note_swept(None);
        return Ok(());
    }
    for _ in 0..SWEEPS_MAX {
        let swept = sweep(connection, live, sale, SWEEP_ENTRIES).await?;
        // No client gets an answer for it, so that it does not wait for replicas.
        sale.note_read(swept.header.sequence, scripts);
        sale.tick_status().note_swept(swept.left);
        if !swept.more {
            break;
        }
    }
    Ok(())
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepOutcome {
    /// As of its end.
    pub header: Header,
    /// Holds that it ended.
    pub ended: u64,
    /// Whether there may be more to sweep now.
    pub more: bool,
    /// When the first holds that it has left are due, on the sale clock, and how many there were of them.
    pub left: Option<(i64, u64)>,
}

impl SweepOutcome {
    /// Parses the script's reply after its header.
    fn parse(header: Header, reply: &[Value]) -> Option<Self> {
        let word = |at: usize| reply.get(at).and_then(text);
        let more = match word(3)?.as_str() {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        let left = word(4)?;
        let left = match left.split_once(' ') {
            Some((due, made)) => Some((due.parse().ok()?, made.parse().ok()?)),
            None if left.is_empty() => None,
            None => return None,
        };
        Some(Self { header, ended: word(2)?.parse().ok()?, more, left })
    }
}

/// One bounded sweep over so many journal entries.
pub async fn sweep<D: Dial>(
    connection: &RedisConnection<D>,
    live: &LiveConnection<D::Conn>,
    sale: &Sale,
    entries: usize,
) -> Result<SweepOutcome, Failure> {
    let args = (sale.ledger_identity(&live.epoch), sale.known_sequence(), entries);
    let reply = connection.call(live, Script::Expire, &sale.keys, args).await?;
    let unreadable = || Failure::unreadable("a reply of the sweep that can't be read");
    let outcome = SweepOutcome::parse(Header::of(&reply)?, &reply).ok_or_else(unreadable)?;
    if outcome.ended > 0 {
        // A later buyer of this stock must find it free again, should Redis lose this.
        let swept = Acknowledged::of("expire", outcome.header.sequence, &outcome.header, String::new());
        let swept = Acknowledged { is_whole: true, ..swept };
        // No client gets an answer for a sweep, so that it does no harm where this is too late.
        let _ = sale.acknowledged().acknowledge(&live.epoch, swept);
    }
    Ok(outcome)
}

async fn handle_outcome<D: Dial>(
    connection: &RedisConnection<D>,
    live: &LiveConnection<D::Conn>,
    recovery: &Recovery,
    sale: &Sale,
    fence: &mut Option<Fence>,
    outcome: Result<(), Failure>,
) {
    if let Err(failure) = &outcome {
        sale.note_refusal(failure);
    }
    sale.tick_status().note_tick_result(outcome.as_ref().err());
    match outcome {
        _ if sale.is_replaced() => {}
        Ok(()) => {
            *fence = None;
            sale.tick_status().note_success();
            sale.clear_fault();
        }
        // A ledger that went back to an earlier incarnation has not been adopted by its Redis: recovery decides.
        Err(Failure::Refused(Refusal::Incarnation { epoch: old, .. } | Refusal::Epoch(old)))
            if *old != *live.epoch =>
        {
            let before = fence.take();
            let fence = fence.insert(Fence::renew(before, &old, &live.epoch, sale, &recovery.membership));
            if let Err(reason) = recovery.recover(connection, live, sale, fence).await {
                sale.set_fault(LedgerStop::Fenced, reason);
                tokio::time::sleep(RECOVERY_RETRY.mul_f32(fastrand::f32())).await;
            }
        }
        Err(Failure::Refused(refusal @ (Refusal::Behind(_) | Refusal::Incarnation { .. }))) => {
            sale.set_fault(LedgerStop::Halted, describe_behind(sale, &refusal))
        }
        // A sale that was there and is not: all of it is lost.
        Err(Failure::Refused(Refusal::Missing)) => {
            sale.set_fault(LedgerStop::Halted, describe_behind(sale, &Refusal::Behind(0)))
        }
        Err(Failure::Refused(refusal)) => sale.set_fault(LedgerStop::Halted, refusal.to_string()),
        // Redis answers, and takes no writes: read-only, short of replicas, its disk full.
        Err(Failure::NotDone(why)) => sale.set_fault(LedgerStop::Halted, why),
        // The connection reports an outage of Redis itself.
        Err(failure) => tracing::debug!(sale = sale.id, %failure, "no tick"),
    }
}

fn describe_behind(sale: &Sale, refusal: &Refusal) -> String {
    let known = sale.known_sequence();
    format!(
        "{refusal} (sequence {known}): acknowledged changes are gone. Restore the ledger from its append-only file; or, to go on with the ledger as it is, restart all gateways"
    )
}
