//! What ops do to a sale: apply a definition, restock, pull levers, look. For the admin API and the CLI alike.

mod differences;

use std::sync::Arc;

use differences::{locked_differences, stock_differences};
use redis::Value;
use redis::aio::ConnectionLike;

use super::dial::run_id;
use super::heal::Told;
use super::journal::{self, Cursor, Entry};
use super::keys::{Keys, SALES};
use super::lane::MOVED;
use super::memory::Sales;
use super::scripts::{Failure, Header, Refusal, Script, Scripts, text, texts};
use super::snapshot::{self, Snapshot};
use super::{Pool, checkout};
use crate::domain::definition::Definition;
use crate::domain::identity::buyer_part;
pub use crate::domain::lever::Lever;
use crate::domain::reservation::{Reservation, parse_record};

/// How often applying is tried while others apply, too.
const APPLY_TRIES: usize = 5;

/// Who does it, and why. Both go into the journal.
#[derive(Debug, Clone)]
pub struct By {
    /// The name of the ops token, or the user of the CLI.
    pub who: String,
    /// In words.
    pub reason: Option<String>,
}

impl By {
    /// As the scripts take them.
    pub(super) fn args(&self) -> [String; 2] {
        [self.who.clone(), self.reason.clone().filter(|r| !r.is_empty()).unwrap_or_else(|| "-".into())]
    }
}

/// What became of applying a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// A new sale.
    Created,
    /// The sale has this revision now.
    Updated(u64),
    /// It already was so.
    Unchanged(u64),
    /// These fields can't change any more.
    Locked(Vec<String>),
    /// These items were taken and can't be removed.
    ItemTaken(Vec<String>),
    /// More is taken of these items than their new total.
    StockTaken(Vec<(String, u64)>),
}

/// What became of a restock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restocked {
    /// The item has this total, and so much free.
    Done {
        /// The total now.
        total: i64,
        /// What is left of it.
        free: i64,
    },
    /// The sale has no such item.
    UnknownItem,
    /// The item has no limit.
    NoLimit,
    /// It is neither what it was nor what it shall be.
    Changed {
        /// The total as it is.
        total: i64,
    },
    /// More is taken.
    Taken {
        /// How much.
        taken: i64,
    },
}

/// What a call tells ops of, if it has changed something.
#[derive(Clone, Copy)]
struct Tells<'a> {
    /// As in the journal.
    kind: &'static str,
    /// What else its entry says, besides who did it and why.
    fields: &'a [(&'static str, String)],
    by: &'a By,
    has_changed: fn(&[Value]) -> bool,
}

/// A way into the ledger for ops.
#[derive(Clone)]
pub struct Admin {
    pool: Pool,
    scripts: Arc<Scripts>,
    /// What this process follows; empty for the CLI.
    sales: Arc<Sales>,
}

impl Admin {
    /// Over a pool of connections.
    #[must_use]
    pub fn new(pool: Pool, scripts: Arc<Scripts>, sales: Arc<Sales>) -> Self {
        Self { pool, scripts, sales }
    }

    /// The pool, for audits.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The scripts, for audits.
    #[must_use]
    pub fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    fn known(&self, sale: &str) -> String {
        self.sales.get(sale).map_or(0, |sale| sale.known()).to_string()
    }

    pub(super) async fn call(
        &self,
        script: Script,
        sale: &str,
        args: impl IntoIterator<Item = String>,
    ) -> Result<Vec<Value>, Failure> {
        self.call_told(script, sale, args, None).await
    }

    /// Calls a script, and keeps the change that ops are about to be told of, if `told` finds one in the reply.
    async fn call_told(
        &self,
        script: Script,
        sale: &str,
        args: impl IntoIterator<Item = String>,
        told: Option<Tells<'_>>,
    ) -> Result<Vec<Value>, Failure> {
        let keys = Keys::of(sale);
        let mut conn = checkout(&self.pool, keys.state()).await?;
        let run_id = run_id(&mut conn).await.map_err(|e| Failure::NotDone(e.to_string()))?;
        let args: Vec<String> = [run_id.clone(), self.known(sale)].into_iter().chain(args).collect();
        let reply = self.scripts.call(&mut conn, script, &keys, &args).await?;
        match told {
            Some(told) if (told.has_changed)(&reply) && !self.keep(sale, &run_id, &reply, told) => {
                Err(Failure::Unknown(MOVED.to_owned()))
            }
            _ => Ok(reply),
        }
    }

