//! Admin operations on a sale for the admin API and the CLI: apply, restock, operator actions,
//! queries.

mod buyer;
mod differences;
mod draw;
mod feed;
mod history;
mod outcomes;
mod readers;

use std::sync::Arc;

pub use buyer::BuyerHistory;
use differences::{draw_differences, locked_differences, stock_differences};
pub use draw::LATE_DRAW;
use feed::PricedBy;
pub use feed::{Fence, JournalPage, JournalRead};
pub use outcomes::{ApplyOutcome, DrawOutcome, Performed, RestockOutcome};
pub use readers::{ForgetOutcome, LeaseCall, LeaseOutcome, LeaseStatus, ReaderLease};
use redis::{Cmd, FromRedisValue, Value};

use crate::domain::decision::Header;
use crate::domain::definition::{Definition, Sells, SignupTerms};
pub use crate::domain::operator_action::OperatorAction;
use crate::domain::sale::LedgerStop;
use crate::manage::archive;
use crate::manage::audit::{self, AuditReport};
use crate::projection::acknowledged::Acknowledged;
use crate::projection::read_model::{Sale, Sales, ledger_identity, new_incarnation};
use crate::projection::snapshot::{self, Snapshot};
use crate::store::connection::PRIMARY_CHANGED;
use crate::store::dial::read_run_id;
use crate::store::keys::{Keys, SALES};
use crate::store::reply::{list_of_texts, text};
use crate::store::scripts::{Failure, Refusal, Script, Scripts};
use crate::store::{Connection, Pool, checkout};

/// How many times `apply` retries against concurrent ones.
const APPLY_TRIES: usize = 5;

/// The operator and the reason of a change; both go into the journal.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Name of the ops token, or user of the CLI.
    pub who: String,
    /// The operator's reason.
    pub reason: Option<String>,
}

impl Actor {
    /// The arguments for the scripts.
    pub(crate) fn args(&self) -> [String; 2] {
        [self.who.clone(), self.reason.clone().filter(|r| !r.is_empty()).unwrap_or_else(|| "-".into())]
    }
}

/// A sale with its definition, at one sequence.
#[derive(Debug)]
pub struct ShownSale {
    /// Its state and stock.
    pub snapshot: Snapshot,
    /// The definition as last applied.
    pub definition: Definition,
    /// What keeps the ledger from serving it.
    pub stop: Option<LedgerStop>,
}

/// A change that a call may have made, for the acknowledgement buffer.
#[derive(Clone, Copy)]
pub(crate) struct AcknowledgedChange<'a> {
    /// The kind of its journal entry.
    kind: &'static str,
    /// Other fields of its entry, besides operator and reason.
    fields: &'a [(&'static str, String)],
    by: &'a Actor,
    has_changed: fn(&[Value]) -> bool,
}

/// Access to the ledger for ops.
#[derive(Clone)]
pub struct Admin {
    pool: Pool,
    pub(crate) scripts: Arc<Scripts>,
    /// The sales that this process follows; empty for the CLI.
    sales: Arc<Sales>,
    priced_by: PricedBy,
}

impl Admin {
    /// Makes it over a pool of connections.
    pub fn new(pool: Pool, scripts: Arc<Scripts>, sales: Arc<Sales>) -> Self {
        Self { pool, scripts, sales, priced_by: PricedBy::default() }
    }

    /// The pool.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The keys of a sale, and a connection to them.
    pub(crate) async fn open(&self, sale: &str) -> Result<(Keys, Connection), Failure> {
        let keys = Keys::of(sale);
        let conn = checkout(&self.pool, keys.state()).await?;
        Ok((keys, conn))
    }

    /// The incarnation of a sale in the ledger, and its sequence.
    pub async fn look(&self, sale: &str) -> Result<(String, u64), Failure> {
        let (keys, mut conn) = self.open(sale).await?;
        snapshot::look(&mut conn, &self.scripts, &keys).await
    }

