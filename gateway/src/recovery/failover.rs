//! Recovery after a failover: gateways replay the changes that Redis lost, audit the ledger, and adopt the new epoch.
//!
//! `gateway/docs/recovery.md` specifies the protocol; `state.rs` has its states. Any gateway may do each step: the scripts are
//! idempotent, and refuse what another gateway has done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::RedisError;

use crate::domain::decision::Header;
use crate::fleet::GONE;
use crate::fleet::membership::Membership;
use crate::manage::audit;
use crate::projection::acknowledged::Acknowledged;
use crate::projection::read_model::Sale;
use crate::recovery::collect::{CHUNK, read_position, read_reports, submit_report, to_json};
use crate::recovery::state::{Blocked, OwnStatus, Replay, State};
use crate::store::compatibility::was_replica;
use crate::store::connection::{LiveConnection, RedisConnection};
use crate::store::dial::{Dial, read_run_id};
use crate::store::durability::Durability;
use crate::store::reply::text;
use crate::store::scripts::{Failure, Refusal, Script, Scripts};
use crate::store::{Pool, checkout};

/// How long the report of a silent gateway is awaited where Redis has all that it acknowledged: as long as it counts as a member.
const SILENT_PEER_WAIT: Duration = GONE;

/// What a gateway needs to recover a sale.
pub struct Recovery {
    /// For the audit.
    pub pool: Pool,
    /// Those of the sale.
    pub scripts: Arc<Scripts>,
    /// Which peers are live.
    pub membership: Arc<Membership>,
    /// Redis has what a gateway acknowledged whatever becomes of that gateway.
    pub acknowledged_survives: bool,
}

/// A sale that every script refuses, since its epoch is not that of its Redis.
pub struct Fence {
    pub(super) old_epoch: String,
    pub(super) new_epoch: String,
    noticed: Instant,
    /// The live members when this gateway last reached the ledger; empty if it never did.
    pub(super) peers: BTreeMap<String, String>,
    /// The state of the report that was submitted last: the highest known sequence, and the last one in the buffer.
    pub(super) submitted: Option<(u64, u64)>,
}

impl Fence {
    /// Noticed now: the epoch of the ledger, that of its Redis, and the live members at this gateway's last contact.
    pub fn new(old: &str, new: &str, peers: BTreeMap<String, String>) -> Self {
        let old = old.trim_start_matches('!').to_owned();
        Self { old_epoch: old, new_epoch: new.to_owned(), noticed: Instant::now(), peers, submitted: None }
    }

    /// The identity of the ledger once a report is in Redis: `lua/submit_report.lua` marks the old epoch.
    fn identity(&self, sale: &Sale) -> String {
        sale.ledger_identity(&format!("!{}", self.old_epoch))
    }

    /// The one from before if the epochs are still the same, or a new one.
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
                let peers = sale.tick_status().last_success().map(|at| membership.live_peers_at(at));
                Self::new(old, new, peers.unwrap_or_default())
            })
    }
}

impl Recovery {
    /// One attempt: takes the sale through all states, from `fenced` to `open`.
    ///
    /// # Errors
    ///
    /// What keeps the sale in a state, for an operator. The next attempt starts again.
    pub async fn recover<D: Dial>(
        &self,
        connection: &RedisConnection<D>,
        live: &LiveConnection<D::Conn>,
        sale: &Sale,
        fence: &mut Fence,
    ) -> Result<(), String> {
        let mut attempt = Attempt { recovery: self, connection, live, sale, fence };
        let mut state = State::Fenced;
        while state != State::Open {
            state = attempt.advance(state).await.map_err(|blocked| blocked.describe(&sale.id))?;
            tracing::debug!(sale = sale.id, state = state.name(), "recovery: next state");
        }
        Ok(())
    }
}

/// An attempt on one connection.
struct Attempt<'a, D: Dial> {
    recovery: &'a Recovery,
    connection: &'a RedisConnection<D>,
    live: &'a LiveConnection<D::Conn>,
    sale: &'a Sale,
    fence: &'a mut Fence,
}

