//! Drives the library as the gateway does, on a real redis-server, with a clock that the test moves.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gateway::admit::{AdmissionRequest, TapAdmission};
use gateway::domain::decision::{Decision, Header};
use gateway::domain::definition::Definition;
use gateway::domain::reservation::Reservation;
use gateway::manage::admin::{Actor, Admin, ApplyOutcome, OperatorAction};
use gateway::manage::audit::{AuditReport, audit};
use gateway::projection::consumer::{CaughtUp, consume, load};
use gateway::projection::read_model::{Sale, Sales};
use gateway::recovery::sweeper::sweep;
use gateway::reserve::batch::{Deadlines, QueueHandle, QueueLimits};
use gateway::reserve::changes::Change;
use gateway::reserve::rounds::make_round;
use gateway::reserve::tick::tick;
use gateway::store::Pool;
use gateway::store::connection::RedisConnection;
use gateway::store::connections::RedisConnections;
use gateway::store::dial::{LedgerConnection, Redis as Dial};
use gateway::store::keys::{Keys, SALES};
use gateway::store::scripts::{Failure, Script, Scripts};
use redis::Value;
use testkit::redis::Redis;
use testkit::{PATIENCE, eventually};
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::Instant;

use super::link::Link;
use super::plan::{GATEWAYS, Tap};

/// `now()` of tests.
pub const TEST_CLOCK: &str = include_str!("clock.lua");
/// How long a batch of a gateway with an outdated definition waits for the new one.
const OUTDATED: Duration = Duration::from_millis(2);
/// How long a caller waits for an answer that is held until the caller has left.
const LEFT: Duration = Duration::from_millis(5);

/// A redis-server and a way into its ledger.
pub struct World {
    runtime: tokio::runtime::Runtime,
    local: LocalSet,
    pub redis: Redis,
    pub ledger: Rc<Ledger>,
}

/// What all gateways of a test share.
pub struct Ledger {
    pub scripts: Arc<Scripts>,
    pub pool: Pool,
    pub admin: Admin,
    pub redis_connections: Vec<Rc<RedisConnection<Link>>>,
    links: Vec<Link>,
    pub dial: Dial,
    conn: LedgerConnection,
    sales: Cell<u64>,
}

/// One gateway's view of a sale.
pub struct Instance {
    pub sale: Arc<Sale>,
    pub redis_connection: Rc<RedisConnection<Link>>,
    /// The link of its connection.
    pub link: Link,
    queue: QueueHandle,
    follower: Option<JoinHandle<()>>,
    /// Those of its process.
    sales: Arc<Sales>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.follower.iter().for_each(JoinHandle::abort);
    }
}

impl World {
    pub fn start() -> Self {
        let redis = Redis::start_with(&["--appendonly", "no", "--appendfsync", "no"]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = LocalSet::new();
        let ledger = Rc::new(local.block_on(&runtime, Ledger::new(&redis.url())));
        Self { runtime, local, redis, ledger }
    }

    /// No journal consumer can read a journal until the answer is called.
    pub async fn stop_reading(&self) -> impl Fn() {
        self.redis.run::<()>("ACL SETUSER default -xread -xrange");
        eventually("a read is refused", || async {
            (!self.redis.run::<Vec<Value>>("ACL LOG").is_empty()).then_some(())
        })
        .await;
        || self.redis.run::<()>("ACL SETUSER default +xread +xrange")
    }

    /// Runs something that may start local tasks.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.local.block_on(&self.runtime, work)
    }
}

impl Ledger {
    pub async fn new(url: &str) -> Self {
        let scripts = Arc::new(Scripts::new(TEST_CLOCK));
        let dial = Dial::new(url, PATIENCE, PATIENCE).unwrap();
        let pool = dial.pool(4);
        let links: Vec<_> = (0..GATEWAYS).map(|_| Link::over(dial.clone())).collect();
        let redis_connections: Vec<_> = links
            .iter()
            .map(|link| RedisConnection::new(link.clone(), scripts.clone(), Arc::default()))
            .collect();
        for redis_connection in &redis_connections {
            tokio::task::spawn_local(redis_connection.clone().keep_open());
            connected(redis_connection).await;
        }
        let mut conn = dial.dial_for("", PATIENCE).await.unwrap();
        // From now on every call is the only one.
        scripts.load(&mut conn).await.unwrap();
        Self {
            admin: Admin::new(pool.clone(), scripts.clone(), Arc::default()),
            conn,
            sales: Cell::new(0),
            scripts,
            pool,
            redis_connections,
            links,
            dial,
        }
    }

