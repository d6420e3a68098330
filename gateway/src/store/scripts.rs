//! The list of all Lua scripts, how their text is put together, and how one is called.

use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, ServerErrorKind, Value};

use crate::domain::decision::Header;
use crate::domain::decision::Shed;
use crate::store::acl;
use crate::store::keys::Keys;
use crate::store::reply::{count_unreadable, list, note, shape, unreadable};
pub use crate::store::reply::{text, texts};

/// The clock that the released binary runs with. Tests put another in its place.
pub const REAL_CLOCK: &str = include_str!("lua/now.lua");
const LEDGER: &str = include_str!("lua/ledger.lua");

/// What Redis may assume of a script. Without flags it is refused at `maxmemory`.
const DENY_OOM: &str = "#!lua\n";
const ALLOW_OOM: &str = "#!lua flags=allow-oom\n";
const READ_ONLY: &str = "#!lua flags=no-writes,allow-oom\n";

/// Writes to the definition, and changes nothing. From some version on (not 7.0; Valkey 9 is one) `WAIT` waits only for what its own
/// connection has written: so that it waits for what others have written before, there must be something after that.
const MARK: &str =
    "#!lua flags=allow-oom\nif redis.call('EXISTS', KEYS[1]) == 1 then redis.call('APPEND', KEYS[1], '') end";

macro_rules! scripts {
    ($($name:ident, $($file:literal)+, $flags:ident, $doc:literal;)*) => {
        /// One of the ledger's scripts; the contract of each stands on top of its file.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Script { $(#[doc = $doc] $name,)* }

        const ALL: &[(&str, &str)] = &[$(($flags, concat!($(include_str!(concat!("lua/", $file))),+)),)*];
    };
}

scripts! {
    Reserve, "reserve.lua", DENY_OOM, "Decides a batch of taps.";
    Amend, "amend.lua", DENY_OOM, "Changes what a reservation asks for.";
    Confirm, "confirm.lua", ALLOW_OOM, "A hold was paid.";
    Cancel, "cancel.lua", ALLOW_OOM, "Ends a reservation.";
    Tick, "tick.lua", ALLOW_OOM, "Advances the sale clock.";
    Expire, "sweep.lua" "expire.lua", ALLOW_OOM, "One bounded sweep of holds that are due.";
    Apply, "apply.lua", DENY_OOM, "Takes in a definition.";
    Restock, "restock.lua", DENY_OOM, "Sets the total of an item.";
    OperatorAction, "operator_action.lua", ALLOW_OOM, "Pause, resume, freeze, unfreeze, close.";
    Replay, "sweep.lua" "replay.lua", ALLOW_OOM, "Appends changes again that Redis has lost.";
    Adopt, "adopt.lua", ALLOW_OOM, "Takes in a restarted Redis.";
    Purge, "purge.lua", ALLOW_OOM, "Removes a sale for good.";
    Snapshot, "snapshot.lua", READ_ONLY, "Reads a sale at one sequence.";
    Reservations, "reservations.lua", READ_ONLY, "Reads one buyer's record.";
    Probe, "probe.lua", ALLOW_OOM, "Shows that a connection does what taps need.";
}

/// All scripts with their hashes, ready to be called.
#[derive(Debug)]
pub struct Scripts {
    texts: Vec<(String, String)>,
    replica_acks: Option<ReplicaAcks>,
}

/// How many replicas must have what a script has written before its reply counts.
#[derive(Debug, Clone, Copy)]
pub struct ReplicaAcks {
    /// So many.
    pub replicas: u16,
    /// For so long they are waited for. Shorter than Redis may take for an answer.
    pub wait: Duration,
}

impl Script {
    /// Whether somebody is told what it answers. A tick and a sweep tell nobody, a snapshot is of what others did, and healing
    /// is repeated until it is done.
    fn needs_replica_acks(self) -> bool {
        !matches!(self, Self::Tick | Self::Expire | Self::Snapshot | Self::Replay | Self::Adopt | Self::Probe)
    }
}