    /// Calls a script on the sale's latest incarnation.
    async fn call_latest(
        &self,
        script: Script,
        sale: &str,
        args: Vec<String>,
        change: AcknowledgedChange<'_>,
    ) -> Result<Vec<Value>, Failure> {
        let known = self.sales.get(sale).map(|sale| sale.incarnation().to_owned());
        if let Some(incarnation) = known {
            match self.call(script, sale, &incarnation, args.clone(), Some(change)).await {
                // The sale was replaced, and this gateway had not noticed yet.
                Err(Failure::Refused(Refusal::Incarnation { .. })) if self.sales.get(sale).is_none() => {}
                other => return other,
            }
        }
        let (incarnation, _) = self.look(sale).await?;
        self.call(script, sale, &incarnation, args, Some(change)).await
    }

    /// Calls a script on this incarnation of a sale, and buffers the change that the response
    /// acknowledges, if `change` finds one in the reply.
    pub(crate) async fn call(
        &self,
        script: Script,
        sale: &str,
        incarnation: &str,
        args: impl IntoIterator<Item = String>,
        change: Option<AcknowledgedChange<'_>>,
    ) -> Result<Vec<Value>, Failure> {
        let followed = self.sales.get(sale);
        let same = followed.as_ref().filter(|sale| sale.incarnation() == incarnation);
        let known = same.map_or(0, |sale| sale.known_sequence()).to_string();
        let (keys, mut conn) = self.open(sale).await?;
        let epoch = read_run_id(&mut conn).await.map_err(|e| Failure::NotDone(e.to_string()))?;
        let args: Vec<String> =
            [ledger_identity(&epoch, incarnation), known].into_iter().chain(args).collect();
        let stops = change
            .as_ref()
            .and_then(|change| OperatorAction::parse(change.kind))
            .is_some_and(OperatorAction::stops);
        let reply = match self.scripts.call(&mut conn, script, &keys, &args).await {
            Err(Failure::NotDone(why)) if stops && why.contains("NOREPLICAS") => {
                self.scripts.call_without_replicas(&mut conn, script, &keys, &args).await
            }
            other => other,
        };
        let reply =
            reply.inspect_err(|failure| followed.iter().for_each(|sale| sale.note_refusal(failure)))?;
        match (change, same) {
            (Some(change), Some(sale))
                if (change.has_changed)(&reply) && !acknowledge(sale, &epoch, &reply, change) =>
            {
                Err(Failure::Unknown(PRIMARY_CHANGED.to_owned()))
            }
            _ => Ok(reply),
        }
    }

    /// Audits a sale.
    pub async fn audit(&self, sale: &str) -> Result<AuditReport, Failure> {
        audit::audit(&self.pool, &self.scripts, sale).await
    }

    /// All sale ids, sorted.
    pub async fn list(&self) -> Result<Vec<String>, Failure> {
        let ids = run(&self.pool, SALES, redis::cmd("SMEMBERS").arg(SALES)).await?;
        let mut ids = list_of_texts("SMEMBERS", &ids)?;
        ids.sort();
        Ok(ids)
    }

    /// A sale with its definition, at one sequence.
    pub async fn show(&self, sale: &str) -> Result<ShownSale, Failure> {
        let (keys, mut conn) = self.open(sale).await?;
        let snapshot = snapshot::read(&mut conn, &self.scripts, &keys, true).await?;
        let definition = snapshot.parse_definition(&keys)?;
        // What the gateway that follows it has found, or what Redis alone shows.
        let found = self.sales.get(sale).and_then(|sale| sale.ledger_stop());
        let stop = match found {
            None if !snapshot.damages.is_empty() => Some(LedgerStop::Halted),
            None if read_run_id(&mut conn).await? != snapshot.epoch() => Some(LedgerStop::Fenced),
            found => found,
        };
        Ok(ShownSale { snapshot, definition, stop })
    }