    /// An id that no sale of this test had.
    pub fn fresh(&self) -> String {
        self.sales.set(self.sales.get() + 1);
        format!("sale-{}", self.sales.get())
    }

    /// A command of the test's own.
    pub async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.conn.clone()).await.unwrap()
    }

    /// Puts a key back as `DUMP` gave it.
    pub async fn restore(&self, key: &str, dump: &[u8]) {
        let mut command = redis::cmd("RESTORE");
        command.arg(key).arg(0).arg(dump);
        command.query_async::<()>(&mut self.conn.clone()).await.unwrap();
    }

    /// The same ledger for operator actions of a gateway, which buffers what it acknowledges.
    pub fn admin_of(&self, instance: &Instance) -> Admin {
        let sales = Sales::default();
        sales.insert(instance.sale.clone());
        Admin::new(self.pool.clone(), self.scripts.clone(), Arc::new(sales))
    }

    pub async fn set_time(&self, ms: i64) {
        self.command::<()>(&["SET", "lg:test-now", &ms.to_string()]).await;
    }

    /// Applies a definition as ops do. Lists without an order by contract are sorted.
    pub async fn apply(&self, definition: &Definition) -> ApplyOutcome {
        let mut applied = self.admin.apply(definition, &ops()).await.unwrap();
        match &mut applied {
            ApplyOutcome::Locked(list) | ApplyOutcome::ItemTaken(list) => list.sort(),
            ApplyOutcome::StockTaken(list) => list.sort(),
            _ => {}
        }
        applied
    }

    pub async fn perform(&self, sale: &str, action: OperatorAction) -> bool {
        self.admin.perform(sale, action, &ops()).await.unwrap()
    }

    pub async fn audit(&self, sale: &str) -> AuditReport {
        audit(&self.pool, &self.scripts, sale).await.unwrap()
    }

    /// A gateway with the present sale, which gets no later definition.
    pub async fn instance(&self, at: usize, sale: &str) -> Instance {
        self.instance_of(at, Arc::new(self.load(sale).await), None, Arc::default())
    }

    /// The sale as it is now.
    pub async fn load(&self, sale: &str) -> Sale {
        load(&mut self.conn.clone(), &self.scripts, sale).await.unwrap()
    }

    /// A gateway that follows the sale's journal.
    pub async fn following_instance(&self, at: usize, sale: &str) -> Instance {
        let sales = Arc::new(Sales::default());
        let follower = tokio::task::spawn_local(consume(
            self.dial.clone(),
            self.scripts.clone(),
            sales.clone(),
            Arc::new(CaughtUp::default()),
            Arc::default(),
        ));
        let find = async {
            loop {
                match sales.get(sale) {
                    Some(sale) => break sale,
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, find).await;
        let found = found.expect("the journal consumer finds the sale");
        self.instance_of(at, found, Some(follower), sales)
    }

    fn instance_of(
        &self,
        at: usize,
        sale: Arc<Sale>,
        follower: Option<JoinHandle<()>>,
        sales: Arc<Sales>,
    ) -> Instance {
        let (redis_connection, link) = (self.redis_connections[at].clone(), self.links[at].clone());
        let limits =
            QueueLimits { batch_max: 64, queue_max: 64, delay_max: std::time::Duration::from_secs(10) };
        let queue = QueueHandle::start(
            sale.clone(),
            RedisConnections::from_open(redis_connection.clone()),
            limits,
            Arc::default(),
        );
        Instance { sale, redis_connection, link, queue, follower, sales }
    }

    /// Forgets a sale.
    pub async fn forget(&self, sale: &str) {
        let keys = Keys::of(sale);
        let all = keys.all().iter().map(String::as_str);
        self.command::<i64>(&["UNLINK"].into_iter().chain(all).collect::<Vec<_>>()).await;
        self.command::<i64>(&["SREM", SALES, sale]).await;
    }
}

impl Instance {
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
                Ok(admitted) => self.queue.reserve(admitted, deadlines).await,
                Err((refusal, _)) => refusal,
            }
        });
        let decisions = futures_util::future::join_all(taps).await;
        decisions.into_iter().map(|decision| self.plain_decision(decision)).collect()
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
                Ok(tap) => admitted.push(self.queue.reserve(tap, deadlines)),
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

async fn connected(redis_connection: &RedisConnection<Link>) {
    eventually("a connection to Redis is up", || async { redis_connection.live().map(drop) }).await;
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

pub fn ops() -> Actor {
    Actor { who: "ops".into(), reason: Some("a test".into()) }
}
