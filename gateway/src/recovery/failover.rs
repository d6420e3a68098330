//! Healing: after a restart or failover, what Redis has lost is appended again from what the gateways remember, and the ledger
//! is taken in. Until then every script refuses the sale, so that nothing is decided twice.
//!
//! Each gateway that was there before says what it knows in a hash beside the sale (`lua/submit_report.lua`). Once all have, any one of
//! them appends what is missing (`lua/replay.lua`, which checks it), audits, and takes the new epoch in (`lua/adopt.lua`).

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use crate::recovery::missing::MissingChange;
use crate::recovery::report::{ALL, RecoveryPlan, RecoveryReport, RecoveryReports};
use redis::aio::ConnectionLike;

use crate::domain::decision::Header;
use crate::fleet::GONE;
use crate::fleet::membership::Membership;
use crate::manage::admin::Actor;
use crate::manage::audit;
use crate::projection::acknowledged::{Acknowledged, Clocks};
use crate::projection::read_model::{INCARNATION, Sale};
use crate::store::compatibility::was_replica;
use crate::store::connection::{LiveConnection, RedisConnection};
use crate::store::dial::{Dial, read_run_id};
use crate::store::durability::Durability;
use crate::store::keys::Keys;
use crate::store::reply::{self, list_of_texts, shape, text, unreadable};
use crate::store::scripts::{Failure, Refusal, Script, Scripts};
use crate::store::{Pool, checkout};

static SUBMIT_REPORT: LazyLock<redis::Script> =
    LazyLock::new(|| redis::Script::new(include_str!("../store/lua/submit_report.lua")));

/// Gateways that are named, at most.
const NAMED_MAX: usize = 3;
/// Bytes of one call.
const CHUNK: usize = 256 << 10;

/// What it takes to heal a sale.
pub struct Recovery {
    /// For the audit.
    pub pool: Pool,
    /// Those of the sale.
    pub scripts: Arc<Scripts>,
    /// Who lives.
    pub membership: Arc<Membership>,
    /// What a gateway has told is in Redis whatever happens to it, so that one that is gone need not be asked.
    pub acknowledged_survives: bool,
}

/// A sale that its Redis refuses, since it was last served by another one.
pub struct Fence {
    old_epoch: String,
    new_epoch: String,
    noticed: Instant,
    /// Who lived when this gateway last reached the ledger; nobody if it never did.
    peers: BTreeMap<String, String>,
    /// What was said last: known, and the last sequence that is kept.
    submitted: Option<(u64, u64)>,
}

impl Fence {
    /// Noticed now: the epoch that the ledger has, that of its Redis, and who lived when this gateway last reached the ledger.
    #[must_use]
    pub fn new(old: &str, new: &str, peers: BTreeMap<String, String>) -> Self {
        let old = old.trim_start_matches('!').to_owned();
        Self { old_epoch: old, new_epoch: new.to_owned(), noticed: Instant::now(), peers, submitted: None }
    }

    /// As the ledger has the old epoch once a gateway has said what it knows (`lua/submit_report.lua`), with this incarnation.
    fn identity(&self, sale: &Sale) -> String {
        sale.identity(&format!("!{}", self.old_epoch))
    }

    /// The same as before if it still is, or a new one.
    pub(crate) fn renew(
        before: Option<Self>,
        old: &str,
        new: &str,
        sale: &Sale,
        membership: &Membership,
    ) -> Self {
        before
            .filter(|fence| fence.old_epoch == old.trim_start_matches('!') && fence.new_epoch == new)
            .unwrap_or_else(|| {
                let peers = sale.sweep_status().last_success().map(|at| membership.live_peers_at(at));
                Self::new(old, new, peers.unwrap_or_default())
            })
    }
}

