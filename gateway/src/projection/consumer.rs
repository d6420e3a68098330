//! The journal consumer: reads the journal of every sale and keeps the read model at one sequence.
//!
//! One read covers the journals of all sales. In a cluster a read covers one slot, so each sale has its own consumer
//! and connection, and one more task lists the sales.

mod caught_up;
mod confirmed_count;
mod discovery;
mod model_builder;
mod per_sale;
mod position;
mod preparation;
mod streams;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use caught_up::CaughtUp;
pub use model_builder::load;
pub(crate) use model_builder::scan;
use model_builder::{JournalSource, ModelBuilder, Stop};
use position::{Position, entry_at, incarnation_in};
use preparation::Preparation;
use redis::Value;
use redis::aio::ConnectionLike as _;
use streams::streams;

use crate::domain::identity::buyer_mark;
use crate::projection::read_model::{INCARNATION, ReadModel, Sales, marks_of};
use crate::projection::tail;
use crate::store::connection::{PRIMARY_CHANGED, PROBE};
use crate::store::dial::{Dial, LedgerConnection, Redis};
use crate::store::journal;
use crate::store::journal::Entry;
use crate::store::keys::{Keys, SALES};
use crate::store::outage::Outage;
use crate::store::reply::{shape, text, unreadable};
use crate::store::scripts::{Failure, Refusal, Scripts};
use crate::telemetry::uses::RedisUse;

/// How long a read waits for entries; also how soon a new sale is found.
const BLOCK_MS: u64 = 200;
/// The same while a definition is prepared.
const PREPARING_BLOCK_MS: u64 = 10;
/// A read without a reply for this long is abandoned with its connection. A gateway without entries
/// stays ready as long.
const READ_MAX: Duration = Duration::from_secs(3);
/// The most entries that one read returns of a journal.
const ENTRIES_MAX: usize = 500;
/// After entries the consumer waits for more, so that it reads a launch in few large steps.
const GATHER: Duration = Duration::from_millis(10);
/// The delay before a retry after Redis failed; jitter up to doubles it.
const RETRY: Duration = Duration::from_millis(100);

/// Follows all sales for the lifetime of the process.
pub async fn consume(
    redis: Redis,
    scripts: Arc<Scripts>,
    sales: Arc<Sales>,
    caught_up: Arc<CaughtUp>,
    uses: Arc<RedisUse>,
) {
    let all = ConsumerContext { redis, scripts, sales, caught_up, uses };
    if all.redis.is_cluster() { all.consume_each().await } else { all.consume(None).await }
}

/// What consumers share.
#[derive(Clone)]
struct ConsumerContext {
    redis: Redis,
    scripts: Arc<Scripts>,
    sales: Arc<Sales>,
    caught_up: Arc<CaughtUp>,
    uses: Arc<RedisUse>,
}

/// The one sale of a consumer in a cluster, and all sales.
struct SingleSale {
    id: String,
    listed: Rc<RefCell<HashSet<String>>>,
}

impl ConsumerContext {
    async fn consume(self, one: Option<SingleSale>) {
        let outage = Outage::of("the journal consumer can't read from Redis");
        let mut positions = HashMap::new();
        let mut refused = HashMap::new();
        let key = one.as_ref().map_or(SALES.to_owned(), |one| Keys::of(&one.id).journal().to_owned());
        loop {
            let moves = self.redis.moves();
            let error = match self.redis.dial_primary(&key, Duration::from_secs(10)).await {
                Ok(conn) => {
                    self.uses.connected();
                    let mut consumer = JournalConsumer {
                        conn,
                        shared: &self,
                        moves,
                        one: one.as_ref(),
                        positions,
                        refused,
                        preparing: HashMap::new(),
                        stuck: HashSet::new(),
                        verified: HashSet::new(),
                        probed: Instant::now(),
                    };
                    let Err(error) = consumer.run(&outage).await;
                    JournalConsumer { positions, refused, .. } = consumer;
                    error
                }
                Err(error) => error.into(),
            };
            self.uses.failed(&error);
            outage.record_failure(error);
            if let Some(one) = &one {
                // An unreachable master stops its own sales, not this gateway.
                self.caught_up.remove(&one.id);
            }
            tokio::time::sleep(RETRY + RETRY.mul_f32(fastrand::f32())).await;
        }
    }
}

struct JournalConsumer<'a> {
    conn: LedgerConnection,
    shared: &'a ConsumerContext,
    /// See [`Dial::moves`], as it was when the connection was opened.
    moves: u64,
    /// The only sale to follow; `None`: all.
    one: Option<&'a SingleSale>,
    /// The last entry that was read of each sale's journal.
    positions: HashMap<String, Position>,
    /// Sales that could not be read, and the time of the last attempt.
    refused: HashMap<String, Instant>,
    /// Definitions that another thread indexes, by sale. Their sales are followed again afterwards, the others meanwhile.
    preparing: HashMap<String, Preparation>,
    /// Sales whose journal could not be read further in this round.
    stuck: HashSet<String>,
    /// Sales whose ledger still had the followed incarnation after their journals were read in this
    /// round.
    verified: HashSet<String>,
    /// When the server was last seen to be a primary.
    probed: Instant,
}