    /// Keeps a change; `false`: it must not be told. The CLI keeps nothing: it ends.
    fn keep(&self, sale: &str, run_id: &str, reply: &[Value], told: Tells<'_>) -> bool {
        let Tells { kind, fields, by, .. } = told;
        if let (Some(sale), Ok(header)) = (self.sales.get(sale), Header::of(reply)) {
            let [who, reason] = by.args();
            let fields = fields.iter().cloned().chain([("who", who), ("reason", reason)]);
            let fields = fields.flat_map(|(name, value)| [name.to_owned(), value]).collect();
            let (sequence, at, clock) = (header.sequence, header.time, header.sale_clock);
            if !sale.kept().tell(run_id, Told { sequence, kind, at, clock, fields, rows: String::new() }) {
                return false;
            }
            sale.saw(sequence);
        }
        true
    }

    /// All sale ids, sorted.
    pub async fn list(&self) -> Result<Vec<String>, Failure> {
        let mut conn = checkout(&self.pool, SALES).await?;
        let mut ids: Vec<String> = redis::cmd("SMEMBERS").arg(SALES).query_async(&mut conn).await?;
        ids.sort();
        Ok(ids)
    }

    /// A sale with its definition, at one sequence.
    pub async fn show(&self, sale: &str) -> Result<(Snapshot, Definition), Failure> {
        let keys = Keys::of(sale);
        let mut conn = checkout(&self.pool, keys.state()).await?;
        let snapshot = snapshot::read(&mut conn, &self.scripts, &keys, true).await?;
        let definition = snapshot.parse_definition(&keys)?;
        Ok((snapshot, definition))
    }

    /// Creates a sale or changes it by what differs. Harmless when repeated.
    pub async fn apply(&self, definition: &Definition, by: &By) -> Result<Applied, Failure> {
        let sale = &definition.sale.id;
        let mut outcome = Err(Failure::NotDone("others are changing this definition all the time".into()));
        for _ in 0..APPLY_TRIES {
            outcome = match self.show(sale).await {
                Ok((snapshot, before)) => {
                    let revision = snapshot.number("revision").unsigned_abs();
                    if before == *definition {
                        Ok(Applied::Unchanged(revision))
                    } else {
                        self.apply_over(Some(&before), revision, definition, by).await
                    }
                }
                Err(Failure::Refused(Refusal::Missing)) => self.apply_over(None, 0, definition, by).await,
                Err(failure) => Err(failure),
            };
            if !matches!(outcome, Err(Failure::Refused(Refusal::Revision(_) | Refusal::Missing))) {
                break;
            }
        }
        if matches!(outcome, Ok(Applied::Created | Applied::Updated(_) | Applied::Unchanged(_))) {
            // Repeated with every apply, so that a crash between the two steps is mended by the next.
            let mut conn = checkout(&self.pool, SALES).await?;
            redis::cmd("SADD").arg(SALES).arg(sale).query_async::<i64>(&mut conn).await?;
        }
        outcome
    }

    async fn apply_over(
        &self,
        before: Option<&Definition>,
        revision: u64,
        after: &Definition,
        by: &By,
    ) -> Result<Applied, Failure> {
        let terms = &after.sale;
        let locked = before.map(|before| locked_differences(before, after)).unwrap_or_default();
        let mut args = vec![
            revision.to_string(),
            after.to_json(),
            terms.opens_at.as_millisecond().to_string(),
            terms.closes_at.as_millisecond().to_string(),
            terms.hold_ms.to_string(),
            terms.grace_ms.to_string(),
            terms.per_buyer.to_string(),
            terms.attempts.to_string(),
            if locked.is_empty() { "-".into() } else { locked.join(",") },
        ];
        args.extend(by.args());
        args.extend(stock_differences(before, after));
        let told = Tells {
            kind: "define",
            fields: &[("revision", (revision + 1).to_string())],
            by,
            has_changed: |reply| reply.first().map(text).as_deref() == Some("ok"),
        };
        let reply = self.call_told(Script::Apply, &terms.id, args, Some(told)).await?;
        let rest = || texts(&Value::Array(reply[1..].to_vec()));
        Ok(match text(&reply[0]).as_str() {
            "ok" if before.is_none() => Applied::Created,
            "ok" => Applied::Updated(revision + 1),
            "locked" => Applied::Locked(rest()),
            "item-taken" => Applied::ItemTaken(rest()),
            "stock-taken" => {
                let pair = |pair: &[String]| (pair[0].clone(), pair[1].parse().unwrap_or_default());
                Applied::StockTaken(rest().chunks_exact(2).map(pair).collect())
            }
            other => {
                return Err(Failure::Unknown(format!("an answer that can't be read: {other:?}")));
            }
        })
    }