    /// Creates a sale or applies the differences. It is idempotent.
    pub async fn apply(&self, definition: &Definition, by: &Actor) -> Result<ApplyOutcome, Failure> {
        let sale = &definition.sale.id;
        let busy = "other operators keep changing this definition; apply it again";
        let mut outcome = Err(Failure::NotDone(busy.into()));
        let mut incarnation = String::new();
        for _ in 0..APPLY_TRIES {
            let (before, revision) = match self.show(sale).await {
                Ok(ShownSale { snapshot, definition, .. }) => {
                    incarnation = snapshot.incarnation().to_owned();
                    (Some(definition), snapshot.number("revision").unsigned_abs())
                }
                Err(Failure::Refused(Refusal::Missing)) => {
                    let (_, mut conn) = self.open(sale).await?;
                    incarnation = new_incarnation(&mut conn).await.map_err(Failure::from)?;
                    (None, 0)
                }
                Err(failure) => return Err(failure),
            };
            outcome = match before.as_ref() {
                Some(before) if before == definition => Ok(ApplyOutcome::Unchanged(revision)),
                before => self.apply_over(before, revision, &incarnation, definition, by).await,
            };
            use Refusal::{Incarnation, Missing, Revision};
            if !matches!(outcome, Err(Failure::Refused(Revision(_) | Missing | Incarnation { .. }))) {
                break;
            }
        }
        use ApplyOutcome::{Created, Unchanged, Updated};
        if matches!(outcome, Ok(Created | Updated(_) | Unchanged(_))) {
            // Repeated with every apply, so that the next one completes the steps after a crash.
            archive::announce(&self.pool, sale, &incarnation).await?;
        }
        outcome
    }

    async fn apply_over(
        &self,
        before: Option<&Definition>,
        revision: u64,
        incarnation: &str,
        after: &Definition,
        by: &Actor,
    ) -> Result<ApplyOutcome, Failure> {
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
        args.extend(match &after.signup {
            Some(SignupTerms { opens_at, closes_at, required }) => {
                let instants = [opens_at, closes_at].map(|at| at.as_millisecond().to_string());
                let [opens_at, closes_at] = instants;
                [opens_at, closes_at, u8::from(*required).to_string()]
            }
            None => ["-", "0", "0"].map(str::to_owned),
        });
        args.extend([
            u8::from(terms.standby).to_string(),
            terms.granted_hold_ms().to_string(),
            terms.standby_max.unwrap_or(0).to_string(),
        ]);
        let draw = draw_differences(before, after);
        args.extend([
            u8::from(terms.sells == Sells::Draw).to_string(),
            if draw.is_empty() { "-".into() } else { draw.join(",") },
            draw::new_secret()?,
        ]);
        args.extend(stock_differences(before, after));
        let change = AcknowledgedChange {
            kind: "define",
            fields: &[("revision", (revision + 1).to_string())],
            by,
            has_changed: |reply| reply.first().and_then(text).as_deref() == Some("ok"),
        };
        let reply = self.call(Script::Apply, &terms.id, incarnation, args, Some(change)).await?;
        if let Some(sale) = self.sales.get(&terms.id) {
            sale.note_incarnation(incarnation);
        }
        let unreadable = || Failure::unreadable("a reply of the apply script that can't be read");
        let words: Vec<String> = reply.iter().map(text).collect::<Option<_>>().ok_or_else(unreadable)?;
        let (word, rest) = words.split_first().ok_or_else(unreadable)?;
        Ok(match word.as_str() {
            "ok" if before.is_none() => ApplyOutcome::Created,
            "ok" => ApplyOutcome::Updated(revision + 1),
            "locked" => ApplyOutcome::Locked(rest.to_vec()),
            "late" => ApplyOutcome::Late,
            "item-taken" => ApplyOutcome::ItemTaken(rest.to_vec()),
            "stock-taken" => {
                let pair = |[item, taken]: &[String; 2]| Some((item.clone(), taken.parse().ok()?));
                let (pairs, _) = rest.as_chunks::<2>();
                let taken: Option<Vec<_>> = pairs.iter().map(pair).collect();
                ApplyOutcome::StockTaken(taken.ok_or_else(unreadable)?)
            }
            other => return Err(unreadable_answer(other)),
        })
    }

