//! The Lua scripts of sales: how their text is composed, and how one is called.

mod replicas;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, ServerErrorKind, Value};

use crate::domain::decision::{Header, Shed};
use crate::store::acl;
use crate::store::keys::Keys;
use crate::store::reply::{count_unreadable, list, note};
pub use crate::store::reply::{text, texts};
pub use replicas::ReplicaAcks;

/// The clock of the released binary. Tests replace it.
pub const REAL_CLOCK: &str = include_str!("lua/now.lua");
const LEDGER: &str = include_str!("lua/ledger.lua");
const LEASE: &str = include_str!("lua/lease.lua");

/// The flags of a script. Without `allow-oom` it is refused at `maxmemory`.
const DENY_OOM: &str = "#!lua\n";
const ALLOW_OOM: &str = "#!lua flags=allow-oom\n";
const READ_ONLY: &str = "#!lua flags=no-writes,allow-oom\n";

macro_rules! scripts {
    ($($name:ident, $($file:literal)+, $flags:ident, $doc:literal;)*) => {
        /// One of the ledger's scripts; each file begins with its contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Script { $(#[doc = $doc] $name,)* }

        const ALL: &[(&str, &str)] = &[$(($flags, concat!($(include_str!(concat!("lua/", $file))),+)),)*];
    };
}

scripts! {
    Reserve, "open.lua" "reserve.lua", DENY_OOM, "Decides a batch of taps.";
    Amend, "places.lua" "grants.lua" "open.lua" "amend.lua", DENY_OOM, "Changes what a reservation contains.";
    Confirm, "places.lua" "grants.lua" "open.lua" "confirm.lua", ALLOW_OOM, "Confirms a paid hold.";
    Cancel, "places.lua" "grants.lua" "open.lua" "cancel.lua", ALLOW_OOM, "Ends a reservation.";
    Tick, "open.lua" "tick.lua", ALLOW_OOM, "Advances the sale clock.";
    Expire, "places.lua" "grants.lua" "sweep.lua" "open.lua" "expire.lua", ALLOW_OOM, "One bounded sweep of holds that are due.";
    Apply, "places.lua" "grants.lua" "apply.lua", DENY_OOM, "Applies a definition.";
    Restock, "places.lua" "grants.lua" "open.lua" "restock.lua", DENY_OOM, "Sets the total of an item.";
    OperatorAction, "open.lua" "operator_action.lua", ALLOW_OOM, "Pause, resume, freeze, unfreeze, close; suspend and resume grants.";
    Replay, "draws.lua" "places.lua" "grants.lua" "sweep.lua" "replay.lua", ALLOW_OOM, "Replays changes that Redis lost.";
    Adopt, "adopt.lua", ALLOW_OOM, "Adopts the epoch of a restarted Redis.";
    Purge, "open.lua" "purge.lua", ALLOW_OOM, "Removes a sale permanently.";
    Snapshot, "snapshot.lua", READ_ONLY, "Reads a sale at one sequence.";
    Reservations, "reservations.lua", READ_ONLY, "Reads one buyer's record.";
    SignUp, "signups.lua" "open.lua" "sign_up.lua", DENY_OOM, "Signs up a batch of buyers.";
    Withdraw, "signups.lua" "open.lua" "withdraw.lua", ALLOW_OOM, "Withdraws a buyer's sign-up.";
    ReadSignup, "draws.lua" "signups.lua" "signup.lua", READ_ONLY, "Reads a buyer's sign-up.";
    FixEntrants, "signups.lua" "open.lua" "entrants.lua", ALLOW_OOM, "Fixes the entrants of a draw.";
    Draw, "open.lua" "draw.lua", ALLOW_OOM, "Stores reveal, beacon and seed of a draw.";
    Allocate, "draws.lua" "places.lua" "open.lua" "allocate.lua", DENY_OOM, "Allocates to a batch of entrants in order of rank.";
    Join, "places.lua" "grants.lua" "open.lua" "join.lua", DENY_OOM, "Lets a batch of buyers join standby queues.";
    Leave, "places.lua" "open.lua" "leave.lua", ALLOW_OOM, "Takes a buyer out of the standby queue.";
    Grant, "places.lua" "grants.lua" "open.lua" "grant.lua", ALLOW_OOM, "Grants what is set aside.";
    Probe, "probe.lua", ALLOW_OOM, "Checks that a connection can do what taps need.";
}