impl Scripts {
    /// Puts the scripts together. `clock` is Lua that defines `now()`: [`REAL_CLOCK`] outside of tests.
    #[must_use]
    pub fn new(clock: &str) -> Self {
        let texts = ALL
            .iter()
            .map(|(flags, body)| {
                let text = format!("{flags}{clock}\n{LEDGER}\n{body}");
                let hash = redis::Script::new(&text).get_hash().to_owned();
                (hash, text)
            })
            .collect();
        Self { texts, replica_acks: None }
    }

    /// Replies count only once so many replicas have what they tell of.
    #[must_use]
    pub fn with_replica_acks(self, replica_acks: Option<ReplicaAcks>) -> Self {
        Self { replica_acks, ..self }
    }

    /// Whether replies count only once replicas have what they tell of.
    #[must_use]
    pub fn wait_for_replicas(&self) -> bool {
        self.replica_acks.is_some()
    }

    /// The hash of each, by which it is called.
    pub fn hashes(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|(hash, _)| hash.as_str())
    }

    /// A hash of all of them: gateways that run the same ones have the same.
    #[must_use]
    pub fn digest(&self) -> String {
        let hashes: Vec<&str> = self.hashes().collect();
        redis::Script::new(&hashes.join(" ")).get_hash()[..12].to_owned()
    }

    /// Loads every script, as a start-up check: Redis answers and can compile them.
    pub async fn load(&self, conn: &mut impl ConnectionLike) -> redis::RedisResult<()> {
        for (_, text) in &self.texts {
            load(conn, text).await?;
        }
        Ok(())
    }

    /// Calls a script on a sale's keys. After a restart or a `SCRIPT FLUSH` it is loaded anew.
    pub async fn call(
        &self,
        conn: &mut impl ConnectionLike,
        script: Script,
        keys: &Keys,
        args: impl redis::ToRedisArgs,
    ) -> Result<Vec<Value>, Failure> {
        let (hash, text) = &self.texts[script as usize];
        let mut command = redis::cmd("EVALSHA");
        command.arg(hash).arg(keys.all().len()).arg(keys.all()).arg(args);
        if let Some(replica_acks) = self.replica_acks.filter(|_| script.needs_replica_acks()) {
            return self.call_with_replica_acks(conn, command, text, keys, replica_acks).await;
        }
        run(conn, &command, text).await
    }

    /// Shows that a connection does what taps need (see `lua/probe.lua`): the calls among these that its user may not make.
    pub async fn probe(
        &self,
        conn: &mut impl ConnectionLike,
        calls: &[&str],
    ) -> Result<Vec<String>, Failure> {
        let (hash, text) = &self.texts[Script::Probe as usize];
        let mut command = redis::cmd("EVALSHA");
        command.arg(hash).arg(0).arg(calls);
        let reply = run(conn, &command, text).await?;
        let missing = reply.iter().skip(1).map(crate::store::reply::text).collect::<Option<_>>();
        missing.ok_or_else(|| Failure::unreadable("a reply of the probe that can't be read"))
    }

    /// Calls a script, and in the same write waits for replicas: for all that was written before, by whomever. So a retry that
    /// only finds what is there already waits for that as well.
    async fn call_with_replica_acks(
        &self,
        conn: &mut impl ConnectionLike,
        command: Cmd,
        text: &str,
        keys: &Keys,
        ReplicaAcks { replicas, wait }: ReplicaAcks,
    ) -> Result<Vec<Value>, Failure> {
        let mut all = redis::pipe();
        all.add_command(command).cmd("EVAL").arg(MARK).arg(1).arg(keys.definition());
        all.cmd("WAIT").arg(replicas).arg(wait.as_millis());
        let mut answers = conn.req_packed_commands(&all, 0, 3).await?;
        let is_unknown_here = matches!(answers.first(), Some(Value::ServerError(e)) if e.kind() == Some(ServerErrorKind::NoScript));
        if is_unknown_here {
            load(conn, text).await.map_err(Failure::before)?;
            answers = conn.req_packed_commands(&all, 0, 3).await?;
        }
        let (acknowledged, mark, reply) = (answers.pop(), answers.pop(), answers.pop());
        // A reply that is an error is one of Redis itself, as above.
        let reply = match reply.unwrap_or(Value::Nil).extract_error()? {
            Value::Array(reply) => reply,
            other => return Err(unreadable("a script", "a list", &shape(&other)).into()),
        };
        let reply = accept(reply)?;
        if let Err(error) = mark.unwrap_or(Value::Nil).extract_error() {
            return Err(Failure::Unknown(format!(
                "it was done, and whether replicas have it can't be told: {error}"
            )));
        }
        match acknowledged {
            Some(Value::Int(acknowledged)) if acknowledged >= i64::from(replicas) => Ok(reply),
            Some(Value::Int(acknowledged)) => Err(Failure::NotReplicated { acknowledged, wanted: replicas }),
            other => Err(unreadable("WAIT", "a number", &shape(&other.unwrap_or(Value::Nil))).into()),
        }
    }
}