impl JournalConsumer<'_> {
    async fn run(&mut self, outage: &Outage) -> Result<Infallible, Failure> {
        let ConsumerContext { redis, caught_up, uses, .. } = self.shared;
        let part = self.one.map_or("", |one| one.id.as_str());
        self.check_positions().await?;
        loop {
            if redis.moves() != self.moves {
                return Err(Failure::NotDone(PRIMARY_CHANGED.to_owned()));
            }
            self.probe_if_due().await?;
            self.stuck.clear();
            self.find_sales().await?;
            if self.positions.is_empty() {
                outage.record_success();
                uses.worked();
                caught_up.note_caught_up(part);
                tokio::time::sleep(Duration::from_millis(BLOCK_MS)).await;
                continue;
            }
            // The reply has everything from before the read was sent, so the read model is complete
            // as of then.
            let sent = Instant::now();
            let ids = self.positions.keys().filter(|id| !self.is_preparing(id));
            let ids: Vec<String> = ids.cloned().collect();
            if ids.is_empty() {
                tokio::time::sleep(GATHER).await;
                continue;
            }
            let news = self.read(&ids).await?;
            outage.record_success();
            uses.worked();
            let quiet = news.is_empty();
            let mut behind = HashSet::new();
            for (id, entries) in news {
                if self.stuck.contains(&id) {
                    continue;
                }
                if entries.len() == ENTRIES_MAX {
                    behind.insert(id.clone());
                }
                self.apply_entries(&id, entries).await?;
            }
            let stuck = !self.stuck.is_empty();
            for id in &ids {
                let is_whole = !behind.contains(id) && !self.preparing.contains_key(id);
                let reads_on = is_whole && !self.stuck.contains(id) && self.verified.contains(id);
                let Some(sale) = self.shared.sales.get(id).filter(|_| reads_on) else {
                    continue;
                };
                // A definition is read at a later sequence than the journal's position; until that
                // is reached the set of buyers is older than the stock.
                if self.position(id).sequence >= sale.read_model().sequence {
                    sale.set_consumer_fault(None);
                    sale.note_complete_at(sent);
                } else {
                    behind.insert(sale.id.clone());
                }
            }
            if behind.is_empty() {
                // An unreadable journal stops its own sale, not this gateway.
                caught_up.note_caught_up(part);
                if stuck {
                    // The next read would return its entries at once.
                    tokio::time::sleep(RETRY).await;
                } else if !quiet {
                    self.shared.sales.wait_for_more(GATHER).await;
                }
            }
        }
    }

    /// A replica also answers reads, and may lag, so the consumer leaves it. It stays with a
    /// primary that refuses writes for another reason.
    async fn probe_if_due(&mut self) -> Result<(), Failure> {
        if self.probed.elapsed() < PROBE {
            return Ok(());
        }
        self.probed = Instant::now();
        match self.shared.scripts.probe(&mut self.conn, &[]).await {
            Err(failure) if failure.ends_connection() => Err(failure),
            _ => Ok(()),
        }
    }

    fn is_preparing(&self, id: &str) -> bool {
        self.preparing.get(id).is_some_and(|preparation| !preparation.is_finished())
    }

    fn position(&self, id: &str) -> Position {
        self.positions.get(id).copied().unwrap_or_default()
    }

    /// Checks after a lost connection that each journal is still the one that was read. If it went
    /// back and diverged, the read model is wrong, and the sale is read again.
    async fn check_positions(&mut self) -> Result<(), Failure> {
        for (id, position) in self.positions.clone() {
            let keys = Keys::of(&id);
            let incarnation = incarnation_in(&mut self.conn, &keys).await?;
            self.compare_incarnation(&id, incarnation);
            if self.shared.sales.get(&id).is_none() {
                self.positions.remove(&id);
                continue;
            }
            let there = match entry_at(&mut self.conn, &keys, position.sequence).await {
                Err(error) if error.code() == Some("WRONGTYPE") => continue,
                other => other?,
            };
            if there != Some(position) {
                self.positions.remove(&id);
                if let Some(sale) = self.shared.sales.get(&id) {
                    let at = position.sequence;
                    sale.set_consumer_fault(Some(format!(
                        "its entry {at}-0 is missing or differs: acknowledged changes may be lost, too"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Compares the ledger's incarnation of a sale with the followed one: another sale may have its
    /// name. Without one the sale is gone or of an earlier format; the next tick resolves both.
    fn compare_incarnation(&mut self, id: &str, found: Option<String>) {
        let (Some(sale), Some(found)) = (self.shared.sales.get(id), found) else { return };
        if found == sale.incarnation() {
            self.verified.insert(id.to_owned());
            return;
        }
        sale.note_incarnation(&found);
        self.mark_stuck(
            id,
            format!(
                "the ledger went back to an earlier incarnation of the sale, {found}: acknowledged \
                    changes may be lost"
            ),
        );
    }

    /// Reads all journals once; returns entries by sale. The same write then reads each sale's
    /// incarnation: if it is the followed one, all returned entries are of it.
    async fn read(&mut self, ids: &[String]) -> Result<Vec<(String, Vec<Value>)>, Failure> {
        let keys: HashMap<String, &String> =
            ids.iter().map(|id| (Keys::of(id).journal().to_owned(), id)).collect();
        let mut command = redis::cmd("XREAD");
        // A definition that is prepared is applied soon.
        let block = if self.preparing.is_empty() { BLOCK_MS } else { PREPARING_BLOCK_MS };
        command.arg("COUNT").arg(ENTRIES_MAX).arg("BLOCK").arg(block).arg("STREAMS");
        for id in ids {
            command.arg(Keys::of(id).journal());
        }
        for id in ids {
            command.arg(format!("{}-0", self.position(id).sequence));
        }
        let mut reads = redis::pipe();
        reads.add_command(command);
        for id in ids {
            reads.cmd("HGET").arg(Keys::of(id).state()).arg(INCARNATION);
        }
        let answers = self.conn.req_packed_commands(&reads, 0, 1 + ids.len());
        let answers = tokio::time::timeout(READ_MAX, answers).await;
        let mut answers = answers.map_err(|_| Failure::Unknown("timed out".into()))??.into_iter();
        let answer = answers.next().unwrap_or(Value::Nil).extract_error();
        self.verified.clear();
        for (id, incarnation) in ids.iter().zip(answers) {
            self.compare_incarnation(id, text(&incarnation).filter(|text| !text.is_empty()));
        }
        let answer: Value = match answer {
            Err(error) if error.code() == Some("WRONGTYPE") => {
                // One damaged journal must not stop the others. The tick reports which it is.
                tokio::time::sleep(Duration::from_millis(BLOCK_MS)).await;
                return self.read_one_by_one(ids).await;
            }
            other => other?,
        };
        let found = shape(&answer);
        streams(answer, &keys).ok_or_else(|| unreadable("XREAD", "the requested journals", &found).into())
    }

    async fn read_one_by_one(&mut self, ids: &[String]) -> Result<Vec<(String, Vec<Value>)>, Failure> {
        let mut found = Vec::new();
        for id in ids {
            let from = self.position(id).sequence;
            match journal::after(&mut self.conn, &Keys::of(id), from, ENTRIES_MAX).await {
                Ok(entries) => found.push((id.clone(), entries)),
                Err(error) if error.code() == Some("WRONGTYPE") => {
                    self.mark_stuck(id, format!("{} is not a stream", Keys::of(id).journal()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// Marks this sale as stuck for now; the others continue.
    fn mark_stuck(&mut self, id: &str, why: String) {
        if let Some(sale) = self.shared.sales.get(id) {
            sale.set_consumer_fault(Some(why));
        }
        self.stuck.insert(id.to_owned());
    }

    /// Applies these entries to the read model.
    async fn apply_entries(&mut self, id: &str, entries: Vec<Value>) -> Result<(), Failure> {
        let Some(sale) = self.shared.sales.get(id).filter(|_| !entries.is_empty()) else {
            return Ok(());
        };
        let prepared = self.preparing.remove(id);
        let mut builder =
            ModelBuilder::from(ReadModel::clone(&sale.read_model()), self.position(id), prepared);
        let each = |entry: &Entry, read_model: &ReadModel| {
            sale.add_buyers(entry.buyers().filter_map(buyer_mark));
            sale.add_sign_ups(marks_of(&sale.id, entry));
            sale.note_places(entry);
            sale.note_holds(entry);
            if sale.lock_tail().note(entry) {
                tail::log_action_of_cli(&sale.id, entry);
            }
            sale.compare_counters_at(read_model);
        };
        let (scripts, keys, incarnation) = (&self.shared.scripts, &sale.keys, sale.incarnation());
        let mut journal = JournalSource { conn: &mut self.conn, scripts, keys, incarnation };
        let mut read = builder.apply_entries(&mut journal, entries, each).await;
        if matches!(read, Ok(None)) {
            read = builder.catch_up(&mut journal, each).await;
        }
        let stop = match read {
            Err(Failure::Refused(Refusal::Incarnation { incarnation, .. })) => {
                self.compare_incarnation(id, Some(incarnation));
                return Ok(());
            }
            other => other?,
        };
        let sequence = builder.read_model.sequence;
        sale.acknowledged().note_read(builder.entries);
        sale.set_read_model(builder.read_model);
        // The definition may be newer than the journal's position: until that is reached the set of
        // buyers is older.
        if builder.position.sequence >= sequence {
            sale.set_consumed_sequence(builder.position.sequence);
        }
        sale.note_read(sequence, scripts);
        self.positions.insert(id.to_owned(), builder.position);
        match stop {
            Some(Stop::Stuck(refusal)) => self.mark_stuck(id, refusal),
            Some(Stop::Preparing(preparation)) => {
                self.preparing.insert(id.to_owned(), preparation);
            }
            None => {}
        }
        Ok(())
    }
}
