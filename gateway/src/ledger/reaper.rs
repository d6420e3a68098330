//! The reaper: ticks the sale clock, sweeps holds that are due, and takes in a restarted Redis.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::Pool;
use super::archive;
use super::audit;
use super::dial::Dial;
use super::lane::{Lane, Live};
use super::lanes::Lanes;
use super::memory::{Counters, Sale, Sales};
use super::scripts::{Failure, Header, Refusal, Script, Scripts, text, texts};

/// Between two ticks of a sale; with jitter, so that many gateways do not tick at once. Well below
/// half a second, so that stock is free within a second of a deadline.
const TICK: Duration = Duration::from_millis(250);
/// Journal entries that one sweep looks at.
const SWEEP_ENTRIES: usize = 64;
/// Sweeps in a row before the next tick.
const SWEEPS_MAX: usize = 50;
/// Between two attempts to take a restarted Redis in.
const HEAL_RETRY: Duration = Duration::from_secs(1);

/// Reaps all sales for as long as the process lives. Any number of gateways may do so at once.
/// Each sale has a loop of its own, so that a damaged or a very busy one delays no other.
pub async fn reap<D: Dial>(lanes: Rc<Lanes<D>>, pool: Pool, scripts: Arc<Scripts>, sales: Arc<Sales>) {
    let mut reaped = HashMap::new();
    loop {
        // A sale that was purged may come back, from an export.
        reaped.retain(|_, task: &mut JoinHandle<()>| !task.is_finished());
        for sale in sales.all() {
            reaped.entry(sale.id.clone()).or_insert_with(|| {
                let (lanes, pool, scripts) = (lanes.clone(), pool.clone(), scripts.clone());
                tokio::task::spawn_local(reap_sale(lanes, pool, scripts, sales.clone(), sale))
            });
        }
        tokio::time::sleep(TICK).await;
    }
}

async fn reap_sale<D: Dial>(
    lanes: Rc<Lanes<D>>,
    pool: Pool,
    scripts: Arc<Scripts>,
    sales: Arc<Sales>,
    sale: Arc<Sale>,
) {
    loop {
        let lane = lanes.of(&sale.keys);
        if let Some(live) = lane.live() {
            let outcome = tick_and_sweep(&lane, &live, &scripts, &sale).await;
            let is_missing = matches!(outcome, Err(Failure::Refused(Refusal::Missing)));
            if is_missing && archive::is_purged(&pool, &sale.id).await.unwrap_or(false) {
                tracing::info!(sale = sale.id, "the sale was purged");
                return sales.forget(&sale.id);
            }
            take_note(&lane, &live, &pool, &scripts, &sale, outcome).await;
        }
        tokio::time::sleep(TICK.mul_f32(0.8 + 0.4 * fastrand::f32())).await;
    }
}

/// One tick, and as many sweeps as it takes until no hold is due.
async fn tick_and_sweep<D: Dial>(
    lane: &Lane<D>,
    live: &Live<D::Conn>,
    scripts: &Scripts,
    sale: &Sale,
) -> Result<(), Failure> {
    let sent = Instant::now();
    let args = || vec![live.run_id.to_string(), sale.known().to_string()];
    let memory = sale.memory();
    let items = memory.catalogue.counted().iter().map(|item| item.name.clone());
    let tick: Vec<String> = args().into_iter().chain(items).collect();
    let reply = lane.call(live, Script::Tick, &sale.keys, &tick).await?;
    let header = Header::of(&reply)?;
    sale.read_clock(&header, sent);
    sale.reaped().ticked(header.sale_clock);
    let live_counters = reply.get(2).map(texts).unwrap_or_default();
    let free = live_counters.iter().map(|n| n.parse().ok()).collect();
    sale.compare(Counters { sequence: header.sequence, held: header.held, free });
    if header.held == 0 {
        sale.reaped().swept(None);
        return Ok(());
    }
    for _ in 0..SWEEPS_MAX {
        let mut args = args();
        args.push(SWEEP_ENTRIES.to_string());
        let reply = lane.call(live, Script::Expire, &sale.keys, &args).await?;
        // Nobody is told of it, so that it does not wait for replicas.
        sale.has_read(Header::of(&reply)?.sequence, scripts);
        sale.reaped().swept(reply.get(4).map(text).as_deref().and_then(first_left));
        if reply.get(3).map(text).as_deref() != Some("1") {
            break;
        }
    }
    Ok(())
}

/// When the first holds that a sweep has left are due, and how many there were of them.
fn first_left(text: &str) -> Option<(i64, u64)> {
    let (due, made) = text.split_once(' ')?;
    Some((due.parse().ok()?, made.parse().ok()?))
}

async fn take_note<D: Dial>(
    lane: &Lane<D>,
    live: &Live<D::Conn>,
    pool: &Pool,
    scripts: &Scripts,
    sale: &Sale,
    outcome: Result<(), Failure>,
) {
    match outcome {
        Ok(()) => {
            sale.reaped().worked();
            sale.set_fault(None);
        }
        Err(Failure::Refused(Refusal::Epoch(old))) => {
            if let Err(reason) = heal(lane, live, pool, scripts, sale, &old).await {
                sale.set_fault(Some(reason));
                tokio::time::sleep(HEAL_RETRY.mul_f32(fastrand::f32())).await;
            }
        }
        Err(Failure::Refused(refusal @ Refusal::Behind(_))) => sale.set_fault(Some(behind(sale, &refusal))),
        // A sale that was there and is not: all of it is lost.
        Err(Failure::Refused(Refusal::Missing)) => sale.set_fault(Some(behind(sale, &Refusal::Behind(0)))),
        Err(Failure::Refused(refusal)) => sale.set_fault(Some(refusal.to_string())),
        // Redis answers, and takes no writes: read-only, short of replicas, its disk full.
        Err(Failure::NotDone(why)) => sale.set_fault(Some(why)),
        // The lane tells of an outage of Redis itself.
        Err(failure) => tracing::debug!(sale = sale.id, %failure, "no tick"),
    }
}

fn behind(sale: &Sale, refusal: &Refusal) -> String {
    let known = sale.known();
    format!(
        "{refusal} (sequence {known}): acknowledged changes are gone. Restore the ledger from its append-only file; or, to go on with the ledger as it is, restart all gateways"
    )
}

/// The ledger was last served by another Redis process. It is taken in once it is found whole and
/// no older than what this gateway knows; until then the sale stands still.
async fn heal<D: Dial>(
    lane: &Lane<D>,
    live: &Live<D::Conn>,
    pool: &Pool,
    scripts: &Scripts,
    sale: &Sale,
    old: &str,
) -> Result<(), String> {
    let report = audit::audit(pool, scripts, &sale.id)
        .await
        .map_err(|e| format!("the audit after a restart of Redis failed: {e}"))?;
    if report.sequence < sale.known() {
        return Err(behind(sale, &Refusal::Behind(report.sequence)));
    }
    if let Some(problem) = report.first_problem() {
        return Err(format!("Redis was restarted and its ledger is not whole: {problem}"));
    }
    let args = [&live.run_id, sale.known().to_string().as_str(), old, "gateway"].map(str::to_owned);
    match lane.call(live, Script::Adopt, &sale.keys, &args).await {
        Ok(_) => {
            tracing::info!(
                sale = sale.id,
                sequence = report.sequence,
                "Redis was restarted; its ledger is whole and was taken in"
            );
            Ok(())
        }
        // Another gateway was faster.
        Err(Failure::Refused(Refusal::Epoch(now))) if *now == *live.run_id => Ok(()),
        Err(failure) => Err(failure.to_string()),
    }
}