/// All scripts with their hashes, ready to be called.
#[derive(Debug)]
pub struct Scripts {
    texts: Vec<(String, String)>,
    /// The only one that is not about the ledger but goes by its clock.
    lease: redis::Script,
    replica_acks: Option<ReplicaAcks>,
}

impl Script {
    /// Whether its reply leads to an acknowledgement. A tick and a sweep do not, a snapshot shows
    /// changes of others, and recovery repeats until it succeeds.
    fn needs_replica_acks(self) -> bool {
        !matches!(
            self,
            Self::Tick
                | Self::Expire
                | Self::Grant
                | Self::FixEntrants
                | Self::Allocate
                | Self::Snapshot
                | Self::Replay
                | Self::Adopt
                | Self::Probe
        )
    }
}

impl Scripts {
    /// Composes the scripts. `clock` is Lua that defines `now()`: [`REAL_CLOCK`] outside of tests.
    pub fn new(clock: &str) -> Self {
        let texts = ALL
            .iter()
            .map(|(flags, body)| {
                let text = format!("{flags}{clock}\n{LEDGER}\n{body}");
                let hash = redis::Script::new(&text).get_hash().to_owned();
                (hash, text)
            })
            .collect();
        let lease = redis::Script::new(&format!("{ALLOW_OOM}{clock}\n{LEASE}"));
        Self { texts, lease, replica_acks: None }
    }

    /// Requires replica acknowledgements.
    pub fn with_replica_acks(self, replica_acks: Option<ReplicaAcks>) -> Self {
        Self { replica_acks, ..self }
    }

    /// Whether replies need replica acknowledgements.
    pub fn wait_for_replicas(&self) -> bool {
        self.replica_acks.is_some()
    }

    /// The script of the leases of the journal's readers.
    pub(crate) fn lease(&self) -> &redis::Script {
        &self.lease
    }

    /// The hash of each script, which calls it.
    pub fn hashes(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|(hash, _)| hash.as_str())
    }

    /// A digest of all scripts: equal for gateways with the same scripts.
    pub fn digest(&self) -> String {
        let hashes: Vec<&str> = self.hashes().collect();
        redis::Script::new(&hashes.join(" ")).get_hash()[..12].to_owned()
    }

    /// Loads every script, as a start-up check that Redis can compile them.
    pub async fn load(&self, conn: &mut impl ConnectionLike) -> redis::RedisResult<()> {
        for (_, text) in &self.texts {
            load(conn, text).await?;
        }
        Ok(())
    }

    /// Calls a script on a sale's keys. After a restart or a `SCRIPT FLUSH` it loads the script
    /// again.
    pub async fn call(
        &self,
        conn: &mut impl ConnectionLike,
        script: Script,
        keys: &Keys,
        args: impl redis::ToRedisArgs,
    ) -> Result<Vec<Value>, Failure> {
        let (command, text) = self.command(script, keys.all(), args);
        if let Some(replica_acks) = self.replica_acks.filter(|_| script.needs_replica_acks()) {
            return self.call_with_replica_acks(conn, command, text, keys, replica_acks).await;
        }
        run(conn, &command, text).await
    }

    /// Checks that a connection can do what taps need (see `lua/probe.lua`); returns the calls that
    /// its user may not make.
    pub async fn probe(
        &self,
        conn: &mut impl ConnectionLike,
        calls: &[&str],
    ) -> Result<Vec<String>, Failure> {
        let (command, script) = self.command(Script::Probe, &[], calls);
        let reply = run(conn, &command, script).await?;
        let missing = reply.iter().skip(1).map(text).collect::<Option<_>>();
        missing.ok_or_else(|| Failure::unreadable("a reply of the probe that can't be read"))
    }

    /// The call of a script by its hash, and the script's text.
    fn command(&self, script: Script, keys: &[String], args: impl redis::ToRedisArgs) -> (Cmd, &str) {
        let (hash, text) = &self.texts[script as usize];
        let mut command = redis::cmd("EVALSHA");
        command.arg(hash).arg(keys.len()).arg(keys).arg(args);
        (command, text)
    }
}

/// Runs a script by its hash; loads it first if Redis lacks it.
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