impl Recovery {
    /// One attempt; why the sale still stands still, in words.
    ///
    /// # Errors
    ///
    /// As long as somebody is waited for, or what is missing can't be appended.
    pub async fn recover<D: Dial>(
        &self,
        connection: &RedisConnection<D>,
        live: &LiveConnection<D::Conn>,
        sale: &Sale,
        fence: &mut Fence,
    ) -> Result<(), String> {
        let mut conn = live.conn();
        let broken = |error: redis::RedisError| format!("what the gateways know can't be gathered: {error}");
        self.submit_report(&mut conn, sale, fence).await.map_err(broken)?;
        let is_young = fence.noticed.elapsed() < GONE;
        if is_young && fence.peers.is_empty() {
            return Err(
                "this gateway was not there before Redis was restarted, and waits for others that were"
                    .into(),
            );
        }
        let waits = is_young || !self.is_durable(&mut conn).await.map_err(broken)?;
        if waits {
            let awaited = gather_reports(&mut conn, &sale.keys, false).await.map_err(broken)?.awaited();
            if !awaited.is_empty() {
                return Err(describe_waiting(sale, &awaited));
            }
        }
        let reports = gather_reports(&mut conn, &sale.keys, true).await.map_err(broken)?;
        if !reports.has_report_of(self.membership.id()) {
            fence.submitted = None;
            return Err("what the gateways know has been removed from Redis: they say it once more".into());
        }
        let (incarnation, at) = read_position(&mut conn, sale).await.map_err(broken)?;
        let (missing, lost, known, late_at) = match reports.plan(&incarnation, at, waits) {
            RecoveryPlan::Wait(awaited) => return Err(describe_waiting(sale, &awaited)),
            RecoveryPlan::Blocked(why) => return Err(describe_blocked(sale, &why)),
            RecoveryPlan::Replay { missing, lost, known, late_at } => (missing, lost, known, late_at),
        };
        append(connection, live, sale, fence, &missing).await?;
        self.adopt(connection, live, sale, fence, (missing.len(), lost, known, late_at)).await?;
        // Only now is it not needed any more.
        let _: Result<i64, _> = redis::cmd("UNLINK").arg(sale.keys.recovery()).query_async(&mut conn).await;
        Ok(())
    }

    /// Whether this Redis has what any gateway acknowledged, whatever became of the gateway. A replica that was promoted has other
    /// files than those that were synced before the answers.
    async fn is_durable(&self, conn: &mut impl ConnectionLike) -> redis::RedisResult<bool> {
        let by_files = self.pool.redis().durability() == Durability::Fsync;
        Ok(self.acknowledged_survives && !(by_files && was_replica(conn).await?))
    }

    /// Audits the very Redis whose epoch is to be adopted: the pool may still lead to a former primary.
    async fn audit<C: Clone>(
        &self,
        live: &LiveConnection<C>,
        sale: &Sale,
    ) -> Result<audit::AuditReport, Failure> {
        let mut conn = checkout(&self.pool, sale.keys.state()).await?;
        let there = read_run_id(&mut conn).await?;
        if *there != *live.epoch {
            self.pool.leave().await;
            return Err(Failure::NotDone(format!("it would be of another Redis, {there}")));
        }
        audit::audit_over(&mut conn, &self.scripts, &sale.id).await
    }

    /// Says what this gateway knows, unless it has said that already.
    async fn submit_report(
        &self,
        conn: &mut impl ConnectionLike,
        sale: &Sale,
        fence: &mut Fence,
    ) -> redis::RedisResult<()> {
        let (incarnation, at) = read_position(conn, sale).await?;
        let (known, since, last, late_at, (mut read, mut acknowledged)) = {
            let mut acknowledged = sale.acknowledged();
            acknowledged.close();
            (
                sale.known_sequence(),
                acknowledged.since(),
                acknowledged.last(),
                acknowledged.late_at(),
                acknowledged.entries_after(at),
            )
        };
        if incarnation != sale.incarnation() {
            // That there is another is all that matters of it.
            (read, acknowledged) = (Vec::new(), Vec::new());
        }
        if fence.submitted == Some((known, last)) {
            return Ok(());
        }
        let json = |missing: MissingChange| serde_json::to_string(&missing).unwrap_or_default();
        // What can't be read stays in: whoever judges must not take it for lost.
        let read = read.iter().map(|(at, entry)| {
            (format!("r:{at}"), MissingChange::from_entry(entry).map(json).unwrap_or_default())
        });
        let acknowledged = acknowledged.iter().map(|one| {
            let field = format!("t:{}:{}", one.sequence, self.membership.id());
            (field, MissingChange::from_acknowledged(one).map(json).unwrap_or_default())
        });
        let recovery_report = RecoveryReport {
            incarnation: sale.incarnation().to_owned(),
            known,
            since,
            peers: fence.peers.clone(),
            late_at,
        };
        let recovery_report = serde_json::to_string(&recovery_report).unwrap_or_default();
        let mut call = Vec::new();
        // Itself comes last: from then on nobody waits for it.
        for (field, value) in
            read.chain(acknowledged).chain([(format!("g:{}", self.membership.id()), recovery_report)])
        {
            let is_last = field.starts_with('g');
            call.extend([field, value]);
            if is_last || call.iter().map(String::len).sum::<usize>() > CHUNK {
                let args: Vec<&str> = [fence.old_epoch.as_str(), &fence.new_epoch, sale.incarnation()]
                    .into_iter()
                    .chain(call.iter().map(String::as_str))
                    .collect();
                let mut submit_report = SUBMIT_REPORT.prepare_invoke();
                submit_report.key(sale.keys.recovery()).key(sale.keys.state()).arg(args);
                // That the ledger was taken in meanwhile is found by the next tick.
                submit_report.invoke_async::<redis::Value>(conn).await?;
                call.clear();
            }
        }
        fence.submitted = Some((known, last));
        Ok(())
    }

