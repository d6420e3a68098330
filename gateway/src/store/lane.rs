//! A lane: one connection to Redis that is kept open, and the calls that go over it one by one.

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
pub struct Lane<D: Dial> {
    dial: D,
    scripts: Arc<Scripts>,
    live: RefCell<Option<Live<D::Conn>>>,
    lost: Notify,
    outage: Outage,
    /// Redis answers, and refuses what taps need.
    refusal: Outage,
    uses: Arc<RedisUse>,
    /// Whether calls may go over it; shared by all lanes of a thread.
    decides: Rc<Cell<bool>>,
}

/// A connection and the Redis process at its other end.
#[derive(Clone)]
pub struct Live<C> {
    conn: C,
    /// Of the Redis that it was opened to. It goes with every batch.
    pub epoch: Rc<str>,
    opened: Rc<()>,
    /// See [`Dial::moves`], as it was when the connection was opened.
    moves: u64,
}

impl<C: Clone> Live<C> {
    /// For what no script does.
    pub(crate) fn conn(&self) -> C {
        self.conn.clone()
    }
}

impl<D: Dial> Lane<D> {
    /// A lane that connects as soon as [`Lane::keep_open`] runs.
    #[must_use]
    pub fn new(dial: D, scripts: Arc<Scripts>, uses: Arc<RedisUse>) -> Rc<Self> {
        Self::deciding(dial, scripts, uses, Rc::new(Cell::new(true)))
    }

    /// One over which calls may go while this holds.
    pub(crate) fn deciding(
        dial: D,
        scripts: Arc<Scripts>,
        uses: Arc<RedisUse>,
        decides: Rc<Cell<bool>>,
    ) -> Rc<Self> {
        Rc::new(Self {
            dial,
            scripts,
            live: RefCell::default(),
            lost: Notify::new(),
            outage: Outage::of("a lane can't reach Redis"),
            refusal: Outage::of("Redis refuses what taps need"),
            uses,
            decides,
        })
    }

    /// A lane to another place, for the same user.
    pub(crate) fn beside(&self, dial: D) -> Rc<Self> {
        Self::deciding(dial, self.scripts.clone(), self.uses.clone(), self.decides.clone())
    }

    /// Where it leads to.
    pub(crate) fn dial(&self) -> &D {
        &self.dial
    }

    /// Connects, and again whenever the connection is lost. Runs for as long as the lane is used.
    pub async fn keep_open(self: Rc<Self>) {
        let mut wait = *RETRY_MS.start();
        loop {
            match self.connect().await {
                Ok(live) => {
                    *self.live.borrow_mut() = Some(live.clone());
                    self.uses.connected();
                    self.outage.is_over();
                    wait = *RETRY_MS.start();
                    self.watch(live).await;
                    // Many lanes lose their connections at once; they shall not all come back at once.
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=*RETRY_MS.start()))).await;
                }
                Err(error) => {
                    let why = acl::explain(&error);
                    self.uses.failed(&why);
                    self.outage.goes_on(why);
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(wait / 2..=wait))).await;
                    wait = (wait * 2).min(*RETRY_MS.end());
                }
            }
        }
    }

    async fn connect(&self) -> redis::RedisResult<Live<D::Conn>> {
        let moves = self.dial.moves();
        let mut conn = self.dial.dial().await?;
        let epoch = read_run_id(&mut conn).await?;
        Ok(Live { conn, epoch: epoch.into(), opened: Rc::default(), moves })
    }

    /// Returns once this connection is lost, or leads to a server that is not the primary any more. It is tried now and then
    /// by a script that only a primary runs, so that it is not the next buyer's tap that finds it of no use.
    async fn watch(&self, live: Live<D::Conn>) {
        let mut is_granted = false;
        loop {
            if self.dial.moves() == live.moves {
                is_granted = self.probe(&live, is_granted).await;
            } else {
                self.give_up(&live, MOVED);
            }
            tokio::select! {
                () = self.lost.notified() => return,
                () = tokio::time::sleep(PROBE) => {}
            }
        }
    }

    /// One attempt; whether the user has all permissions, which are looked at until it has.
    async fn probe(&self, live: &Live<D::Conn>, is_granted: bool) -> bool {
        let mut conn = live.conn.clone();
        let calls = if is_granted { &[] } else { acl::SERVING };
        let why = match self.scripts.probe(&mut conn, calls).await {
            Ok(missing) if missing.is_empty() => {
                self.uses.worked();
                self.refusal.is_over();
                return true;
            }
            Ok(missing) => acl::missing(&missing),
            Err(failure) if failure.ends_connection() => {
                self.give_up(live, &failure.to_string());
                return false;
            }
            Err(failure) => failure.to_string(),
        };
        self.uses.failed(&why);
        self.refusal.goes_on(why);
        false
    }

    /// The connection, if calls may go over it and there is one at the moment; not one to a Redis that is known to be replaced, where a call would end
    /// without an outcome.
    #[must_use]
    pub fn live(&self) -> Option<Live<D::Conn>> {
        let may_call = |live: &Live<D::Conn>| self.decides.get() && live.moves == self.dial.moves();
        self.live.borrow().clone().filter(may_call)
    }

    /// Calls a script over this very connection, whose epoch the arguments carry. No answer in
    /// time ends the connection.
    pub async fn call(
        &self,
        live: &Live<D::Conn>,
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
        live: &Live<D::Conn>,
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
            self.give_up(live, &failure.to_string());
        }
        answer
    }

    fn give_up(&self, broken: &Live<D::Conn>, error: &str) {
        let mut live = self.live.borrow_mut();
        // Several calls may find the same connection broken; only the first one ends it.
        if live.as_ref().is_some_and(|l| Rc::ptr_eq(&l.opened, &broken.opened)) {
            self.uses.failed(error);
            self.outage.goes_on(error);
            *live = None;
            self.lost.notify_one();
        }
    }
}
