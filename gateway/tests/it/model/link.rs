//! Links a connection to Redis and injects a network fault into its next script call: lost, doubled
//! or late.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use gateway::store::dial::{Dial, LedgerConnection, Redis};
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, RedisResult, Value};
use tokio::sync::Notify;

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It never reaches Redis.
    RequestLost,
    /// The call runs, and its answer is lost.
    AnswerLost,
    /// The call runs, and its answer comes after its caller has left.
    AnswerLate,
    /// It is carried out twice, as by something that sends again what was not answered; the second answer comes.
    Doubled,
}

/// Opens connections as a gateway does. Clones are one way.
#[derive(Clone)]
pub struct Link {
    dial: Redis,
    next: Arc<Next>,
}

/// What is to happen to the next call of a script.
#[derive(Default)]
struct Next {
    fault: Mutex<Option<(Fault, usize)>>,
    /// A late answer is there.
    held: Notify,
    /// It may go on.
    free: Notify,
    /// See [`Dial::moves`].
    moves: AtomicU64,
}

impl Link {
    pub fn over(dial: Redis) -> Self {
        Self { dial, next: Arc::default() }
    }

    /// The next call of a script goes wrong, or the one after so many.
    pub fn arm(&self, fault: Fault, skip: usize) {
        *self.next.fault.lock().unwrap() = Some((fault, skip));
    }

    /// Whether a call has met what it was armed with.
    pub fn is_met(&self) -> bool {
        self.next.fault.lock().unwrap().is_none()
    }

    /// No call does any more; whether one did.
    pub fn disarm(&self) -> bool {
        self.next.fault.lock().unwrap().take().is_none()
    }

    /// Another Redis is the primary from now on: the connection that is open leads to the former one.
    pub fn another_is_primary(&self) {
        self.next.moves.fetch_add(1, Relaxed);
    }

    /// Waits until a late answer is held back.
    pub async fn held(&self) {
        self.next.held.notified().await;
    }

    /// Releases the held answer to a caller that still waits.
    pub async fn let_go(&self) {
        self.next.free.notify_one();
        // All is on one thread, and nothing that it now leads to waits for anything outside.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
}

impl Next {
    fn meet(&self) -> Option<Fault> {
        let mut fault = self.fault.lock().unwrap();
        match fault.take() {
            Some((fault, 0)) => Some(fault),
            later => {
                *fault = later.map(|(fault, skip)| (fault, skip - 1));
                None
            }
        }
    }
}

impl Dial for Link {
    type Conn = Faulty;

    async fn dial(&self) -> RedisResult<Faulty> {
        Ok(Faulty { conn: self.dial.dial().await?, next: self.next.clone() })
    }

    fn moves(&self) -> u64 {
        self.next.moves.load(Relaxed)
    }
}

/// One of its connections.
#[derive(Clone)]
pub struct Faulty {
    conn: LedgerConnection,
    next: Arc<Next>,
}

impl ConnectionLike for Faulty {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let Self { conn, next } = self;
        Box::pin(async move {
            if !is_script(cmd) {
                return conn.req_packed_command(cmd).await;
            }
            let Some(fault) = next.meet() else {
                return conn.req_packed_command(cmd).await;
            };
            if fault == Fault::RequestLost {
                return Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
            }
            let answer = conn.req_packed_command(cmd).await;
            match fault {
                Fault::Doubled => conn.req_packed_command(cmd).await,
                Fault::AnswerLate => {
                    next.held.notify_one();
                    next.free.notified().await;
                    answer
                }
                Fault::AnswerLost | Fault::RequestLost => {
                    Err(io::Error::from(io::ErrorKind::ConnectionReset).into())
                }
            }
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.conn.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.conn.get_db()
    }
}

/// Whether it calls a script on a sale; the probe of a connection has no keys.
fn is_script(cmd: &Cmd) -> bool {
    let mut words = cmd.args_iter();
    let is = |word: Option<redis::Arg<&[u8]>>, text: &[u8]| matches!(word, Some(redis::Arg::Simple(found)) if found == text);
    is(words.next(), b"EVALSHA") && !is(words.nth(1), b"0")
}
