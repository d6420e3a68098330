//! What the gateways say of a sale after its Redis was replaced, and what follows: who is waited for, what is missing, or why
//! it can't be healed. Pure.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::projection::acknowledged::Clocks;
use crate::recovery::missing::MissingChange;

/// In the place of a gateway's id: all of them.
pub(crate) const ALL: &str = "*";
/// More changes than this are not a failover's.
const MISSING_MAX: u64 = 1_000_000;

/// What one gateway says, besides the entries that it remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecoveryReport {
    /// Of the sale that it speaks of; empty from a version that knows of none.
    #[serde(default)]
    pub(crate) incarnation: String,
    /// The highest sequence that it may have told somebody of.
    pub(crate) known: u64,
    /// All after this sequence that it has read or told is among the entries.
    pub(crate) since: u64,
    /// The gateways that lived when it last reached the ledger: their ids, and where they listen.
    pub(crate) peers: BTreeMap<String, String>,
    /// The latest clocks by which it has refused something for being late.
    #[serde(default)]
    pub(crate) late_at: Clocks,
}

/// What all of them say.
#[derive(Debug, Default)]
pub(crate) struct RecoveryReports {
    by: BTreeMap<String, RecoveryReport>,
    released: BTreeSet<String>,
    read: BTreeMap<u64, MissingChange>,
    acknowledged: BTreeMap<u64, MissingChange>,
    conflict: Option<String>,
    /// Something of what was said.
    unreadable: Option<String>,
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RecoveryPlan {
    /// These have not said what they know: ids, and where they listen.
    Wait(Vec<(String, String)>),
    /// Why it can't be healed, in words.
    Blocked(String),
    /// These are missing, in order, so many of them known to nobody; no gateway knows of more than this sequence, nor has
    /// refused anything for being late by later clocks.
    Replay { missing: Vec<MissingChange>, lost: u64, known: u64, late_at: Clocks },
}

impl RecoveryReports {
    /// Reads the fields of the hash that `lua/submit_report.lua` writes.
    pub(crate) fn parse(fields: &HashMap<String, String>) -> Self {
        let mut all = Self::default();
        for (field, value) in fields {
            if all.parse_field(field, value).is_none() {
                all.unreadable = Some(field.clone());
            }
        }
        all
    }

    fn parse_field(&mut self, field: &str, value: &str) -> Option<()> {
        match field.split_once(':') {
            Some(("g", id)) => {
                self.by.insert(id.to_owned(), serde_json::from_str(value).ok()?);
            }
            Some(("x", id)) => {
                self.released.insert(id.to_owned());
            }
            Some(("r", _)) => {
                let entry: MissingChange = serde_json::from_str(value).ok()?;
                self.read.insert(entry.sequence, entry);
            }
            Some(("t", _)) => {
                let entry: MissingChange = serde_json::from_str(value).ok()?;
                match self.acknowledged.entry(entry.sequence) {
                    Entry::Occupied(mut before) => before.get_mut().merge(entry),
                    Entry::Vacant(slot) => {
                        slot.insert(entry);
                    }
                }
            }
            _ if field == "conflict" => self.conflict = Some(value.to_owned()),
            _ => {}
        }
        Some(())
    }

    /// Whether ops need to say that they don't wait for this gateway, or for any; why not, in words.
    pub(crate) fn check_release(&self, gateway: Option<&str>) -> Result<(), String> {
        if self.by.is_empty() && self.unreadable.is_none() {
            return Err("waits for nobody: its ledger is taken in".to_owned());
        }
        let awaited = self.awaited();
        match gateway {
            Some(gateway) if awaited.iter().all(|(id, _)| id != gateway) => {
                let who: Vec<String> =
                    awaited.iter().map(|(id, listen)| format!("{id} ({listen})")).collect();
                let who = if who.is_empty() { "nobody".to_owned() } else { who.join(", ") };
                Err(format!("does not wait for a gateway {gateway}, but for {who}"))
            }
            _ => Ok(()),
        }
    }

