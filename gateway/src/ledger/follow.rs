//! The follower: reads the journal of every sale as it grows and keeps memory true to one sequence.

mod position;
mod tally;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use position::{Position, entry_at};
use redis::Value;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use tally::{Ahead, carry_over};

use super::dial::Redis;
use super::journal::Entry;
use super::keys::{Keys, SALES};
use super::memory::{Memory, Sale, Sales};
use super::outage::Outage;
use super::scripts::{Failure, Refusal, Scripts, text, texts};
use super::{journal, snapshot, tail};
use crate::domain::identity::buyer_mark;
use crate::ops::metrics::uses::RedisUse;

/// A read waits this long for news; also how soon a new sale is found.
const BLOCK_MS: u64 = 200;
/// A read without an answer for this long is given up, and its connection with it. As long as we
/// call ourselves ready without news.
const READ_MAX: Duration = Duration::from_secs(3);
/// Entries that one read takes of a journal, at most.
const ENTRIES_MAX: usize = 500;
/// After news the follower lets more come together, so that a launch is read in few large steps.
const GATHER: Duration = Duration::from_millis(10);
/// Before it tries again after Redis failed, doubled by jitter.
const RETRY: Duration = Duration::from_millis(100);
/// Before it tries again to read a sale that could not be read whole.
const START_RETRY: Duration = Duration::from_secs(1);

/// Follows all sales for as long as the process lives.
pub async fn follow(
    redis: Redis,
    scripts: Arc<Scripts>,
    sales: Arc<Sales>,
    caught_up: Arc<CaughtUp>,
    uses: Arc<RedisUse>,
) {
    let outage = Outage::of("the follower can't read from Redis");
    let mut positions = HashMap::new();
    let mut refused = HashMap::new();
    loop {
        let error = match redis.dial_with(Duration::from_secs(10)).await {
            Ok(conn) => {
                uses.connected();
                let mut follower = Follower {
                    conn,
                    scripts: &scripts,
                    sales: &sales,
                    positions,
                    refused,
                    stuck: HashSet::new(),
                };
                let error = match follower.run(&caught_up, &outage).await {
                    Ok(never) => match never {},
                    Err(error) => error,
                };
                Follower { positions, refused, .. } = follower;
                error
            }
            Err(error) => error.into(),
        };
        uses.failed();
        outage.goes_on(error);
        tokio::time::sleep(RETRY + RETRY.mul_f32(fastrand::f32())).await;
    }
}

/// When the follower last knew all sales up to their ends.
#[derive(Debug, Default)]
pub struct CaughtUp(std::sync::Mutex<Option<Instant>>);

impl CaughtUp {
    /// How long ago that was; `None`: never yet.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).map(|at| at.elapsed())
    }

    fn now(&self) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
    }
}

struct Follower<'a> {
    conn: MultiplexedConnection,
    scripts: &'a Scripts,
    sales: &'a Sales,
    /// The last entry that was read of each sale's journal.
    positions: HashMap<String, Position>,
    /// Sales that could not be read at all, and when that was tried last.
    refused: HashMap<String, Instant>,
    /// Sales whose journal could not be read on in this round.
    stuck: HashSet<String>,
}

enum Never {}