    /// Sets the total of an item that was `was`.
    pub async fn restock(
        &self,
        sale: &str,
        item: &str,
        total: u64,
        was: u64,
        by: &By,
    ) -> Result<Restocked, Failure> {
        let args = [item.to_owned(), total.to_string(), was.to_string()].into_iter().chain(by.args());
        let told = Tells {
            kind: "restock",
            fields: &[("item", item.to_owned()), ("total", total.to_string()), ("was", was.to_string())],
            by,
            has_changed: |reply| reply.get(4).map(text).as_deref() == Some("1"),
        };
        let reply = self.call_told(Script::Restock, sale, args, Some(told)).await?;
        let number = |at: usize| reply.get(at).map(text).and_then(|n| n.parse().ok()).unwrap_or_default();
        Ok(match text(&reply[0]).as_str() {
            "ok" => Restocked::Done { total: number(2), free: number(3) },
            "unknown-item" => Restocked::UnknownItem,
            "no-limit" => Restocked::NoLimit,
            "stock-changed" => Restocked::Changed { total: number(1) },
            "stock-taken" => Restocked::Taken { taken: number(1) },
            other => {
                return Err(Failure::Unknown(format!("an answer that can't be read: {other:?}")));
            }
        })
    }

    /// Pulls a lever; `true` if that changed something.
    pub async fn pull(&self, sale: &str, lever: Lever, by: &By) -> Result<bool, Failure> {
        let args = [lever.word().to_owned()].into_iter().chain(by.args());
        let has_changed = |reply: &[Value]| reply.get(2).map(text).as_deref() == Some("1");
        let told = Tells { kind: lever.word(), fields: &[], by, has_changed };
        let reply = self.call_told(Script::Lever, sale, args, Some(told)).await?;
        Ok(has_changed(&reply))
    }

    /// A buyer's reservations and the journal's lines about them, at one sequence.
    pub async fn buyer(
        &self,
        sale: &str,
        sub: &str,
    ) -> Result<(Vec<Reservation>, Header, Vec<serde_json::Value>), Failure> {
        let keys = Keys::of(sale);
        let mut conn = checkout(&self.pool, keys.state()).await?;
        let part = buyer_part(sale, sub);
        let reply = self.scripts.call(&mut conn, Script::Reservations, &keys, &[&part]).await?;
        let header = Header::of(&reply)?;
        let grace: i64 = reply.get(2).and_then(|v| text(v).parse().ok()).unwrap_or_default();
        let record = reply.get(3).map(text).unwrap_or_default();
        let damaged = || Refusal::Damaged(format!("{} has no reservations in field {part}", keys.records()));
        let mut reservations =
            if record.is_empty() { Vec::new() } else { parse_record(&part, &record).ok_or_else(damaged)? };
        let mut changes: Vec<u64> = reservations.iter().flat_map(|r| r.changes.iter().copied()).collect();
        changes.sort_unstable();
        changes.dedup();
        let mut lines = Vec::new();
        for sequence in changes {
            lines.extend(lines_of(&mut conn, &keys, sale, sequence, sub).await?);
        }
        for reservation in &mut reservations {
            reservation.state = reservation.state_at(header.sale_clock, grace);
        }
        Ok((reservations, header, lines))
    }

    /// The journal's lines after a cursor: those of up to `entries` entries.
    pub async fn journal(
        &self,
        sale: &str,
        cursor: Cursor,
        entries: usize,
    ) -> Result<Vec<(Cursor, serde_json::Value)>, Failure> {
        let keys = Keys::of(sale);
        let mut conn = checkout(&self.pool, keys.journal()).await?;
        journal::lines_after(&mut conn, &keys, sale, cursor, entries).await
    }

    /// Whether there is such a sale.
    pub async fn exists(&self, sale: &str) -> Result<bool, Failure> {
        let keys = Keys::of(sale);
        let mut conn = checkout(&self.pool, keys.state()).await?;
        Ok(redis::cmd("EXISTS").arg(keys.state()).query_async(&mut conn).await?)
    }
}

async fn lines_of(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    sale: &str,
    sequence: u64,
    sub: &str,
) -> Result<Vec<serde_json::Value>, Failure> {
    let found = journal::after(conn, keys, sequence.saturating_sub(1), 1).await?;
    let Some(value) = found.first() else {
        return Ok(Vec::new());
    };
    let entry = Entry::parse(value).ok_or_else(|| journal::unreadable(keys, value))?;
    if entry.sequence != sequence {
        return Ok(Vec::new());
    }
    let lines = entry.lines(sale).ok_or_else(|| journal::unreadable(keys, value))?;
    Ok(lines.into_iter().map(|(_, line)| line).filter(|line| line["buyer"] == sub).collect())
}