    /// Whether this gateway has said what it knows.
    pub(crate) fn has_report_of(&self, id: &str) -> bool {
        self.by.contains_key(id)
    }

    /// The gateways that lived and have not said what they know, unless ops do not wait for them.
    pub(crate) fn awaited(&self) -> Vec<(String, String)> {
        let peers: BTreeMap<&String, &String> = self.by.values().flat_map(|one| &one.peers).collect();
        let all = self.released.contains(ALL);
        let is_open = |id: &String| !all && !self.by.contains_key(id) && !self.released.contains(id);
        let open = peers.into_iter().filter(|(id, _)| is_open(id));
        open.map(|(id, listen)| (id.clone(), listen.clone())).collect()
    }

    /// What is to be done with a ledger of this incarnation at this sequence. Those who are awaited may be given up. What is said
    /// of an earlier incarnation is of no account; that there was a later one says that it is lost.
    pub(crate) fn plan(&self, incarnation: &str, at: u64, waits: bool) -> RecoveryPlan {
        let awaited = self.awaited();
        if waits && !awaited.is_empty() {
            return RecoveryPlan::Wait(awaited);
        }
        if self.released.contains(ALL) {
            let late_at = Clocks::default();
            return RecoveryPlan::Replay { missing: Vec::new(), lost: 0, known: at, late_at };
        }
        if let Some(field) = &self.unreadable {
            return RecoveryPlan::Blocked(format!("what the gateways said can't be read: {field}"));
        }
        if let Some(sequence) = &self.conflict {
            return RecoveryPlan::Blocked(format!(
                "two gateways have read entry {sequence} of its journal differently: two primaries took writes at once"
            ));
        }
        let later = self.by.iter().find(|(_, one)| one.incarnation.as_str() > incarnation);
        if let Some((id, RecoveryReport { incarnation, known, .. })) = later {
            return RecoveryPlan::Blocked(format!(
                "gateway {id} knows a later incarnation of the sale ({incarnation}, at sequence {known}), which is not in this Redis"
            ));
        }
        let same = || {
            let is_same =
                |one: &&RecoveryReport| one.incarnation.is_empty() || one.incarnation == incarnation;
            self.by.values().filter(is_same)
        };
        let known = same().map(|one| one.known).max().unwrap_or_default();
        let last =
            |entries: &BTreeMap<u64, MissingChange>| entries.keys().next_back().copied().unwrap_or_default();
        let until = known.max(last(&self.read)).max(last(&self.acknowledged));
        if until.saturating_sub(at) > MISSING_MAX {
            return RecoveryPlan::Blocked(format!("{} changes are missing", until - at));
        }
        let (mut missing, mut lost) = (Vec::new(), 0);
        for sequence in at + 1..=until {
            let (read, acknowledged) = (self.read.get(&sequence), self.acknowledged.get(&sequence));
            if read.zip(acknowledged).is_some_and(|(read, acknowledged)| !read.contains(acknowledged)) {
                return RecoveryPlan::Blocked(format!(
                    "entry {sequence} of its journal was told and read differently: two primaries took writes at once"
                ));
            }
            match read.or(acknowledged) {
                Some(entry) => missing.push(entry.clone().with_entry_fields()),
                // Whoever has told somebody of it would say so.
                None if same().all(|one| one.since < sequence) => {
                    missing.push(MissingChange::placeholder(sequence));
                    lost += 1;
                }
                None => {
                    return RecoveryPlan::Blocked(format!(
                        "no gateway remembers entry {sequence} of its journal any more, which somebody may have been told of"
                    ));
                }
            }
        }
        let late_at = same().map(|one| one.late_at).fold(Clocks::default(), Clocks::max);
        RecoveryPlan::Replay { missing, lost, known, late_at }
    }
}

#[cfg(test)]
mod tests;
