//! Drives the library as the gateway does, on a real redis-server, with a clock that the test moves.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gateway::domain::definition::Definition;
use gateway::manage::admin::{Actor, Admin, ApplyOutcome, OperatorAction, Performed};
use gateway::manage::audit::{AuditReport, audit};
use gateway::projection::consumer::{CaughtUp, consume, load};
use gateway::projection::read_model::{Sale, Sales};
use gateway::store::Pool;
use gateway::store::connection::RedisConnection;
use gateway::store::dial::{LedgerConnection, Redis as Dial};
use gateway::store::keys::{Keys, SALES};
use gateway::store::scripts::Scripts;
use redis::Value;
use testkit::redis::Redis;
use testkit::{PATIENCE, eventually};
use tokio::task::{JoinHandle, LocalSet};

use super::instance::Instance;
use super::link::Link;
use super::plan::GATEWAYS;

/// `now()` of tests.
pub const TEST_CLOCK: &str = include_str!("clock.lua");

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
        self.admin.perform(sale, action, &ops()).await.unwrap() == Performed::Done
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
        Instance::new(sale, self.redis_connections[at].clone(), self.links[at].clone(), follower, sales)
    }

    /// Forgets a sale.
    pub async fn forget(&self, sale: &str) {
        let keys = Keys::of(sale);
        let all = keys.all().iter().map(String::as_str);
        self.command::<i64>(&["UNLINK"].into_iter().chain(all).collect::<Vec<_>>()).await;
        self.command::<i64>(&["SREM", SALES, sale]).await;
    }
}

/// Waits until it is up.
pub(super) async fn connected(redis_connection: &RedisConnection<Link>) {
    eventually("a connection to Redis is up", || async { redis_connection.live().map(drop) }).await;
}

pub fn ops() -> Actor {
    Actor { who: "ops".into(), reason: Some("a test".into()) }
}
