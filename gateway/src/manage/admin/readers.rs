//! The readers of a sale's journal that must be one at a time: their leases, each with a fence that grows.

use redis::Value;

use crate::manage::admin::feed::too_few_replicas;
use crate::manage::admin::{Admin, run};
use crate::store::checkout;
use crate::store::journal::Entry;
use crate::store::keys::Keys;
use crate::store::reply::{list, map, texts};
use crate::store::scripts::{Failure, Refusal};

/// What asks for a lease.
#[derive(Debug)]
pub struct LeaseCall<'a> {
    /// The name under which one program at a time reads.
    pub reader: &'a str,
    /// This program, without blanks.
    pub holder: &'a str,
    /// How long the lease lasts; 0 releases it.
    pub ttl_ms: u64,
    /// What the program says of itself, JSON.
    pub state: &'a str,
}

/// The answer to a call for a lease.
#[derive(Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// The caller has it until then, or has released it.
    Held {
        /// Grows with every new holder.
        fence: u64,
        /// By Redis's clock, in ms.
        until: i64,
        /// Whether another one had it before.
        is_new: bool,
    },
    /// Another program has it.
    Other {
        /// That program.
        holder: String,
        /// The end of its lease unless it is renewed, in ms.
        until: i64,
        /// Milliseconds until then.
        left_ms: u64,
    },
    /// The sale has the most readers that it can have.
    Full,
}

/// What came of forgetting a reader.
#[derive(Debug, PartialEq, Eq)]
pub enum ForgetOutcome {
    /// It is removed.
    Forgotten,
    /// The sale has no such reader.
    Unknown,
    /// This program has its lease.
    Running(String),
}

/// A reader as Redis has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderLease {
    /// Its name.
    pub reader: String,
    /// The program that has or had the lease.
    pub holder: String,
    /// Its end, in ms; 0: it was released.
    pub until: i64,
    /// When this program took it, in ms.
    pub since: i64,
    /// When it was last renewed, in ms.
    pub renewed: i64,
    /// What the program says of itself.
    pub state: serde_json::Value,
}

/// Whether a lease runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseStatus {
    /// Its holder renews it.
    Running,
    /// Its holder has given it back.
    Released,
    /// Its holder has vanished.
    Expired,
}

impl ReaderLease {
    /// Parses a field of the hash, see `lua/lease.lua`; `None` if it is damaged.
    fn parse(reader: String, value: &str) -> Option<Self> {
        let mut fields = value.splitn(6, ' ');
        let mut number = || fields.next()?.parse::<i64>().ok();
        let (_fence, until, since, renewed) = (number()?, number()?, number()?, number()?);
        let holder = fields.next()?.to_owned();
        let state = serde_json::from_str(fields.next()?).ok()?;
        Some(Self { reader, holder, until, since, renewed, state })
    }

    /// Whether it runs at this time of Redis's clock.
    pub fn status(&self, now_ms: i64) -> LeaseStatus {
        match self.until {
            0 => LeaseStatus::Released,
            until if until > now_ms => LeaseStatus::Running,
            _ => LeaseStatus::Expired,
        }
    }

    /// A number in what the program says of itself.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.state.get(name)?.as_u64()
    }
}

fn unreadable() -> Failure {
    Failure::unreadable("a reply of the lease script that can't be read")
}

impl Admin {
    /// Takes, renews or releases the lease of a reader.
    pub async fn lease(&self, sale: &str, call: &LeaseCall<'_>) -> Result<LeaseOutcome, Failure> {
        let keys = Keys::of(sale);
        let mut conn = checkout(self.pool(), keys.readers()).await?;
        let LeaseCall { reader, holder, ttl_ms, state } = call;
        let mut script = self.scripts.lease().prepare_invoke();
        script.key(keys.readers()).key(keys.state()).arg(reader).arg(holder).arg(ttl_ms).arg(state);
        let reply: Value = script.invoke_async(&mut conn).await?;
        let words = texts(&reply).ok_or_else(unreadable)?;
        let number =
            |at: usize| words.get(at).and_then(|word| word.parse::<i64>().ok()).ok_or_else(unreadable);
        match words.first().map(String::as_str) {
            Some("ok") => {
                let (fence, until, is_new) = (number(1)?.unsigned_abs(), number(2)?, number(4)? == 1);
                // A former primary must not give or renew a lease that another program has at the present one.
                if !self.scripts.wait_for_earlier_writes(&mut conn, &keys).await? {
                    return Err(too_few_replicas());
                }
                Ok(LeaseOutcome::Held { fence, until, is_new })
            }
            Some("held") => Ok(LeaseOutcome::Other {
                holder: words[1].clone(),
                until: number(2)?,
                left_ms: u64::try_from(number(2)?.saturating_sub(number(3)?)).unwrap_or_default(),
            }),
            Some("full") => Ok(LeaseOutcome::Full),
            Some("missing") => Err(Refusal::Missing.into()),
            _ => Err(unreadable()),
        }
    }

    /// Removes a reader whose lease does not run.
    pub async fn forget_reader(&self, sale: &str, reader: &str) -> Result<ForgetOutcome, Failure> {
        let keys = Keys::of(sale);
        let mut conn = checkout(self.pool(), keys.readers()).await?;
        let mut script = self.scripts.lease().prepare_invoke();
        script.key(keys.readers()).key(keys.state()).arg(reader).arg("-").arg(-1).arg("{}");
        let words = texts(&script.invoke_async(&mut conn).await?).ok_or_else(unreadable)?;
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["forgotten"] => Ok(ForgetOutcome::Forgotten),
            ["unknown"] => Ok(ForgetOutcome::Unknown),
            ["held", holder, ..] => Ok(ForgetOutcome::Running(holder.to_owned())),
            ["missing"] => Err(Refusal::Missing.into()),
            _ => Err(unreadable()),
        }
    }

    /// The readers of a sale, by name. Damaged ones are left out: they hold nothing.
    pub async fn readers(&self, sale: &str) -> Result<Vec<ReaderLease>, Failure> {
        let keys = Keys::of(sale);
        let all: Value = run(self.pool(), keys.readers(), redis::cmd("HGETALL").arg(keys.readers())).await?;
        let all = map("HGETALL", &all)?;
        Ok(all.into_iter().filter_map(|(reader, value)| ReaderLease::parse(reader, &value)).collect())
    }

    /// When the journal's last change happened, in ms; `None` if there is none, or it can't be read.
    pub async fn last_change(&self, sale: &str) -> Result<Option<i64>, Failure> {
        let keys = Keys::of(sale);
        let mut newest = redis::cmd("XREVRANGE");
        newest.arg(keys.journal()).arg("+").arg("-").arg("COUNT").arg(1);
        let entries = list("XREVRANGE", run(self.pool(), keys.journal(), &newest).await?)?;
        Ok(entries.first().and_then(Entry::parse).map(|entry| entry.at))
    }
}