/// Runs a script by its hash; one that is not known there is loaded.
async fn run(conn: &mut impl ConnectionLike, command: &Cmd, text: &str) -> Result<Vec<Value>, Failure> {
    let answer = match command.query_async(conn).await {
        Err(e) if e.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            load(conn, text).await.map_err(Failure::before)?;
            command.query_async(conn).await
        }
        other => other,
    };
    accept(list("a script", answer.map_err(Failure::from)?)?)
}

async fn load(conn: &mut impl ConnectionLike, text: &str) -> redis::RedisResult<()> {
    redis::cmd("SCRIPT").arg("LOAD").arg(text).query_async::<String>(conn).await.map(drop)
}

/// Why a script gave no answer of its own.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was changed: Redis was out of reach before sending, or refused to run the script.
    #[error("not done: {0}")]
    NotDone(String),
    /// Nothing was changed, and nothing can be over this connection: the server at its other end is a replica, or does not
    /// serve its data.
    #[error("not done: {0}")]
    WrongServer(String),
    /// It was sent, and what became of it is not known.
    #[error("no answer from Redis: {0}")]
    Unknown(String),
    /// It was done, and fewer replicas have it than must: it may be lost with the primary, so nobody is told.
    #[error(
        "it was done, but only {acknowledged} of {wanted} replicas have it in time, so that it may yet be lost: try again"
    )]
    NotReplicated {
        /// So many have it.
        acknowledged: i64,
        /// So many must.
        wanted: u16,
    },
    /// The ledger refused the caller, nothing was changed.
    #[error("{0}")]
    Refused(#[from] Refusal),
}

/// Refusals of the ledger itself, the same from every script.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// No such sale.
    #[error("the ledger has no such sale")]
    Missing,
    /// Keys of a wrong type, gone, or with a damaged field.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
    /// Another incarnation of the sale than the caller means: it was purged, imported or deleted, and made again.
    #[error("the ledger has another incarnation of the sale: {incarnation}")]
    Incarnation {
        /// The one that the ledger has.
        incarnation: String,
        /// That the sale's state was last served by.
        epoch: String,
    },
    /// Another Redis process than the one that the sale's state was last served by.
    #[error("this Redis was restarted or replaced; the ledger was served at epoch {0}")]
    Epoch(String),
    /// Older than what this gateway has seen: acknowledged changes are gone.
    #[error("the ledger is at sequence {0}, which is older than what this gateway has seen")]
    Behind(u64),
    /// Of a later format than these scripts know.
    #[error(
        "the ledger has format {0}, which a later version of the gateway has made: run that version here, too"
    )]
    Newer(u64),
    /// Another definition than the caller knows.
    #[error("the definition is at revision {0} by now")]
    Revision(u64),
}

impl Failure {
    /// What a request that was therefore certainly not carried out is counted as.
    #[must_use]
    pub fn shed(&self) -> Shed {
        match self {
            Self::NotDone(_) | Self::WrongServer(_) | Self::Unknown(_) | Self::NotReplicated { .. } => {
                Shed::Redis
            }
            Self::Refused(_) => Shed::Ledger,
        }
    }