    async fn adopt<D: Dial>(
        &self,
        connection: &RedisConnection<D>,
        live: &LiveConnection<D::Conn>,
        sale: &Sale,
        fence: &Fence,
        (replayed, lost, known, late_at): (usize, u64, u64, Clocks),
    ) -> Result<(), String> {
        let report = self
            .audit(live, sale)
            .await
            .map_err(|e| format!("the audit after a restart of Redis failed: {e}"))?;
        if let Some(problem) = report.first_problem() {
            return Err(format!("Redis was restarted and its ledger is not whole: {problem}"));
        }
        let args = [
            &live.epoch,
            known.to_string().as_str(),
            &fence.identity(sale),
            "gateway",
            replayed.to_string().as_str(),
            lost.to_string().as_str(),
            late_at.time.to_string().as_str(),
            late_at.clock.to_string().as_str(),
        ]
        .map(str::to_owned);
        match connection.call(live, Script::Adopt, &sale.keys, &args).await {
            Ok(reply) => {
                sale.acknowledged().trust_epoch(&fence.new_epoch);
                // Should Redis lose it once more, the journal still tells of it.
                if let Ok(Header { sequence, time: at, sale_clock: clock, .. }) = Header::of(&reply) {
                    let fields = ["epoch", &fence.new_epoch, "was", &fence.old_epoch, "who", "gateway"]
                        .map(str::to_owned)
                        .to_vec();
                    let _ = sale.acknowledged().acknowledge(
                        &fence.new_epoch,
                        Acknowledged { sequence, kind: "adopt", at, clock, fields, rows: String::new() },
                    );
                }
                let sequence = report.sequence;
                if replayed == 0 {
                    tracing::info!(
                        sale = sale.id,
                        sequence,
                        "Redis was restarted; its ledger is whole and was taken in"
                    );
                } else {
                    tracing::warn!(
                        sale = sale.id,
                        sequence,
                        replayed,
                        lost,
                        "Redis was restarted and had lost changes; they were appended again, and its ledger was taken in"
                    );
                }
                sale.sweep_status().note_replayed(replayed as u64, lost);
                Ok(())
            }
            // Another gateway was faster.
            Err(Failure::Refused(Refusal::Epoch(now))) if *now == *live.epoch => Ok(()),
            Err(failure) => Err(failure.to_string()),
        }
    }
}

/// Appends what is missing, in order; why that can't be, in words.
async fn append<D: Dial>(
    connection: &RedisConnection<D>,
    live: &LiveConnection<D::Conn>,
    sale: &Sale,
    fence: &Fence,
    missing: &[MissingChange],
) -> Result<(), String> {
    let mut args = vec![fence.identity(sale)];
    for (n, one) in missing.iter().enumerate() {
        args.push(serde_json::to_string(one).unwrap_or_default());
        if n + 1 < missing.len() && args.iter().map(String::len).sum::<usize>() < CHUNK {
            continue;
        }
        let reply = match connection.call(live, Script::Replay, &sale.keys, &args).await {
            Err(Failure::Refused(Refusal::Epoch(now))) if *now == *live.epoch => return Ok(()),
            other => other.map_err(|failure| failure.to_string())?,
        };
        if reply.first().and_then(text).as_deref() != Some("ok") {
            let words: Vec<String> = reply.iter().skip(1).filter_map(text).collect();
            return Err(describe_blocked(
                sale,
                &format!(
                    "entry {} of its journal: {}",
                    words.first().map_or("?", |w| w),
                    words.last().map_or("?", |w| w)
                ),
            ));
        }
        args.truncate(1);
    }
    Ok(())
}

