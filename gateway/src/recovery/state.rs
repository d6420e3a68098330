//! The states of a recovery, and what keeps a sale in one. Pure: `failover.rs` does what each state asks for.

use crate::projection::acknowledged::Clocks;
use crate::recovery::missing::MissingChange;

/// Gateways that a message names, at most.
const NAMED_MAX: usize = 3;

/// The progress of a fenced sale to the epoch of the Redis that has it now. An attempt takes it through all states in
/// this order; one that is blocked in a state ends there, and the next one starts again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Every script refuses the sale, whose epoch is another one. This gateway submits its report.
    Fenced,
    /// The report is in Redis. Those of peers are awaited.
    Collecting,
    /// Every report that is needed is there. These changes are replayed.
    Replaying(Replay),
    /// The ledger has these changes again. It is audited, and the new epoch adopted.
    Auditing(Replay),
    /// The sale has the epoch of its Redis.
    Open,
}

/// What the reports ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    /// In the order of their sequences.
    pub(crate) missing: Vec<MissingChange>,
    /// How many of them are in no report.
    pub(crate) lost: u64,
    /// The highest sequence that a gateway may have acknowledged.
    pub(crate) known: u64,
    /// The latest clocks by which a gateway refused something for being late.
    pub(crate) late_at: Clocks,
}

/// What blocks an attempt in a state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// This gateway has never reached the ledger, and peers that have may still come.
    NeverReachedLedger,
    /// These live peers have submitted no report: their ids, and where they listen.
    Awaiting(Vec<(String, String)>),
    /// This gateway's report is gone from Redis.
    ReportRemoved,
    /// Acknowledged changes are lost that can't be replayed: an operator decides.
    NeedsOperator(String),
    /// Redis did not do its part, or the ledger does not balance.
    Failed(String),
}

impl State {
    /// Its name in the documentation.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Collecting => "collecting",
            Self::Replaying(_) => "replaying",
            Self::Auditing(_) => "auditing",
            Self::Open => "open",
        }
    }
}

/// The own status of a gateway that has submitted its report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnStatus {
    /// The failover was noticed so recently that a peer which is silent may still submit its report.
    pub(crate) is_recent: bool,
    /// This gateway saw members when it last reached the ledger, itself among them.
    pub(crate) was_member: bool,
    /// This Redis has whatever any gateway acknowledged.
    pub(crate) is_durable: bool,
}

impl OwnStatus {
    /// Whether the reports of silent peers are awaited; an error if only reports of peers show what was acknowledged.
    pub(crate) fn awaits_peers(self) -> Result<bool, Blocked> {
        if self.is_recent && !self.was_member {
            return Err(Blocked::NeverReachedLedger);
        }
        Ok(self.is_recent || !self.is_durable)
    }
}

impl Blocked {
    /// What an operator reads: what was found, what is awaited, what to do.
    pub(crate) fn describe(&self, sale: &str) -> String {
        match self {
            Self::NeverReachedLedger => "Redis was restarted or replaced. This gateway has never reached the ledger, and waits 5 s for the \
                 reports of gateways that have"
                .to_owned(),
            Self::Awaiting(peers) => describe_awaited(sale, peers),
            Self::ReportRemoved => {
                "the recovery report of this gateway was removed from Redis: it is submitted again".to_owned()
            }
            Self::NeedsOperator(why) => format!(
                "Redis was restarted and lost acknowledged changes that can't be replayed: {why}. Restore its append-only file, \
                 or continue without them: `gateway sale release {sale} --all`"
            ),
            Self::Failed(why) => why.clone(),
        }
    }
}

fn describe_awaited(sale: &str, peers: &[(String, String)]) -> String {
    let names = list_peers(&peers[..peers.len().min(NAMED_MAX)]);
    let more = if peers.len() > NAMED_MAX { " and others" } else { "" };
    let first = peers.first().map_or("GATEWAY", |(id, _)| id);
    format!(
        "Redis was restarted or replaced. Recovery waits for the report of {names}{more}: reservations that only it acknowledged may \
         exist nowhere else. It must reach Redis; if it is gone for good: `gateway sale release {sale} {first}`"
    )
}

/// The ids of peers, and where they listen.
pub(crate) fn list_peers(peers: &[(String, String)]) -> String {
    let names: Vec<String> = peers.iter().map(|(id, listen)| format!("{id} ({listen})")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
