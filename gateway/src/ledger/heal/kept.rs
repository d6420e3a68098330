//! What a gateway keeps of a sale in case that Redis loses it: the end of the journal as it was read, and what was told here and
//! not read yet.

use std::collections::VecDeque;

use redis::Value;

use crate::ledger::journal::sequence_of;

/// Of all entries together; some seconds of a launch. What is older is in the append-only file and on the replicas.
const BYTES_MAX: usize = 16 << 20;
/// What a part of an entry takes besides its text.
const OVERHEAD: usize = 32;

/// A change that was answered here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its entry's.
    pub sequence: u64,
    /// As in the journal.
    pub kind: &'static str,
    /// Redis's `TIME` of it, in ms.
    pub at: i64,
    /// The sale clock of it, in ms.
    pub clock: i64,
    /// What else its entry says, names and values in turn, if it is not about reservations.
    pub fields: Vec<String>,
    /// A line a reservation, `buyer sub row`, as it was after it; the sub is `-` where it is not known here.
    pub rows: String,
}

/// The end of a journal, and what is not in it yet.
#[derive(Debug, Default)]
pub struct Kept {
    /// All after this sequence that was read or told here is kept.
    since: u64,
    read: VecDeque<(u64, Value)>,
    told: VecDeque<Told>,
    bytes: usize,
}

impl Kept {
    /// All after this sequence that was read or told here is kept.
    pub(super) fn since(&self) -> u64 {
        self.since
    }

    /// The last sequence that is kept.
    pub(super) fn last(&self) -> u64 {
        let read = self.read.back().map_or(0, |(sequence, _)| *sequence);
        self.told.iter().map(|told| told.sequence).fold(read.max(self.since), u64::max)
    }

    /// Begins anew with a sale that was read whole at a sequence, and with the last entries until then.
    pub(in crate::ledger) fn begin(&mut self, sequence: u64, entries: Vec<Value>) {
        self.read.clear();
        self.since = entries.first().and_then(sequence_of).map_or(sequence, |first| first.saturating_sub(1));
        self.bytes = self.told.iter().map(|told| told.rows.len()).sum();
        self.read(entries);
    }

    /// Keeps entries as they were read, each after the one before.
    pub(in crate::ledger) fn read(&mut self, entries: impl IntoIterator<Item = Value>) {
        for entry in entries {
            let last = self.read.back().map_or(self.since, |(sequence, _)| *sequence);
            if let Some(sequence) = sequence_of(&entry).filter(|sequence| *sequence > last) {
                self.bytes += size(&entry);
                self.read.push_back((sequence, entry));
            }
        }
        let last = self.read.back().map_or(self.since, |(sequence, _)| *sequence);
        let bytes = &mut self.bytes;
        self.told.retain(|told| {
            let is_new = told.sequence > last;
            *bytes -= if is_new { 0 } else { told.rows.len() };
            is_new
        });
        self.bound();
    }

    /// Keeps what is being told, until its entry is read. Who finds a change made tells it once more: that is kept once.
    pub(in crate::ledger) fn tell(&mut self, told: Told) {
        let last = self.read.back().map_or(self.since, |(sequence, _)| *sequence);
        if told.sequence > last && self.told.iter().rev().all(|other| other.sequence != told.sequence) {
            self.bytes += told.rows.len();
            self.told.push_back(told);
            self.bound();
        }
    }

    fn bound(&mut self) {
        while self.bytes > BYTES_MAX {
            if let Some((sequence, entry)) = self.read.pop_front() {
                self.bytes -= size(&entry);
                self.since = sequence;
            } else if let Some(told) = self.told.pop_front() {
                self.bytes -= told.rows.len();
                self.since = self.since.max(told.sequence);
            } else {
                return;
            }
        }
    }

    /// What is kept after a sequence.
    pub(super) fn after(&self, sequence: u64) -> (Vec<(u64, Value)>, Vec<Told>) {
        let read = self.read.iter().filter(|(at, _)| *at > sequence).cloned();
        (read.collect(), self.told.iter().filter(|told| told.sequence > sequence).cloned().collect())
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(values) => OVERHEAD + values.iter().map(size).sum::<usize>(),
        Value::BulkString(bytes) => OVERHEAD + bytes.len(),
        _ => OVERHEAD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u64, bytes: usize) -> Value {
        let text = |text: String| Value::BulkString(text.into_bytes());
        Value::Array(vec![text(format!("{sequence}-0")), Value::Array(vec![text("x".repeat(bytes))])])
    }

    fn told(sequence: u64) -> Told {
        Told { sequence, kind: "confirm", at: 1, clock: 1, fields: Vec::new(), rows: "b s row".into() }
    }

    fn sequences(kept: &Kept, after: u64) -> (Vec<u64>, Vec<u64>) {
        let (read, told) = kept.after(after);
        (read.iter().map(|(at, _)| *at).collect(), told.iter().map(|told| told.sequence).collect())
    }

    #[test]
    fn what_was_told_is_kept_until_it_is_read() {
        let mut kept = Kept::default();
        kept.begin(5, vec![entry(4, 1), entry(5, 1)]);
        for sequence in [7, 6, 7, 5, 9] {
            kept.tell(told(sequence));
        }
        assert_eq!((kept.since(), kept.last()), (3, 9));
        assert_eq!(sequences(&kept, 4), (vec![5], vec![7, 6, 9]));
        kept.read([entry(6, 1), entry(7, 1)]);
        // Read again after a connection was lost.
        kept.read([entry(7, 1)]);
        assert_eq!(sequences(&kept, 0), (vec![4, 5, 6, 7], vec![9]));
        kept.begin(9, vec![entry(9, 1)]);
        assert_eq!((kept.since(), sequences(&kept, 0)), (8, (vec![9], vec![])));
    }

    #[test]
    fn it_does_not_grow_and_knows_what_it_has_forgotten() {
        let mut kept = Kept::default();
        kept.begin(0, Vec::new());
        for sequence in 1..100 {
            kept.read([entry(sequence, 1 << 20)]);
        }
        let (read, _) = sequences(&kept, 0);
        assert_eq!((read.len(), kept.since(), kept.last()), (15, 84, 99));
        kept.tell(Told { rows: "x".repeat(BYTES_MAX + 1), ..told(100) });
        assert_eq!((kept.since(), kept.bytes, kept.last()), (100, 0, 100));
    }
}
