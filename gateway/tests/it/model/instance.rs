//! One gateway's view of a sale: it reserves, ticks and sweeps as a gateway does.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gateway::admit::{AdmissionRequest, TapAdmission};
use gateway::domain::choice::Choice;
use gateway::domain::decision::{Decision, Header};
use gateway::domain::reservation::Reservation;
use gateway::projection::read_model::{Sale, Sales};
use gateway::recovery::sweeper::sweep;
use gateway::reserve::batch::{
    Deadlines, JoinCommand, JoinDecision, QueueHandle, QueueLimits, SignUpCommand, SignUpDecision,
};
use gateway::reserve::changes::Change;
use gateway::reserve::rounds::make_round;
use gateway::reserve::tick::tick;
use gateway::store::connection::RedisConnection;
use gateway::store::connections::RedisConnections;
use gateway::store::scripts::{Failure, Script};
use redis::Value;
use testkit::PATIENCE;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::link::Link;
use super::plan::{JoinRequest, SignUpRequest, Tap};
use super::world::connected;

/// How long a batch of a gateway with an outdated definition waits for the new one.
const OUTDATED: Duration = Duration::from_millis(2);
/// How long a caller waits for an answer that is held until the caller has left.
const LEFT: Duration = Duration::from_millis(5);

/// One gateway's view of a sale.
pub struct Instance {
    pub sale: Arc<Sale>,
    pub redis_connection: Rc<RedisConnection<Link>>,
    /// The link of its connection.
    pub link: Link,
    queue: QueueHandle,
    sign_ups: QueueHandle<SignUpCommand>,
    joins: QueueHandle<JoinCommand>,
    follower: Option<JoinHandle<()>>,
    /// Those of its process.
    sales: Arc<Sales>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.follower.iter().for_each(JoinHandle::abort);
    }
}

impl Instance {
    pub(super) fn new(
        sale: Arc<Sale>,
        redis_connection: Rc<RedisConnection<Link>>,
        link: Link,
        follower: Option<JoinHandle<()>>,
        sales: Arc<Sales>,
    ) -> Self {
        let limits = QueueLimits { batch_max: 64, queue_max: 64, delay_max: Duration::from_secs(10) };
        let connections = RedisConnections::from_open(redis_connection.clone());
        let queue = QueueHandle::start(sale.clone(), connections.clone(), limits, Arc::default());
        let sign_ups = QueueHandle::start(sale.clone(), connections.clone(), limits, Arc::default());
        let joins = QueueHandle::start(sale.clone(), connections, limits, Arc::default());
        Self { sale, redis_connection, link, queue, sign_ups, joins, follower, sales }
    }

    /// The sales of its process.
    pub fn sales(&self) -> &Sales {
        &self.sales
    }

    /// Sends taps as one batch, in this order, and reduces the answers to what the contract shows.
    pub async fn reserve(&self, taps: &[Tap], outdated: bool) -> Vec<Decision> {
        let patience = if outdated { OUTDATED } else { PATIENCE };
        self.reserve_within(taps, patience).await
    }

    /// The same, but the caller leaves before the late answer.
    pub async fn reserve_and_leave(&self, taps: &[Tap]) -> Vec<Decision> {
        let answered = self.reserve_within(taps, LEFT).await;
        if self.link.is_met() {
            self.link.held().await;
            self.link.let_go().await;
        }
        answered
    }

    /// The same, with this time-out.
    pub async fn reserve_within(&self, taps: &[Tap], patience: Duration) -> Vec<Decision> {
        let late = Instant::now() + patience;
        let deadlines = Deadlines { queued: Instant::now(), send: late, answer: late };
        let taps = taps.iter().map(|tap| async move {
            let Tap { buyer, key, model, packages, store, partial: accept_partial } = tap;
            let request =
                AdmissionRequest { model, packages, store: *store, accept_partial: *accept_partial };
            let (sub, now) = ((*buyer).into(), std::time::Instant::now());
            match TapAdmission::new(&self.sale, &sub, key, request, now).admit(now) {
                Ok(admitted) => self.queue.ask(admitted, deadlines).await,
                Err((refusal, _)) => refusal,
            }
        });
        let decisions = futures_util::future::join_all(taps).await;
        decisions.into_iter().map(|decision| self.plain_decision(decision)).collect()
    }

    /// Sends sign-ups as one batch, in this order.
    pub async fn sign_up(&self, requests: &[SignUpRequest]) -> Vec<SignUpDecision> {
        self.sign_up_within(requests, PATIENCE).await
    }

    /// The same, but the caller leaves before the late answer.
    pub async fn sign_up_and_leave(&self, requests: &[SignUpRequest]) -> Vec<SignUpDecision> {
        let answered = self.sign_up_within(requests, LEFT).await;
        if self.link.is_met() {
            self.link.held().await;
            self.link.let_go().await;
        }
        answered
    }

    async fn sign_up_within(&self, requests: &[SignUpRequest], patience: Duration) -> Vec<SignUpDecision> {
        let late = Instant::now() + patience;
        let deadlines = Deadlines { queued: Instant::now(), send: late, answer: late };
        let asked = requests.iter().map(|SignUpRequest { buyer, choices }| {
            self.sign_ups.ask(SignUpCommand::new(&self.sale.id, buyer, choices.clone()), deadlines)
        });
        futures_util::future::join_all(asked).await
    }

    /// Sends requests to join as one batch, in this order.
    pub async fn join(&self, requests: &[JoinRequest]) -> Vec<JoinDecision> {
        self.join_within(requests, PATIENCE).await
    }