    /// Sets the total of an item from `was` to `total`.
    pub async fn restock(
        &self,
        sale: &str,
        item: &str,
        total: u64,
        was: u64,
        by: &Actor,
    ) -> Result<RestockOutcome, Failure> {
        let args =
            [item.to_owned(), total.to_string(), was.to_string()].into_iter().chain(by.args()).collect();
        let change = AcknowledgedChange {
            kind: "restock",
            fields: &[("item", item.to_owned()), ("total", total.to_string()), ("was", was.to_string())],
            by,
            has_changed: |reply| reply.get(4).and_then(text).as_deref() == Some("1"),
        };
        let reply = self.call_latest(Script::Restock, sale, args, change).await?;
        let number = |at: usize| {
            let number = reply.get(at).and_then(text).and_then(|n| n.parse().ok());
            number.ok_or_else(|| {
                Failure::unreadable("a number in a reply of the restock script that can't be read")
            })
        };
        Ok(match reply.first().and_then(text).unwrap_or_default().as_str() {
            "ok" => RestockOutcome::Done { total: number(2)?, free: number(3)? },
            "unknown-item" => RestockOutcome::UnknownItem,
            "no-limit" => RestockOutcome::NoLimit,
            "stock-changed" => RestockOutcome::Changed { total: number(1)? },
            "stock-taken" => RestockOutcome::Taken { taken: number(1)? },
            other => return Err(unreadable_answer(other)),
        })
    }

    /// Performs an operator action. One that stops something is done even while replicas are missing.
    pub async fn perform(
        &self,
        sale: &str,
        action: OperatorAction,
        by: &Actor,
    ) -> Result<Performed, Failure> {
        let args = [action.name().to_owned()].into_iter().chain(by.args()).collect();
        let has_changed = |reply: &[Value]| reply.get(2).and_then(text).as_deref() == Some("1");
        let change = AcknowledgedChange { kind: action.name(), fields: &[], by, has_changed };
        match self.call_latest(Script::OperatorAction, sale, args, change).await {
            Ok(reply) if has_changed(&reply) => Ok(Performed::Done),
            Ok(reply) if reply.first().and_then(text).as_deref() == Some("none") => Ok(Performed::NoStandby),
            Ok(_) => Ok(Performed::Unchanged),
            Err(Failure::NotReplicated { .. }) if action.stops() => Ok(Performed::NotReplicated),
            Err(failure) => Err(failure),
        }
    }
}

/// Runs a command on this key. The connection is free again afterwards: the pool may have only one.
pub(crate) async fn run<T: FromRedisValue>(pool: &Pool, key: &str, command: &Cmd) -> Result<T, Failure> {
    let mut conn = checkout(pool, key).await?;
    Ok(command.query_async(&mut conn).await?)
}

fn unreadable_answer(word: &str) -> Failure {
    Failure::unreadable(format!("an answer that can't be read: {word:?}"))
}

/// Buffers a change until it is read back; `false`: it must not be acknowledged.
fn acknowledge(sale: &Sale, epoch: &str, reply: &[Value], change: AcknowledgedChange<'_>) -> bool {
    let AcknowledgedChange { kind, fields, by, .. } = change;
    let Ok(header) = Header::of(reply) else { return true };
    let [who, reason] = by.args();
    let fields = fields.iter().cloned().chain([("who", who), ("reason", reason)]);
    let fields = fields.flat_map(|(name, value)| [name.to_owned(), value]).collect();
    let (sequence, at, clock) = (header.sequence, header.time, header.sale_clock);
    let change = Acknowledged { sequence, kind, at, clock, fields, rows: String::new(), is_whole: false };
    let is_buffered = sale.acknowledged().acknowledge(epoch, change);
    if is_buffered {
        sale.advance_known_sequence(sequence);
    }
    is_buffered
}
