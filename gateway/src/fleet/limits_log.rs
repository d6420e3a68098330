//! What was done to the limits: who set which rates, when, and why. Written by `lua/limits.lua` in the same step.

use redis::aio::ConnectionLike;
use redis::{RedisResult, Value};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::rfc3339::rfc3339;
use crate::store::keys::LIMITS_LOG;
use crate::store::reply::{list, pairs};

/// Entries that are kept, and the most that can be asked for; `lua/limits.lua` has the same number.
pub const ENTRIES_MAX: usize = 1_000;

/// One change of the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LimitsEntry {
    /// Of the limits after it.
    pub revision: u64,
    /// By Redis's clock.
    pub at: String,
    /// The name of the ops token, or the user of the command line.
    pub who: String,
    /// In words.
    pub reason: Option<String>,
    /// What was set.
    pub changes: Vec<RateChange>,
}

/// One policy's rate in a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RateChange {
    /// Its name.
    pub policy: String,
    /// The rate that ops had set before; null: the configured one was in force.
    pub was: Option<String>,
    /// The rate that they set; null: the configured one is in force again.
    pub set: Option<String>,
}

impl LimitsEntry {
    /// Reads an entry of the stream; `None` if it is none of ours.
    fn parse(value: &Value) -> Option<Self> {
        let Value::Array(pair) = value else { return None };
        let fields = pairs(pair.get(1)?)?;
        let field =
            |name: &str| fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
        let changes = field("changes")?;
        let words: Vec<&str> = changes.split(' ').collect();
        let rate = |word: &str| Some(word.to_owned()).filter(|word| word != "-");
        let change = |words: &[&str]| RateChange {
            policy: words[0].to_owned(),
            was: rate(words[1]),
            set: rate(words[2]),
        };
        words.len().is_multiple_of(3).then_some(())?;
        Some(Self {
            revision: field("revision")?.parse().ok()?,
            at: rfc3339(field("at")?.parse().ok()?),
            who: field("who")?,
            reason: field("reason").filter(|reason| reason != "-"),
            changes: words.chunks_exact(3).map(change).collect(),
        })
    }
}

/// The latest changes, at most `count`, the oldest of them first. What can't be read is a mistake, in words.
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
mod tests {
    use super::*;

    fn entry(fields: &[&str]) -> Option<LimitsEntry> {
        let bulk = |text: &&str| Value::BulkString(text.as_bytes().to_vec());
        LimitsEntry::parse(&Value::Array(vec![bulk(&"1-0"), Value::Array(fields.iter().map(bulk).collect())]))
    }

    #[test]
    fn an_entry_is_read_whole_or_not_at_all() {
        let good =
            ["revision", "3", "at", "0", "who", "me", "reason", "-", "changes", "buyer - 1:2 sale off -"];
        let read = entry(&good).unwrap();
        assert_eq!(
            (read.revision, read.at.as_str(), read.who.as_str()),
            (3, "1970-01-01T00:00:00.000Z", "me")
        );
        assert_eq!(read.reason, None);
        let changes: Vec<_> =
            read.changes.iter().map(|c| (c.policy.as_str(), c.was.as_deref(), c.set.as_deref())).collect();
        assert_eq!(changes, [("buyer", None, Some("1:2")), ("sale", Some("off"), None)]);
        for (place, bad) in
            [(1, "x"), (3, "soon"), (9, "buyer -"), (0, "revisions"), (4, "whose"), (8, "change")]
        {
            let mut fields = good;
            fields[place] = bad;
            assert_eq!(entry(&fields), None, "{bad}");
        }
        assert_eq!(LimitsEntry::parse(&Value::Nil), None);
    }
}
