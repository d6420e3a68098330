//! The operator actions that are in force for a sale: by whom, since when and why.

use std::collections::HashMap;
use std::sync::Arc;

use redis::aio::ConnectionLike;

use crate::store::journal::{self, Entry};
use crate::store::keys::Keys;

/// An operator action, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionNote {
    /// Name of the ops token, or of the user of the command line.
    pub by: String,
    /// The operator's reason.
    pub reason: Option<String>,
    /// Redis's `TIME`, in ms.
    pub at: i64,
}

/// The latest action of each kind that stops something; kept while it is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActionsInForce {
    /// The pause.
    pub paused: Option<Arc<ActionNote>>,
    /// The freeze.
    pub frozen: Option<Arc<ActionNote>>,
    /// The close: always in force.
    pub closed: Option<Arc<ActionNote>>,
    /// The suspension of grants to the standby queues.
    pub suspended: Option<Arc<ActionNote>>,
}

/// Fields of the state that such an action sets, and those with the sequence of its entry (see `control_state` in
/// `ledger.lua`).
const CONTROLS: [(&str, &str); 4] = [
    ("paused", "paused_in"),
    ("frozen", "frozen_in"),
    ("closed", "closed_in"),
    ("suspended", "suspended_in"),
];

impl ActionsInForce {
    /// Notes what an entry starts or ends.
    pub(crate) fn note(&mut self, entry: &Entry) {
        let note = || {
            let text = |name: &str| entry.field(name).filter(|text| !text.is_empty()).map(str::to_owned);
            let by = text("who").unwrap_or_else(|| "an operator".to_owned());
            Some(Arc::new(ActionNote { by, reason: text("reason"), at: entry.at }))
        };
        match entry.kind.as_str() {
            "pause" => self.paused = note(),
            "resume" => self.paused = None,
            "freeze" => self.frozen = note(),
            "unfreeze" => self.frozen = None,
            "close" => self.closed = note(),
            "standby-suspend" => self.suspended = note(),
            "standby-resume" => self.suspended = None,
            _ => {}
        }
    }
}

/// Reads the entries of the actions that a state names. A ledger that an earlier version paused names none.
pub(crate) async fn read(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    state: &HashMap<String, String>,
) -> redis::RedisResult<ActionsInForce> {
    let number = |field: &str| state.get(field).and_then(|value| value.parse::<u64>().ok());
    let mut found = ActionsInForce::default();
    for (field, noted_in) in CONTROLS {
        let (Some(1), Some(sequence)) = (number(field), number(noted_in)) else { continue };
        let entries = journal::after(conn, keys, sequence.saturating_sub(1), 1).await?;
        let entry = entries.first().and_then(Entry::parse).filter(|entry| entry.sequence == sequence);
        entry.iter().for_each(|entry| found.note(entry));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
