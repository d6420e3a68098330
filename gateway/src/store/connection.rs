//! A persistent connection to Redis, and the calls over it.

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

/// The delay between two attempts to connect: doubled from the first to the last, each with jitter.
const RECONNECT_BACKOFF_MS: std::ops::RangeInclusive<u64> = 20..=1_000;
/// The interval of the connection's health check.
pub(crate) const PROBE: Duration = Duration::from_millis(500);

/// Why a connection that still works is left.
pub(crate) const PRIMARY_CHANGED: &str = "another Redis is the primary now";

/// One connection of one thread. Calls go in order; a reply that is too late ends the connection,
/// so that nothing queues up behind a stuck Redis.
pub struct RedisConnection<D: Dial> {
    dial: D,
    scripts: Arc<Scripts>,
    live: RefCell<Option<LiveConnection<D::Conn>>>,
    lost: Notify,
    outage: Outage,
    /// Redis replies, but refuses what taps need.
    refusal: Outage,
    uses: Arc<RedisUse>,
    /// Whether calls may go over it; shared by all connections of a thread.
    may_call: Rc<Cell<bool>>,
}

/// A connection and the epoch of its Redis process.
#[derive(Clone)]
pub struct LiveConnection<C> {
    conn: C,
    /// The epoch of the connected Redis; every batch carries it.
    pub epoch: Rc<str>,
    opened: Rc<()>,
    /// See [`Dial::moves`], as it was when the connection was opened.
    moves: u64,
}

impl<C: Clone> LiveConnection<C> {
    /// The connection for commands outside of scripts.
    pub(crate) fn conn(&self) -> C {
        self.conn.clone()
    }
}

impl<D: Dial> RedisConnection<D> {
    /// A connection that connects as soon as [`RedisConnection::keep_open`] runs.
    pub fn new(dial: D, scripts: Arc<Scripts>, uses: Arc<RedisUse>) -> Rc<Self> {
        Self::with_call_flag(dial, scripts, uses, Rc::new(Cell::new(true)))
    }

    /// A connection that permits calls while this flag is set.
    pub(crate) fn with_call_flag(
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

    /// A connection to another master, for the same user.
    pub(crate) fn to_master(&self, dial: D) -> Rc<Self> {
        Self::with_call_flag(dial, self.scripts.clone(), self.uses.clone(), self.may_call.clone())
    }

    /// How it connects.
    pub(crate) fn dial(&self) -> &D {
        &self.dial
    }

    /// Connects, and reconnects whenever the connection is lost, for as long as it is used.
    pub async fn keep_open(self: Rc<Self>) {
        let mut wait = *RECONNECT_BACKOFF_MS.start();
        loop {
            match self.connect().await {
                Ok(live) => {
                    *self.live.borrow_mut() = Some(live.clone());
                    self.uses.connected();
                    self.outage.record_success();
                    wait = *RECONNECT_BACKOFF_MS.start();
                    self.watch(live).await;
                    // Many connections break at once; their reconnects must be spread.
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(
                        0..=*RECONNECT_BACKOFF_MS.start(),
                    )))
                    .await;
                }
                Err(error) => {
                    let why = acl::explain(&error);
                    self.uses.failed(&why);
                    self.outage.record_failure(why);
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(wait / 2..=wait))).await;
                    wait = (wait * 2).min(*RECONNECT_BACKOFF_MS.end());
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

    /// Returns once the connection is lost, or its server is no longer the primary. A periodic
    /// script that only a primary runs finds that before a buyer's tap does.
    async fn watch(&self, live: LiveConnection<D::Conn>) {
        let mut is_granted = false;
        loop {
            if self.dial.moves() == live.moves {
                is_granted = self.probe(&live, is_granted).await;
            } else {
                self.close(&live, PRIMARY_CHANGED);
            }
            tokio::select! {
                () = self.lost.notified() => return,
                () = tokio::time::sleep(PROBE) => {}
            }
        }
    }

    /// Makes one check; returns whether the user has all permissions, which are checked until it
    /// has.
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

    /// The open connection, if calls may go over it; `None` to a Redis that was replaced, where a
    /// call would end without an outcome.
    pub fn live(&self) -> Option<LiveConnection<D::Conn>> {
        let is_usable =
            |live: &LiveConnection<D::Conn>| self.may_call.get() && live.moves == self.dial.moves();
        self.live.borrow().clone().filter(is_usable)
    }

    /// Calls a script over this very connection, whose epoch the arguments carry. A late reply ends
    /// the connection.
    pub async fn call(
        &self,
        live: &LiveConnection<D::Conn>,
        script: Script,
        keys: &Keys,
        args: impl redis::ToRedisArgs,
    ) -> Result<Vec<Value>, Failure> {
        let mut conn = live.conn.clone();
        self.await_reply(live, self.scripts.call(&mut conn, script, keys, args)).await
    }

    /// Awaits a reply over this very connection. A late reply ends the connection.
    pub(crate) async fn await_reply<T>(
        &self,
        live: &LiveConnection<D::Conn>,
        asked: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut answer = asked.await;
        // This gateway may have submitted its report to the new primary: later acknowledgements
        // would be missing there.
        if answer.is_ok() && self.dial.moves() != live.moves {
            answer = Err(Failure::Unknown(PRIMARY_CHANGED.to_owned()));
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
