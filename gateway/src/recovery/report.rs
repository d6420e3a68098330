//! The recovery reports of all gateways, and what follows from them: a wait, a replay, or a decision for an operator. Pure.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::projection::acknowledged::Clocks;
use crate::recovery::missing::MissingChange;
use crate::recovery::state::{Blocked, Replay, list_peers};

/// In the place of a gateway's id: all of them.
pub(crate) const ALL: &str = "*";
/// The most missing changes; more need an operator.
const MISSING_MAX: u64 = 1_000_000;

/// The report of a gateway, besides its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecoveryReport {
    /// Of the sale that it is about; empty from a version without incarnations.
    #[serde(default)]
    pub(crate) incarnation: String,
    /// The highest sequence that it may have acknowledged.
    pub(crate) known: u64,
    /// Its entries have all that it has read or acknowledged after this sequence.
    pub(crate) since: u64,
    /// The live members when it last reached the ledger: their ids, and where they listen.
    pub(crate) peers: BTreeMap<String, String>,
    /// The latest clocks by which it has refused something for being late.
    #[serde(default)]
    pub(crate) late_at: Clocks,
}

/// All reports.
#[derive(Debug, Default)]
pub(crate) struct RecoveryReports {
    by: BTreeMap<String, RecoveryReport>,
    /// Gateways, or all, that an operator has released, with name and reason.
    released: BTreeMap<String, String>,
    read: BTreeMap<u64, MissingChange>,
    acknowledged: BTreeMap<u64, MissingChange>,
    conflict: Option<String>,
    /// A field that can't be read.
    unreadable: Option<String>,
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
                self.released.insert(id.to_owned(), value.to_owned());
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

    /// Whether there is this gateway to release, or any; the error says why not.
    pub(crate) fn check_release(&self, gateway: Option<&str>) -> Result<(), String> {
        if self.by.is_empty() && self.unreadable.is_none() {
            return Err("is not in recovery: there is no gateway to release".to_owned());
        }
        let awaited = self.awaited();
        match gateway {
            Some(gateway) if awaited.iter().all(|(id, _)| id != gateway) => {
                let names = if awaited.is_empty() { "no gateway".to_owned() } else { list_peers(&awaited) };
                Err(format!("does not wait for gateway {gateway}; it waits for {names}"))
            }
            _ => Ok(()),
        }
    }

    /// Whether this gateway has submitted its report.
    pub(crate) fn has_report_of(&self, id: &str) -> bool {
        self.by.contains_key(id)
    }

    /// The live members without a report that no operator has released.
    pub(crate) fn awaited(&self) -> Vec<(String, String)> {
        let peers: BTreeMap<&String, &String> = self.by.values().flat_map(|one| &one.peers).collect();
        let all = self.released.contains_key(ALL);
        let is_open = |id: &String| !all && !self.by.contains_key(id) && !self.released.contains_key(id);
        let open = peers.into_iter().filter(|(id, _)| is_open(id));
        open.map(|(id, listen)| (id.clone(), listen.clone())).collect()
    }

    /// What operators have released: a gateway's id, or `*`, with the operator's name and reason.
    pub(crate) fn released(&self) -> impl Iterator<Item = (&str, &str)> {
        self.released.iter().map(|(id, by)| (id.as_str(), by.as_str()))
    }

    /// What is to be replayed on a ledger of this incarnation at this sequence. Reports of an earlier incarnation do not count; one of
    /// a later incarnation shows that the ledger has lost it.
    pub(crate) fn plan(&self, incarnation: &str, at: u64, awaits_peers: bool) -> Result<Replay, Blocked> {
        let awaited = self.awaited();
        if awaits_peers && !awaited.is_empty() {
            return Err(Blocked::Awaiting(awaited));
        }
        if self.released.contains_key(ALL) {
            let late_at = Clocks::default();
            return Ok(Replay { missing: Vec::new(), lost: 0, known: at, late_at });
        }
        if let Some(field) = &self.unreadable {
            return Err(Blocked::NeedsOperator(format!("a recovery report can't be read: {field}")));
        }
        if let Some(sequence) = &self.conflict {
            return Err(Blocked::NeedsOperator(format!(
                "two gateways have read entry {sequence} of its journal differently: two primaries took writes at once"
            )));
        }
        let later = self.by.iter().find(|(_, one)| one.incarnation.as_str() > incarnation);
        if let Some((id, RecoveryReport { incarnation, known, .. })) = later {
            return Err(Blocked::NeedsOperator(format!(
                "gateway {id} knows a later incarnation of the sale ({incarnation}, at sequence {known}), which is not in this Redis"
            )));
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
            return Err(Blocked::NeedsOperator(format!("{} changes are missing", until - at)));
        }
        let (mut missing, mut lost) = (Vec::new(), 0);
        for sequence in at + 1..=until {
            let (read, acknowledged) = (self.read.get(&sequence), self.acknowledged.get(&sequence));
            if read.zip(acknowledged).is_some_and(|(read, acknowledged)| !read.contains(acknowledged)) {
                return Err(Blocked::NeedsOperator(format!(
                    "entry {sequence} of its journal was acknowledged and read differently: two primaries took writes at once"
                )));
            }
            match read.or(acknowledged) {
                Some(entry) => missing.push(entry.clone().with_entry_fields()),
                // A gateway that had acknowledged it would report it.
                None if same().all(|one| one.since < sequence) => {
                    missing.push(MissingChange::placeholder(sequence));
                    lost += 1;
                }
                None => {
                    return Err(Blocked::NeedsOperator(format!(
                        "no report has entry {sequence} of its journal any more, which a gateway may have acknowledged"
                    )));
                }
            }
        }
        let late_at = same().map(|one| one.late_at).fold(Clocks::default(), Clocks::max);
        Ok(Replay { missing, lost, known, late_at })
    }
}

#[cfg(test)]
mod tests;