/// Why a script returned no reply of its own.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was changed: Redis was unreachable before sending, or refused to run the script.
    #[error("not done: {0}")]
    NotDone(String),
    /// Nothing was changed, and this connection is useless: its server is a replica, or does not
    /// serve its data.
    #[error("not done: {0}")]
    WrongServer(String),
    /// It was sent, and its outcome is unknown.
    #[error("no answer from Redis: {0}")]
    Unknown(String),
    /// It was done, but too few replicas have it: it may be lost with the primary, so it must not
    /// be acknowledged.
    #[error(
        "it was done, but only {acknowledged} of {wanted} replicas have it in time, so that it may yet be lost: try again"
    )]
    NotReplicated {
        /// Replicas that acknowledged.
        acknowledged: i64,
        /// Replicas that are required.
        wanted: u16,
    },
    /// The ledger refused the caller; nothing was changed.
    #[error("{0}")]
    Refused(#[from] Refusal),
}

/// Refusals of the ledger, common to all scripts.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// The ledger has no such sale.
    #[error("the ledger has no such sale")]
    Missing,
    /// Keys are of a wrong type, missing, or have a damaged field.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
    /// The ledger has another incarnation of the sale: it was purged, imported or deleted, and made
    /// again.
    #[error("the ledger has another incarnation of the sale: {incarnation}")]
    Incarnation {
        /// The ledger's incarnation.
        incarnation: String,
        /// The epoch in the sale's state.
        epoch: String,
    },
    /// The connected Redis has another epoch than the sale's state: a fencing failure.
    #[error("this Redis was restarted or replaced; the ledger was served at epoch {0}")]
    Epoch(String),
    /// The ledger is older than what this gateway has seen: acknowledged changes are lost.
    #[error("the ledger is at sequence {0}, which is older than what this gateway has seen")]
    Behind(u64),
    /// The ledger has a later format than these scripts.
    #[error(
        "the ledger has format {0}, which a later version of the gateway has made: run that version here, too"
    )]
    Newer(u64),
    /// The ledger has another revision of the definition.
    #[error("the definition is at revision {0} by now")]
    Revision(u64),
}

impl Failure {
    /// The metric's reason for a request that was therefore not carried out.
    pub fn shed(&self) -> Shed {
        match self {
            Self::NotDone(_) | Self::WrongServer(_) | Self::Unknown(_) | Self::NotReplicated { .. } => {
                Shed::Redis
            }
            Self::Refused(_) => Shed::Ledger,
        }
    }

    /// Whether its connection is useless: another one may lead to the right server.
    pub fn ends_connection(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::WrongServer(_))
    }

    /// The failure for an error before the script runs.
    fn before(error: redis::RedisError) -> Self {
        match Self::from(error) {
            Self::Unknown(why) => Self::NotDone(why),
            other => other,
        }
    }

    /// The failure for an unreadable reply: the outcome of the call is unknown.
    pub(crate) fn unreadable(why: impl Into<String>) -> Self {
        count_unreadable();
        Self::Unknown(why.into())
    }
}

impl From<redis::RedisError> for Failure {
    /// Converts an error. An error reply of Redis (out of memory, loading, read-only, wrong type)
    /// means that nothing was written: scripts check first, and the write that can fail comes
    /// first. Anything else means that there was no reply.
    fn from(error: redis::RedisError) -> Self {
        use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
        note(&error);
        match error.kind() {
            // Refused before execution.
            ErrorKind::Server(Moved | Ask | TryAgain) => Self::NotDone(format!(
                "the cluster is moving these keys to another master; the sale continues there by itself \
                    ({error})"
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

/// Passes `{'ok', …}` and a script's own replies on, and extracts the ledger's refusals.
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
    /// Parses the second element of a reply.
    pub fn of(reply: &[Value]) -> Result<Self, Failure> {
        let line = reply.get(1).and_then(text);
        let header = line.as_deref().and_then(Self::parse);
        header.ok_or_else(|| Failure::unreadable(format!("a header that can't be read: {line:?}")))
    }

    /// Parses exactly four numbers.
    fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split(' ');
        let mut next = || numbers.next();
        let (sequence, time, sale_clock) =
            (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
        // Below 0 in a drifted ledger, which the audit reports.
        let held = next()?.parse::<i64>().ok()?.unsigned_abs();
        next().is_none().then_some(Self { sequence, time, sale_clock, held })
    }

    /// The wall time of a deadline on the sale clock, if the clock keeps running.
    pub fn wall_time_of(&self, deadline: i64) -> i64 {
        self.time.saturating_add(deadline.saturating_sub(self.sale_clock))
    }
}
