//! A connection: one connection to Redis that is kept open, and the calls that go over it one by one.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::sync::Notify;

use crate::store::acl;
use crate::store::dial::{Dial, read_run_id};
use crate::store::keys::Keys;
use crate::store::outage::Outage;
use crate::store::scripts::{Failure, Script, Scripts};
use crate::telemetry::uses::RedisUse;

/// Between two attempts to connect: doubled from the first to the last, each with jitter.
const RETRY_MS: std::ops::RangeInclusive<u64> = 20..=1_000;
/// Between two looks at whether the connection still answers.
pub(crate) const PROBE: Duration = Duration::from_millis(500);

/// Why a connection that still answers is left.
pub(crate) const MOVED: &str = "another Redis is the primary now";

/// One connection of one thread. All that is sent goes in order; an answer that does not come in
/// time ends the connection, so that nothing queues up behind a Redis that is stuck.
pub struct RedisConnection<D: Dial> {
    dial: D,
    scripts: Arc<Scripts>,
    live: RefCell<Option<LiveConnection<D::Conn>>>,
    lost: Notify,
    outage: Outage,
    /// Redis answers, and refuses what taps need.
    refusal: Outage,
    uses: Arc<RedisUse>,
    /// Whether calls may go over it; shared by all connections of a thread.
    may_call: Rc<Cell<bool>>,
}

/// A connection and the Redis process at its other end.
#[derive(Clone)]
pub struct LiveConnection<C> {
    conn: C,
    /// Of the Redis that it was opened to. It goes with every batch.
    pub epoch: Rc<str>,
    opened: Rc<()>,
    /// See [`Dial::moves`], as it was when the connection was opened.
    moves: u64,
}

impl<C: Clone> LiveConnection<C> {
    /// For what no script does.
    pub(crate) fn conn(&self) -> C {
        self.conn.clone()
    }
}

impl<D: Dial> RedisConnection<D> {
    /// A connection that connects as soon as [`RedisConnection::keep_open`] runs.
    #[must_use]
    pub fn new(dial: D, scripts: Arc<Scripts>, uses: Arc<RedisUse>) -> Rc<Self> {
        Self::with_gate(dial, scripts, uses, Rc::new(Cell::new(true)))
    }

    /// One over which calls may go while this holds.
    pub(crate) fn with_gate(
        dial: D,
        scripts: Arc<Scripts>,
        uses: Arc<RedisUse>,
        may_call: Rc<Cell<bool>>,
    ) -> Rc<Self> {
        Rc::new(Self {
            dial,
            scripts,
            live: RefCell::default(),
            lost: Notify::new(),
            outage: Outage::of("a connection can't reach Redis"),
            refusal: Outage::of("Redis refuses what taps need"),
            uses,
            may_call,
        })
    }

    /// A connection to another place, for the same user.
    pub(crate) fn to_master(&self, dial: D) -> Rc<Self> {
        Self::with_gate(dial, self.scripts.clone(), self.uses.clone(), self.may_call.clone())
    }

    /// Where it leads to.
    pub(crate) fn dial(&self) -> &D {
        &self.dial
    }

    /// Connects, and again whenever the connection is lost. Runs for as long as the connection is used.
    pub async fn keep_open(self: Rc<Self>) {
        let mut wait = *RETRY_MS.start();
        loop {
            match self.connect().await {
                Ok(live) => {
                    *self.live.borrow_mut() = Some(live.clone());
                    self.uses.connected();
                    self.outage.record_success();
                    wait = *RETRY_MS.start();
                    self.watch(live).await;
                    // Many connections lose their connections at once; they shall not all come back at once.
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=*RETRY_MS.start()))).await;
                }
                Err(error) => {
                    let why = acl::explain(&error);
                    self.uses.failed(&why);
                    self.outage.record_failure(why);
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(wait / 2..=wait))).await;
                    wait = (wait * 2).min(*RETRY_MS.end());
                }
            }
        }
    }

    async fn connect(&self) -> redis::RedisResult<LiveConnection<D::Conn>> {
        let moves = self.dial.moves();
        let mut conn = self.dial.dial().await?;
        let epoch = read_run_id(&mut conn).await?;
        Ok(LiveConnection { conn, epoch: epoch.into(), opened: Rc::default(), moves })
    }

    /// Returns once this connection is lost, or leads to a server that is not the primary any more. It is tried now and then
    /// by a script that only a primary runs, so that it is not the next buyer's tap that finds it of no use.
    async fn watch(&self, live: LiveConnection<D::Conn>) {
        let mut is_granted = false;
        loop {
            if self.dial.moves() == live.moves {
                is_granted = self.probe(&live, is_granted).await;
            } else {
                self.close(&live, MOVED);
            }
            tokio::select! {
                () = self.lost.notified() => return,
                () = tokio::time::sleep(PROBE) => {}
            }
        }
    }

    /// One attempt; whether the user has all permissions, which are looked at until it has.
    async fn probe(&self, live: &LiveConnection<D::Conn>, is_granted: bool) -> bool {
        let mut conn = live.conn.clone();
        let calls = if is_granted { &[] } else { acl::SERVING };
        let why = match self.scripts.probe(&mut conn, calls).await {
            Ok(missing) if missing.is_empty() => {
                self.uses.worked();
                self.refusal.record_success();
                return true;
            }
            Ok(missing) => acl::missing(&missing),
            Err(failure) if failure.ends_connection() => {
                self.close(live, &failure.to_string());
                return false;
            }
            Err(failure) => failure.to_string(),
        };
        self.uses.failed(&why);
        self.refusal.record_failure(why);
        false
    }

    /// The connection, if calls may go over it and there is one at the moment; not one to a Redis that is known to be replaced, where a call would end
    /// without an outcome.
    #[must_use]
    pub fn live(&self) -> Option<LiveConnection<D::Conn>> {
        let is_usable =
            |live: &LiveConnection<D::Conn>| self.may_call.get() && live.moves == self.dial.moves();
        self.live.borrow().clone().filter(is_usable)
    }

    /// Calls a script over this very connection, whose epoch the arguments carry. No answer in
    /// time ends the connection.
    pub async fn call(
        &self,
        live: &LiveConnection<D::Conn>,
        script: Script,
        keys: &Keys,
        args: impl redis::ToRedisArgs,
    ) -> Result<Vec<Value>, Failure> {
        let mut conn = live.conn.clone();
        self.in_time(live, self.scripts.call(&mut conn, script, keys, args)).await
    }

    /// The answer to what goes over this very connection. None in time ends the connection.
    pub(crate) async fn in_time<T>(
        &self,
        live: &LiveConnection<D::Conn>,
        asked: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut answer = asked.await;
        // By now this gateway may have said at the new primary all that it has told: nothing may be added to that.
        if answer.is_ok() && self.dial.moves() != live.moves {
            answer = Err(Failure::Unknown(MOVED.to_owned()));
        }
        if let Err(failure) = &answer
            && failure.ends_connection()
        {
            self.close(live, &failure.to_string());
        }
        answer
    }

    fn close(&self, closed: &LiveConnection<D::Conn>, error: &str) {
        let mut live = self.live.borrow_mut();
        // Several calls may find the same connection broken; only the first one ends it.
        if live.as_ref().is_some_and(|l| Rc::ptr_eq(&l.opened, &closed.opened)) {
            self.uses.failed(error);
            self.outage.record_failure(error);
            *live = None;
            self.lost.notify_one();
        }
    }
}