/// What has been said: without the entries it is little.
async fn gather_reports(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    with_entries: bool,
) -> redis::RedisResult<RecoveryReports> {
    let fields = if with_entries {
        let all = redis::cmd("HGETALL").arg(keys.recovery()).query_async(conn).await?;
        reply::map("HGETALL", &all)?.into_iter().collect()
    } else {
        let names = redis::cmd("HKEYS").arg(keys.recovery()).query_async(conn).await?;
        let names = list_of_texts("HKEYS", &names)?;
        let names: Vec<String> = names.into_iter().filter(|name| name.starts_with(['g', 'x'])).collect();
        if names.is_empty() {
            return Ok(RecoveryReports::default());
        }
        let values: redis::Value =
            redis::cmd("HMGET").arg(keys.recovery()).arg(&names).query_async(conn).await?;
        let texts = reply::texts(&values).filter(|texts| texts.len() == names.len());
        let texts = texts.ok_or_else(|| unreadable("HMGET", "a text for each field", &shape(&values)))?;
        names.into_iter().zip(texts).collect()
    };
    Ok(RecoveryReports::parse(&fields))
}

/// The incarnation and the sequence of the ledger. One of the first format does not say the former, and is taken for the one that
/// is known here.
async fn read_position(conn: &mut impl ConnectionLike, sale: &Sale) -> redis::RedisResult<(String, u64)> {
    let mut fields = redis::cmd("HMGET");
    fields.arg(sale.keys.state()).arg(INCARNATION).arg("sequence");
    let (incarnation, at): (Option<String>, Option<u64>) = fields.query_async(conn).await?;
    Ok((incarnation.unwrap_or_else(|| sale.incarnation().to_owned()), at.unwrap_or_default()))
}

fn describe_waiting(sale: &Sale, awaited: &[(String, String)]) -> String {
    let who: Vec<String> =
        awaited.iter().take(NAMED_MAX).map(|(id, listen)| format!("{id} ({listen})")).collect();
    let more = if awaited.len() > NAMED_MAX { " and others" } else { "" };
    let (id, _) = &awaited[0];
    format!(
        "Redis was restarted or replaced. What {}{more} told buyers before is not known yet: it must reach Redis; if it is gone for good, \
         `gateway sale release {} {id}`",
        who.join(", "),
        sale.id
    )
}

fn describe_blocked(sale: &Sale, why: &str) -> String {
    let sale = &sale.id;
    format!(
        "Redis was restarted or replaced and has lost changes that somebody was told of, and they can't be appended again: {why}. Restore \
         the ledger from its append-only file; or go on with it as it is: `gateway sale release {sale} --all`"
    )
}

/// What it does to buyers to release a gateway.
pub const RELEASE_EFFECT: &str = "the sale does not wait any longer for what this gateway has told buyers; whom it alone \
    told of a reservation in the last instants may have none";
/// And to release all.
pub const RELEASE_ALL_EFFECT: &str = "the sale goes on with the ledger as it is; whoever was told of a reservation since \
    then has none, and his car is sold again. Restart every gateway that stands still then";

/// Does not wait for what a gateway knows that is gone; `None`: takes the ledger as it is, whatever any gateway knows.
///
/// # Errors
///
/// In words, if the sale waits for nobody.
pub async fn release(
    pool: &Pool,
    sale: &str,
    gateway: Option<&str>,
    by: &Actor,
) -> Result<Result<(), String>, Failure> {
    let keys = Keys::of(sale);
    let mut conn = crate::store::checkout(pool, keys.recovery()).await?;
    let reports = gather_reports(&mut conn, &keys, false).await?;
    if let Err(why) = reports.check_release(gateway) {
        return Ok(Err(format!("{sale} {why}")));
    }
    let field = format!("x:{}", gateway.unwrap_or(ALL));
    redis::cmd("HSET")
        .arg(keys.recovery())
        .arg(field)
        .arg(by.args().join(": "))
        .query_async::<i64>(&mut conn)
        .await?;
    Ok(Ok(()))
}