    /// The same, but the caller leaves before the late answer.
    pub async fn join_and_leave(&self, requests: &[JoinRequest]) -> Vec<JoinDecision> {
        let answered = self.join_within(requests, LEFT).await;
        if self.link.is_met() {
            self.link.held().await;
            self.link.let_go().await;
        }
        answered
    }

    async fn join_within(&self, requests: &[JoinRequest], patience: Duration) -> Vec<JoinDecision> {
        let late = Instant::now() + patience;
        let deadlines = Deadlines { queued: Instant::now(), send: late, answer: late };
        let asked = requests.iter().map(|JoinRequest { buyer, model, packages, store }| {
            let owned = |id: &&str| (*id).to_owned();
            let packages = packages.iter().map(owned).collect();
            let choice = Choice { model: owned(model), packages, store: store.as_ref().map(owned) };
            self.joins.ask(JoinCommand::new(&self.sale.id, buyer, choice), deadlines)
        });
        futures_util::future::join_all(asked).await
    }

    /// Taps that are there at once, of which the read model refuses what it may: those, by index, and what the ledger
    /// decided of the others.
    pub async fn reserve_or_refuse(
        &self,
        taps: &[Tap],
        time: i64,
    ) -> (BTreeMap<usize, Decision>, Vec<Decision>) {
        let arrived = std::time::Instant::now();
        let subs: Vec<Arc<str>> = taps.iter().map(|tap| tap.buyer.into()).collect();
        let asked = |(tap, sub)| {
            let Tap { key, model, packages, store, partial: accept_partial, .. }: &Tap = tap;
            let request =
                AdmissionRequest { model, packages, store: *store, accept_partial: *accept_partial };
            TapAdmission::new(&self.sale, sub, key, request, arrived)
        };
        let asked: Vec<_> = taps.iter().zip(&subs).map(asked).collect();
        if asked.iter().any(|asked| asked.may_be_refused(arrived)) {
            make_round(&self.redis_connection, &self.sales, &self.sale).await;
        }
        let late = Instant::now() + PATIENCE;
        let deadlines = Deadlines { queued: Instant::now(), send: late, answer: late };
        let (mut refused, mut admitted) = (BTreeMap::new(), Vec::new());
        for (n, asked) in asked.into_iter().enumerate() {
            match asked.admit(std::time::Instant::now()) {
                Ok(tap) => admitted.push(self.queue.ask(tap, deadlines)),
                // The estimate of the clock goes on while this is decided.
                Err((Decision::NotOpen(_), _)) => drop(refused.insert(n, Decision::NotOpen(time))),
                Err((refusal, _)) => drop(refused.insert(n, refusal)),
            }
        }
        let decided = futures_util::future::join_all(admitted).await;
        (refused, decided.into_iter().map(|decision| self.plain_decision(decision)).collect())
    }

    fn plain_decision(&self, decision: Decision) -> Decision {
        let grace = self.sale.read_model().grace_ms;
        let shown = |r: Box<Reservation>, header: Header| {
            let state = r.state_at(header.sale_clock, grace);
            Box::new(Reservation { state, ..plain(*r) })
        };
        match decision {
            Decision::Won(r, header) => Decision::Won(shown(r, header), header),
            Decision::Replayed(r, header) => Decision::Replayed(shown(r, header), header),
            other => other,
        }
    }

    /// Waits until it is connected to Redis again.
    pub async fn connected(&self) {
        connected(&self.redis_connection).await;
    }

    /// Ticks, or sweeps up to so many journal entries.
    pub async fn call(&self, script: Script, more: &[&str]) -> Result<Vec<Value>, Failure> {
        let live = self.redis_connection.live().unwrap();
        let mut args = vec![self.sale.ledger_identity(&live.epoch), self.sale.known_sequence().to_string()];
        args.extend(more.iter().map(ToString::to_string));
        self.redis_connection.call(&live, script, &self.sale.keys, &args).await
    }

    pub async fn tick(&self) -> Header {
        tick(&self.redis_connection, &self.redis_connection.live().unwrap(), &self.sale).await.unwrap().0
    }

    /// A tick as the sweeper of a gateway makes it, which reads Redis's clock.
    pub async fn read_clock(&self) -> Header {
        let sent = std::time::Instant::now();
        let header = self.tick().await;
        self.sale.read_clock(&header, sent);
        header
    }

    /// One sweep: its header, the holds that it ended, whether there may be more.
    pub async fn sweep(&self, entries: usize) -> (Header, u64, bool) {
        let swept =
            sweep(&self.redis_connection, &self.redis_connection.live().unwrap(), &self.sale, entries)
                .await
                .unwrap();
        (swept.header, swept.ended, swept.more)
    }

    /// Sweeps until nothing is due: the holds that ended, and in how many changes.
    pub async fn sweep_all(&self, entries: usize) -> (u64, u64) {
        let (mut ended, mut changes) = (0, 0);
        loop {
            let (_, n, more) = self.sweep(entries).await;
            ended += n;
            changes += u64::from(n > 0);
            if !more {
                return (ended, changes);
            }
        }
    }
}

/// Without what the contract does not show.
pub fn plain(r: Reservation) -> Reservation {
    let (buyer, fingerprint, changes) = ("".into(), String::new(), Vec::new());
    Reservation { buyer, fingerprint, changes, ..r }
}

/// The same for a change's answer.
pub fn plain_change(change: Change) -> Change {
    let plain = |r: Box<Reservation>| Box::new(plain(*r));
    match change {
        Change::Done(r, header) => Change::Done(plain(r), header),
        Change::NotHeld(r) => Change::NotHeld(plain(r)),
        Change::Changed(r) => Change::Changed(plain(r)),
        Change::PaymentConflict(r) => Change::PaymentConflict(plain(r)),
        other => other,
    }
}