impl Follower<'_> {
    async fn run(&mut self, caught_up: &CaughtUp, outage: &Outage) -> Result<Never, Failure> {
        self.check_positions().await?;
        loop {
            self.stuck.clear();
            self.find_sales().await?;
            outage.is_over();
            if self.positions.is_empty() {
                caught_up.now();
                tokio::time::sleep(Duration::from_millis(BLOCK_MS)).await;
                continue;
            }
            // What was there when the read was sent is in its answer, so memory is complete as of then.
            let sent = Instant::now();
            let ids: Vec<String> = self.positions.keys().cloned().collect();
            let news = self.read(&ids).await?;
            let quiet = news.is_empty();
            let mut behind = HashSet::new();
            for (id, entries) in news {
                if entries.len() == ENTRIES_MAX {
                    behind.insert(id.clone());
                }
                self.take_in(&id, &entries).await?;
            }
            let stuck = !self.stuck.is_empty();
            for id in &ids {
                let reads_on = !behind.contains(id) && !self.stuck.contains(id);
                let Some(sale) = self.sales.get(id).filter(|_| reads_on) else {
                    continue;
                };
                // A definition is read at once at a later sequence than the journal's position;
                // until that is reached the set of buyers is older than the stock.
                if self.position(id).sequence >= sale.memory().sequence {
                    sale.set_blind(None);
                    sale.complete_as_of(sent);
                } else {
                    behind.insert(sale.id.clone());
                }
            }
            if behind.is_empty() {
                // A journal that can't be read makes its own sale stand still, not this gateway.
                caught_up.now();
                if stuck {
                    // Its entries would come again at once.
                    tokio::time::sleep(RETRY).await;
                } else if !quiet {
                    tokio::time::sleep(GATHER).await;
                }
            }
        }
    }

    fn position(&self, id: &str) -> Position {
        self.positions.get(id).copied().unwrap_or_default()
    }

    /// After a connection was lost: is each journal still the one that was read so far? If it went
    /// back and then on in another way, what memory has of it is not true: it is read anew.
    async fn check_positions(&mut self) -> Result<(), Failure> {
        for (id, position) in self.positions.clone() {
            let keys = Keys::of(&id);
            let there = match entry_at(&mut self.conn, &keys, position.sequence).await {
                Err(error) if error.code() == Some("WRONGTYPE") => continue,
                other => other?,
            };
            if there != Some(position) {
                self.positions.remove(&id);
                if let Some(sale) = self.sales.get(&id) {
                    let at = position.sequence;
                    sale.set_blind(Some(format!(
                        "its entry {at}-0 is gone or another: acknowledged changes may be gone, too"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Starts to follow the sales that are new since the last time.
    async fn find_sales(&mut self) -> Result<(), Failure> {
        let ids: Vec<String> = redis::cmd("SMEMBERS").arg(SALES).query_async(&mut self.conn).await?;
        for id in ids {
            let tried = self.refused.get(&id);
            if self.positions.contains_key(&id) || tried.is_some_and(|at| at.elapsed() < START_RETRY) {
                continue;
            }
            match self.start(&id).await {
                Ok(position) => {
                    tracing::info!(sale = id, sequence = position.sequence, "following");
                    self.refused.remove(&id);
                    self.positions.insert(id, position);
                }
                // Its siblings can be followed; it is tried again with the next read.
                Err(failure @ (Failure::Refused(_) | Failure::NotDone(_))) => {
                    if self.refused.insert(id.clone(), Instant::now()).is_none() {
                        tracing::error!(sale = id, %failure, "a sale can't be followed");
                    }
                }
                Err(lost @ Failure::Unknown(_)) => return Err(lost),
            }
        }
        self.sales.set_unread(self.refused.keys().cloned().collect());
        Ok(())
    }

    /// Reads a sale whole, and all its buyers. Those who come later are in the journal.
    async fn start(&mut self, id: &str) -> Result<Position, Failure> {
        let keys = Keys::of(id);
        let (memory, buyers) = read_whole(&mut self.conn, self.scripts, &keys).await?;
        let sequence = memory.sequence;
        let known = self.sales.get(id);
        if known.as_ref().is_some_and(|sale| sequence < sale.known()) {
            return Err(Refusal::Behind(sequence).into());
        }
        let position = entry_at(&mut self.conn, &keys, sequence).await?;
        let position = position.ok_or_else(|| no_entry(&keys, sequence))?;
        let tail = tail::read(&mut self.conn, &keys, sequence).await?;
        match known {
            // Its queues and its reaper have this very one. A buyer too many costs a question to Redis.
            Some(sale) => {
                sale.set_tail(tail);
                sale.add_buyers(buyers);
                sale.set_memory(memory);
            }
            None => {
                let sale = Sale::new(id, memory, buyers);
                sale.set_tail(tail);
                self.sales.insert(Arc::new(sale));
            }
        }
        Ok(position)
    }

    /// One read of all journals: what came, by sale.
    async fn read(&mut self, ids: &[String]) -> Result<Vec<(String, Vec<Value>)>, Failure> {
        let keys: HashMap<String, &String> =
            ids.iter().map(|id| (Keys::of(id).journal().to_owned(), id)).collect();
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(ENTRIES_MAX).arg("BLOCK").arg(BLOCK_MS).arg("STREAMS");
        for id in ids {
            command.arg(Keys::of(id).journal());
        }
        for id in ids {
            command.arg(format!("{}-0", self.position(id).sequence));
        }
        let read = tokio::time::timeout(READ_MAX, command.query_async(&mut self.conn)).await;
        let answer: Value = match read.map_err(|_| Failure::Unknown("timed out".into()))? {
            Err(error) if error.code() == Some("WRONGTYPE") => {
                // One damaged journal must not blind us to the other sales. The tick says which it is.
                tokio::time::sleep(Duration::from_millis(BLOCK_MS)).await;
                return self.read_one_by_one(ids).await;
            }
            other => other?,
        };
        Ok(streams(answer)
            .into_iter()
            .filter_map(|(key, entries)| Some(((*keys.get(&key)?).clone(), entries)))
            .collect())
    }

    async fn read_one_by_one(&mut self, ids: &[String]) -> Result<Vec<(String, Vec<Value>)>, Failure> {
        let mut found = Vec::new();
        for id in ids {
            let from = self.position(id).sequence;
            match journal::after(&mut self.conn, &Keys::of(id), from, ENTRIES_MAX).await {
                Ok(entries) => found.push((id.clone(), entries)),
                Err(error) if error.code() == Some("WRONGTYPE") => {
                    self.is_stuck(id, format!("{} is no stream", Keys::of(id).journal()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// This sale can't be followed on for now; its siblings can.
    fn is_stuck(&mut self, id: &str, why: String) {
        if let Some(sale) = self.sales.get(id) {
            sale.set_blind(Some(why));
        }
        self.stuck.insert(id.to_owned());
    }

    /// Brings memory up to the last of these entries.
    async fn take_in(&mut self, id: &str, entries: &[Value]) -> Result<(), Failure> {
        let Some(sale) = self.sales.get(id).filter(|_| !entries.is_empty()) else {
            return Ok(());
        };
        let mut reading = Reading {
            memory: Memory::clone(&sale.memory()),
            position: self.position(id),
            ahead: Ahead::default(),
        };
        let each = |entry: &Entry, memory: &Memory| {
            sale.add_buyers(entry.buyers().filter_map(buyer_mark));
            sale.note_change(entry);
            sale.compare_at(memory);
        };
        let mut journal = Journal { conn: &mut self.conn, scripts: self.scripts, keys: &sale.keys };
        let mut stuck = reading.take_in(&mut journal, entries, each).await?;
        if stuck.is_none() {
            stuck = reading.catch_up(&mut journal, each).await?;
        }
        sale.set_memory(reading.memory);
        self.positions.insert(id.to_owned(), reading.position);
        if let Some(refusal) = stuck {
            self.is_stuck(id, refusal);
        }
        Ok(())
    }
}

/// Where a sale is read from.
struct Journal<'a, C> {
    conn: &'a mut C,
    scripts: &'a Scripts,
    keys: &'a Keys,
}

/// A sale while its journal is read.
struct Reading {
    memory: Memory,
    /// The last entry that was read.
    position: Position,
    ahead: Ahead,
}

impl Reading {
    /// Takes in entries, and tells each with memory after it; what was wrong with the one that ended it early, in words.
    async fn take_in<C: ConnectionLike>(
        &mut self,
        journal: &mut Journal<'_, C>,
        entries: &[Value],
        mut each: impl FnMut(&Entry, &Memory),
    ) -> Result<Option<String>, Failure> {
        let keys = journal.keys;
        for value in entries {
            let entry = Entry::parse(value);
            let entry = entry.filter(|entry| self.ahead.take_in(&mut self.memory, entry).is_some());
            let Some(entry) = entry else {
                return Ok(Some(format!("{} has an entry that can't be read", keys.journal())));
            };
            // A definition may have been read from a later sequence already: older never overwrites newer.
            if entry.sequence > self.memory.sequence {
                if entry.kind == "define" {
                    let read = snapshot::read(journal.conn, journal.scripts, keys, true).await;
                    match read.and_then(|snapshot| snapshot.into_memory(keys)) {
                        Ok(mut read) => {
                            carry_over(&self.memory, &mut read);
                            self.memory = read;
                        }
                        Err(lost @ Failure::Unknown(_)) => return Err(lost),
                        Err(failure) => return Ok(Some(failure.to_string())),
                    }
                } else {
                    apply(&mut self.memory, &entry);
                }
            }
            each(&entry, &self.memory);
            self.position = Position::of(entry.sequence, value);
        }
        Ok(None)
    }

    /// Reads on until all of memory is of one sequence: past a definition that was read later than the journal, and past
    /// records that were read later than memory.
    async fn catch_up<C: ConnectionLike>(
        &mut self,
        journal: &mut Journal<'_, C>,
        mut each: impl FnMut(&Entry, &Memory),
    ) -> Result<Option<String>, Failure> {
        while self.position.sequence < self.memory.sequence.max(self.ahead.until()) {
            let from = self.position.sequence;
            let entries = journal::after(journal.conn, journal.keys, from, ENTRIES_MAX).await?;
            if entries.is_empty() {
                return Ok(Some(no_entry(journal.keys, from + 1).to_string()));
            }
            if let Some(why) = self.take_in(journal, &entries, &mut each).await? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }
}

fn no_entry(keys: &Keys, sequence: u64) -> Refusal {
    Refusal::Damaged(format!("{} has no entry {sequence}-0", keys.journal()))
}

/// Reads a sale whole. It stays as it was at that sequence until a follower takes it on.
pub async fn load(conn: &mut impl ConnectionLike, scripts: &Scripts, id: &str) -> Result<Sale, Failure> {
    let (memory, buyers) = read_whole(conn, scripts, &Keys::of(id)).await?;
    Ok(Sale::new(id, memory, buyers))
}

/// What a sale is at one sequence, and all its buyers until then; later ones may be among them.
async fn read_whole(
    conn: &mut impl ConnectionLike,
    scripts: &Scripts,
    keys: &Keys,
) -> Result<(Memory, HashSet<u64>), Failure> {
    let mut memory = snapshot::read(conn, scripts, keys, true).await?.into_memory(keys)?;
    let (mut buyers, mut ahead) = (HashSet::new(), Ahead::default());
    let mut cursor = 0_u64;
    loop {
        let (next, fields) = scan(conn, keys.records(), cursor).await?;
        for pair in fields.chunks_exact(2) {
            // A scan may come by a field twice.
            if buyer_mark(&pair[0]).is_some_and(|buyer| buyers.insert(buyer)) {
                ahead.count(&mut memory, &pair[0], &pair[1]);
            }
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    let position = Position::at(memory.sequence);
    let mut reading = Reading { memory, position, ahead };
    let mut journal = Journal { conn, scripts, keys };
    let each = |entry: &Entry, _: &Memory| buyers.extend(entry.buyers().filter_map(buyer_mark));
    match reading.catch_up(&mut journal, each).await? {
        Some(why) => Err(Refusal::Damaged(why).into()),
        None => Ok((reading.memory, buyers)),
    }
}

/// Every entry says what is left after it, so that applying it is an assignment.
fn apply(memory: &mut Memory, entry: &Entry) {
    memory.sequence = entry.sequence;
    memory.counts = entry.counts;
    for (item, left) in entry.stock() {
        if let Some(place) = memory.catalogue.place(item) {
            memory.free[place] = left;
        }
    }
    match entry.kind.as_str() {
        "pause" => memory.levers.paused = true,
        "resume" => memory.levers.paused = false,
        "freeze" => memory.levers.frozen = true,
        "unfreeze" => memory.levers.frozen = false,
        "close" => memory.levers.closed = true,
        "restock" => {
            for (item, total) in entry.totals() {
                if let (Some(place), super::journal::Total::Of(total)) =
                    (memory.catalogue.place(&item), total)
                {
                    Arc::make_mut(&mut memory.totals)[place] = Some(total);
                }
            }
        }
        _ => {}
    }
}

fn streams(answer: Value) -> Vec<(String, Vec<Value>)> {
    let Value::Array(streams) = answer else {
        return Vec::new();
    };
    let stream = |value: Value| match value {
        Value::Array(mut pair) => match (pair.pop(), pair.pop()) {
            (Some(Value::Array(entries)), Some(key)) => Some((text(&key), entries)),
            _ => None,
        },
        _ => None,
    };
    streams.into_iter().filter_map(stream).collect()
}

/// One step over a hash: the next cursor, and fields and values in turn.
pub(super) async fn scan(
    conn: &mut impl ConnectionLike,
    key: &str,
    cursor: u64,
) -> redis::RedisResult<(u64, Vec<String>)> {
    let (next, flat): (u64, Value) =
        redis::cmd("HSCAN").arg(key).arg(cursor).arg("COUNT").arg(1000).query_async(conn).await?;
    Ok((next, texts(&flat)))
}