impl<D: Dial> Attempt<'_, D> {
    /// Does what a state asks for; the next state.
    async fn advance(&mut self, state: State) -> Result<State, Blocked> {
        match state {
            State::Fenced => self.submit().await,
            State::Collecting => self.collect().await,
            State::Replaying(replay) => self.replay(replay).await,
            State::Auditing(replay) => self.adopt(&replay).await,
            State::Open => Ok(State::Open),
        }
    }

    async fn submit(&mut self) -> Result<State, Blocked> {
        let id = &self.recovery.membership.id;
        submit_report(&mut self.live.conn(), self.sale, self.fence, id).await.map_err(report_io_error)?;
        Ok(State::Collecting)
    }

    async fn collect(&mut self) -> Result<State, Blocked> {
        let (mut conn, keys) = (self.live.conn(), &self.sale.keys);
        let is_recent = self.fence.noticed.elapsed() < SILENT_PEER_WAIT;
        let is_durable = !is_recent && self.is_durable().await.map_err(report_io_error)?;
        let status = OwnStatus { is_recent, was_member: !self.fence.peers.is_empty(), is_durable };
        let awaits_peers = status.awaits_peers()?;
        if awaits_peers {
            let awaited = read_reports(&mut conn, keys, false).await.map_err(report_io_error)?.awaited();
            if !awaited.is_empty() {
                return Err(Blocked::Awaiting(awaited));
            }
        }
        let reports = read_reports(&mut conn, keys, true).await.map_err(report_io_error)?;
        if !reports.has_report_of(&self.recovery.membership.id) {
            self.fence.submitted = None;
            return Err(Blocked::ReportRemoved);
        }
        let (incarnation, sequence) = read_position(&mut conn, self.sale).await.map_err(report_io_error)?;
        let replay = reports.plan(&incarnation, sequence, awaits_peers)?;
        for (gateway, by) in reports.released() {
            tracing::warn!(
                sale = self.sale.id,
                gateway,
                by,
                "recovery goes on without what an operator has released"
            );
        }
        Ok(State::Replaying(replay))
    }

    /// A replica that was promoted has other files than those that were synced before the answers.
    async fn is_durable(&self) -> redis::RedisResult<bool> {
        let by_files = self.recovery.pool.redis().durability() == Durability::Fsync;
        Ok(self.recovery.acknowledged_survives && !(by_files && was_replica(&mut self.live.conn()).await?))
    }

    async fn replay(&mut self, replay: Replay) -> Result<State, Blocked> {
        let mut args = vec![self.fence.identity(self.sale)];
        for (n, change) in replay.missing.iter().enumerate() {
            args.push(to_json(change));
            if n + 1 < replay.missing.len() && args.iter().map(String::len).sum::<usize>() < CHUNK {
                continue;
            }
            let reply = match self.connection.call(self.live, Script::Replay, &self.sale.keys, &args).await {
                Err(failure) if self.is_adopted(&failure) => break,
                other => other.map_err(|failure| Blocked::Failed(failure.to_string()))?,
            };
            if reply.first().and_then(text).as_deref() != Some("ok") {
                let words: Vec<String> = reply.iter().skip(1).filter_map(text).collect();
                let [entry, why] = [words.first(), words.last()].map(|word| word.map_or("?", |word| word));
                return Err(Blocked::NeedsOperator(format!("entry {entry} of its journal: {why}")));
            }
            args.truncate(1);
        }
        Ok(State::Auditing(replay))
    }

    async fn adopt(&mut self, replay: &Replay) -> Result<State, Blocked> {
        let audit = self.audit().await;
        let report = audit
            .map_err(|why| Blocked::Failed(format!("the audit after a restart of Redis failed: {why}")))?;
        if let Some(problem) = report.first_problem() {
            return Err(Blocked::Failed(format!(
                "Redis was restarted and its ledger does not balance: {problem}"
            )));
        }
        let Replay { ref missing, lost, known, late_at } = *replay;
        let (changes, identity) = (missing.len(), self.fence.identity(self.sale));
        let args =
            (&*self.live.epoch, known, identity, "gateway", changes, lost, late_at.time, late_at.clock);
        match self.connection.call(self.live, Script::Adopt, &self.sale.keys, args).await {
            Ok(reply) => self.note_adoption(&reply, report.sequence, changes, lost),
            Err(failure) if self.is_adopted(&failure) => {}
            Err(failure) => return Err(Blocked::Failed(failure.to_string())),
        }
        // Only now are the reports not needed any more; a leftover is replaced by the next failover.
        let mut remove = redis::cmd("UNLINK");
        let _: Result<i64, _> =
            remove.arg(self.sale.keys.recovery()).query_async(&mut self.live.conn()).await;
        Ok(State::Open)
    }

    /// Audits the very Redis whose epoch is to be adopted: the pool may still lead to a former primary.
    async fn audit(&self) -> Result<audit::AuditReport, Failure> {
        let pool = &self.recovery.pool;
        let mut conn = checkout(pool, self.sale.keys.state()).await?;
        let found = read_run_id(&mut conn).await?;
        if *found != *self.live.epoch {
            pool.leave().await;
            return Err(Failure::NotDone(format!("it would be of another Redis, {found}")));
        }
        audit::audit_over(&mut conn, &self.recovery.scripts, &self.sale.id).await
    }

    fn note_adoption(&self, reply: &[redis::Value], sequence: u64, changes: usize, lost: u64) {
        let (sale, fence) = (self.sale, &self.fence);
        sale.acknowledged().trust_epoch(&fence.new_epoch);
        // Should Redis lose the entry once more, it can be replayed.
        if let Ok(header) = Header::of(reply) {
            let fields = ["epoch", &fence.new_epoch, "was", &fence.old_epoch, "who", "gateway"];
            let mut adopt = Acknowledged::of("adopt", header.sequence, &header, String::new());
            adopt.fields = fields.map(str::to_owned).to_vec();
            let _ = sale.acknowledged().acknowledge(&fence.new_epoch, adopt);
        }
        if changes == 0 {
            tracing::info!(
                sale = sale.id,
                sequence,
                "Redis was restarted and had lost nothing; its epoch is adopted"
            );
        } else {
            tracing::warn!(
                sale = sale.id,
                sequence,
                replayed = changes,
                lost,
                "Redis was restarted and had lost changes; they are replayed, and its epoch is adopted"
            );
        }
        sale.tick_status().note_replayed(changes as u64, lost);
    }

    /// Whether a script was refused because another gateway has adopted the epoch.
    fn is_adopted(&self, failure: &Failure) -> bool {
        matches!(failure, Failure::Refused(Refusal::Epoch(now)) if **now == *self.live.epoch)
    }
}

fn report_io_error(error: RedisError) -> Blocked {
    Blocked::Failed(format!("the recovery reports can't be written or read: {error}"))
}