    /// Whether the connection that it came over is of no use any more: another one may lead to the right server.
    #[must_use]
    pub fn ends_connection(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::WrongServer(_))
    }

    /// An error of what is done before a script is run.
    fn before(error: redis::RedisError) -> Self {
        match Self::from(error) {
            Self::Unknown(why) => Self::NotDone(why),
            other => other,
        }
    }

    /// A reply came that can't be read: what became of the call is not known.
    pub(crate) fn unreadable(why: impl Into<String>) -> Self {
        count_unreadable();
        Self::Unknown(why.into())
    }
}

impl From<redis::RedisError> for Failure {
    /// An error that Redis itself answered with (out of memory, loading, read-only, a wrong type
    /// found while reading) means that nothing was written: scripts check first and the write that
    /// can fail comes first. Anything else means that no answer came.
    fn from(error: redis::RedisError) -> Self {
        use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
        note(&error);
        match error.kind() {
            // Refused before anything was done.
            ErrorKind::Server(Moved | Ask | TryAgain) => Self::NotDone(format!(
                "the cluster is moving these keys to another master, where it goes on by itself ({error})"
            )),
            ErrorKind::Server(ClusterDown) => Self::NotDone(format!(
                "the cluster is down, or has no master for these keys, until one takes over ({error})"
            )),
            ErrorKind::Server(ReadOnly | MasterDown | BusyLoading) => Self::WrongServer(format!(
                "the server is not a primary that serves its data; the gateway leaves this connection and connects again ({error})"
            )),
            ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
                Self::NotDone(acl::explain(&error))
            }
            _ => Self::Unknown(error.to_string()),
        }
    }
}

/// Takes `{'ok', …}` and what a script answers of its own as they are, and the ledger's refusals out.
pub(crate) fn accept(reply: Vec<Value>) -> Result<Vec<Value>, Failure> {
    let detail = || reply.get(1).and_then(text);
    let number = || detail()?.parse().ok();
    let refusal = match reply.first().and_then(text).as_deref() {
        Some("missing") => Some(Refusal::Missing),
        Some("damaged") => detail().map(Refusal::Damaged),
        Some("incarnation") => detail()
            .zip(reply.get(2).and_then(text))
            .map(|(incarnation, epoch)| Refusal::Incarnation { incarnation, epoch }),
        Some("epoch") => detail().map(Refusal::Epoch),
        Some("behind") => number().map(Refusal::Behind),
        Some("newer") => number().map(Refusal::Newer),
        Some("revision") => number().map(Refusal::Revision),
        Some(_) => return Ok(reply),
        None => None,
    };
    let unreadable = || Failure::unreadable("a reply of a script that can't be read");
    Err(refusal.map_or_else(unreadable, Failure::Refused))
}

impl Header {
    /// Reads the second element of a reply.
    pub fn of(reply: &[Value]) -> Result<Self, Failure> {
        let line = reply.get(1).and_then(text);
        let header = line.as_deref().and_then(Self::parse);
        header.ok_or_else(|| Failure::unreadable(format!("a header that can't be read: {line:?}")))
    }

    /// Four numbers and nothing else.
    fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split(' ');
        let header = Self {
            sequence: numbers.next()?.parse().ok()?,
            time: numbers.next()?.parse().ok()?,
            sale_clock: numbers.next()?.parse().ok()?,
            // Below 0 in a ledger that has drifted, which the audit is there to tell.
            held: numbers.next()?.parse::<i64>().ok()?.unsigned_abs(),
        };
        numbers.next().is_none().then_some(header)
    }

    /// When a deadline on the sale clock is due in wall time, if the clock goes on running.
    #[must_use]
    pub fn wall_time_of(&self, deadline: i64) -> i64 {
        self.time.saturating_add(deadline.saturating_sub(self.sale_clock))
    }
}
