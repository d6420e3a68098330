//! The limits log: who set which rates, when and why. `lua/limits.lua` writes it atomically with
//! the rates.

use redis::aio::ConnectionLike;
use redis::{RedisResult, Value};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::rfc3339::rfc3339;
use crate::store::keys::LIMITS_LOG;
use crate::store::reply::{list, pairs};

/// The most entries kept, and the most returned; `lua/limits.lua` has the same number.
pub const ENTRIES_MAX: usize = 1_000;

/// One change of the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LimitsEntry {
    /// Revision of the limits after the change.
    pub revision: u64,
    /// Time of the change, by Redis's clock.
    #[schema(format = DateTime)]
    pub at: String,
    /// Name of the ops token, or user of the command line.
    pub who: String,
    /// The operator's reason.
    pub reason: Option<String>,
    /// The rates that were set.
    pub changes: Vec<RateChange>,
}

/// One policy's rate in a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RateChange {
    /// Name of the policy.
    pub policy: String,
    /// The override before; null: the configured rate was in force.
    pub was: Option<String>,
    /// The override now; null: the configured rate is in force again.
    pub set: Option<String>,
}

impl LimitsEntry {
    /// Parses an entry of the stream; `None` if it is not a valid one.
    fn parse(value: &Value) -> Option<Self> {
        let Value::Array(pair) = value else { return None };
        let fields = pairs(pair.get(1)?)?;
        let field =
            |name: &str| fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
        let changes = field("changes")?;
        let words: Vec<&str> = changes.split(' ').collect();
        let rate = |word: &str| Some(word.to_owned()).filter(|word| word != "-");
        let (changes, []) = words.as_chunks::<3>() else { return None };
        let change = |[policy, was, set]: &[&str; 3]| RateChange {
            policy: (*policy).to_owned(),
            was: rate(was),
            set: rate(set),
        };
        Some(Self {
            revision: field("revision")?.parse().ok()?,
            at: rfc3339(field("at")?.parse().ok()?),
            who: field("who")?,
            reason: field("reason").filter(|reason| reason != "-"),
            changes: changes.iter().map(change).collect(),
        })
    }
}

/// The latest changes, at most `count`, oldest first. An unreadable one is an error.
pub async fn read(
    conn: &mut impl ConnectionLike,
    count: usize,
) -> RedisResult<Result<Vec<LimitsEntry>, String>> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(LIMITS_LOG).arg("+").arg("-").arg("COUNT").arg(count);
    let found = list("XREVRANGE", command.query_async(conn).await?)?;
    let entry = |value| {
        LimitsEntry::parse(value).ok_or_else(|| format!("{LIMITS_LOG} has an entry that can't be read"))
    };
    Ok(found.iter().rev().map(entry).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
