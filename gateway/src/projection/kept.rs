//! What a gateway keeps of a sale in case that Redis loses it: the end of the journal as it was read, and what was told here and
//! not read yet.

use std::collections::VecDeque;

use redis::Value;
use serde::{Deserialize, Serialize};

use crate::domain::decision::Header;
use crate::domain::reservation::{Reservation, State};
use crate::store::journal::sequence_of;
use crate::store::scripts::text;

/// Of all entries together; some seconds of a launch. What is older is in the append-only file and on the replicas.
const BYTES_MAX: usize = 16 << 20;

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
    /// A line a reservation, `buyer sub row`, as it was after it; the sub is `-` where it is not known here, and the
    /// reservation was made by an earlier change, so that nothing goes by it.
    pub rows: String,
}

impl Told {
    fn size(&self) -> usize {
        size_of::<Self>() + self.rows.len()
    }

    /// Adds the reservations of the same change that are not known yet; how many bytes that took.
    fn add(&mut self, other: Self) -> usize {
        let known: Vec<String> = self.rows.lines().map(whose).collect();
        let before = self.rows.len();
        for line in other.rows.lines().filter(|line| !known.contains(&whose(line))) {
            if !self.rows.is_empty() && !self.rows.ends_with('\n') {
                self.rows.push('\n');
            }
            self.rows.push_str(line);
        }
        (self.at, self.clock) = (self.at.min(other.at), self.clock.min(other.clock));
        self.rows.len() - before
    }
}

/// Whose reservation a line is of: its buyer's part of the id, and its key.
fn whose(line: &str) -> String {
    line.split(' ').step_by(2).take(2).collect()
}

/// The end of a journal, and what is not in it yet.
#[derive(Debug, Default)]
pub struct Kept {
    /// All after this sequence that was read or told here is kept.
    since: u64,
    read: VecDeque<(u64, Packed)>,
    told: VecDeque<Told>,
    bytes: usize,
    trusted: Trusted,
    late_at: Clocks,
}

/// Redis's `TIME` and the sale clock, in ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// Redis's `TIME`.
    pub time: i64,
    /// The sale clock.
    pub clock: i64,
}

impl Clocks {
    /// The later of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { time: self.time.max(other.time), clock: self.clock.max(other.clock) }
    }
}

/// Whose answers may be told, by run_id.
#[derive(Debug, Default)]
enum Trusted {
    /// All: nothing has been reported yet.
    #[default]
    All,
    /// None: all that was told has been reported, and the sale is not taken in.
    Nobody,
    /// Those of the Redis that has taken it in.
    Only(String),
}

impl Kept {
    /// All after this sequence that was read or told here is kept.
    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    /// The last sequence that is kept.
    pub(crate) fn last(&self) -> u64 {
        self.told.iter().map(|told| told.sequence).fold(self.read_until(), u64::max)
    }

    /// The last sequence that was read.
    fn read_until(&self) -> u64 {
        self.read.back().map_or(self.since, |(sequence, _)| (*sequence).max(self.since))
    }

    /// The latest clocks by which something was refused, or shown as over, for being late.
    pub(crate) fn late_at(&self) -> Clocks {
        self.late_at
    }

    /// Notes that something is late by these clocks: that must stay so, should Redis lose what it has noted of them.
    pub(crate) fn is_late_by(&mut self, header: &Header) {
        self.late_at = self.late_at.max(Clocks { time: header.time, clock: header.sale_clock });
    }

    /// Begins anew with a sale that was read whole at a sequence, and with the last entries until then.
    pub(crate) fn begin(&mut self, sequence: u64, entries: Vec<Value>) {
        self.read.clear();
        self.since = entries.first().and_then(sequence_of).map_or(sequence, |first| first.saturating_sub(1));
        self.bytes = self.told.iter().map(Told::size).sum();
        self.read(entries);
    }

    /// Keeps entries as they were read, each after the one before.
    pub(crate) fn read(&mut self, entries: impl IntoIterator<Item = Value>) {
        for entry in entries {
            let last = self.read_until();
            if let Some(sequence) = sequence_of(&entry).filter(|sequence| *sequence > last) {
                let entry = Packed::of(&entry);
                self.bytes += entry.0.len();
                self.read.push_back((sequence, entry));
            }
        }
        let last = self.read_until();
        let bytes = &mut self.bytes;
        self.told.retain(|told| {
            let is_new = told.sequence > last;
            *bytes -= if is_new { 0 } else { told.size() };
            is_new
        });
        self.bound();
    }

    /// From now on nothing of this sale is acknowledged: what was until now is about to be reported, or the sale was replaced.
    pub(crate) fn close(&mut self) {
        self.trusted = Trusted::Nobody;
    }

    /// The Redis of this run_id serves the sale.
    pub(crate) fn trust(&mut self, run_id: &str) {
        match &mut self.trusted {
            Trusted::All => {}
            Trusted::Only(trusted) if trusted == run_id => {}
            other => *other = Trusted::Only(run_id.to_owned()),
        }
    }

    /// Whether what this Redis has answered may be told: not once this gateway has reported what it knows of it.
    #[must_use]
    pub(crate) fn may_tell(&self, run_id: &str) -> bool {
        match &self.trusted {
            Trusted::All => true,
            Trusted::Nobody => false,
            Trusted::Only(trusted) => trusted == run_id,
        }
    }

    /// Keeps what is about to be told, as the Redis of this run_id has answered, until its entry is read. `false`: it must not be
    /// told ([`Kept::may_tell`]).
    #[must_use]
    pub(crate) fn tell(&mut self, run_id: &str, told: Told) -> bool {
        if !self.may_tell(run_id) {
            return false;
        }
        if told.sequence <= self.read_until() {
            return true;
        }
        // The same change may be told to several, each of whom hears of his own reservation.
        match self.told.iter_mut().rev().find(|other| other.sequence == told.sequence) {
            Some(before) => self.bytes += before.add(told),
            None => {
                self.bytes += told.size();
                self.told.push_back(told);
            }
        }
        self.bound();
        true
    }

    /// Keeps a reservation that is being shown, as the ledger has it: the change that made it so may have been told to nobody
    /// else. As [`Kept::tell`].
    #[must_use]
    pub(crate) fn show(&mut self, run_id: &str, shown: &Reservation, header: &Header) -> bool {
        // Nearly always it was read long ago.
        let Some(&sequence) = shown.changes.last().filter(|sequence| **sequence > self.read_until()) else {
            return self.may_tell(run_id);
        };
        let kind = match (shown.changes.len(), shown.state) {
            (1, _) => "reserve",
            (_, State::Held) => "amend",
            (_, State::Confirmed) => "confirm",
            (_, State::Cancelled) => "cancel",
            (_, State::Expired) => "expire",
        };
        let mut rows = String::new();
        // A sweep has ended others, too: whom, follows from the sale clock.
        if kind != "expire" {
            shown.write_line(&mut rows);
        }
        let (at, clock) = (header.time, header.sale_clock);
        self.tell(run_id, Told { sequence, kind, at, clock, fields: Vec::new(), rows })
    }

    fn bound(&mut self) {
        while self.bytes > BYTES_MAX {
            if let Some((sequence, entry)) = self.read.pop_front() {
                self.bytes -= entry.0.len();
                self.since = sequence;
            } else if let Some(told) = self.told.pop_front() {
                self.bytes -= told.size();
                self.since = self.since.max(told.sequence);
            } else {
                return;
            }
        }
    }

    /// What is kept after a sequence.
    pub(crate) fn after(&self, sequence: u64) -> (Vec<(u64, Value)>, Vec<Told>) {
        let read = self.read.iter().filter(|(at, _)| *at > sequence);
        (
            read.map(|(at, entry)| (*at, entry.unpack())).collect(),
            self.told.iter().filter(|told| told.sequence > sequence).cloned().collect(),
        )
    }
}

/// An entry in one piece: as Redis gives it, it takes several times its text.
#[derive(Debug)]
struct Packed(Box<[u8]>);

impl Packed {
    /// Each text after its length: the id first, then fields and values in turn.
    fn of(entry: &Value) -> Self {
        fn push(packed: &mut Vec<u8>, value: &Value) {
            match value {
                Value::Array(values) => values.iter().for_each(|value| push(packed, value)),
                other => {
                    let text = text(other).unwrap_or_default();
                    packed.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
                    packed.extend_from_slice(text.as_bytes());
                }
            }
        }
        let mut packed = Vec::new();
        push(&mut packed, entry);
        Self(packed.into_boxed_slice())
    }

    fn unpack(&self) -> Value {
        let (mut texts, mut rest) = (Vec::new(), &self.0[..]);
        while let Some((length, after)) = rest.split_first_chunk() {
            let length = (u32::from_le_bytes(*length) as usize).min(after.len());
            let (text, after) = after.split_at(length);
            texts.push(Value::BulkString(text.to_vec()));
            rest = after;
        }
        let fields = texts.split_off(texts.len().min(1));
        Value::Array(texts.into_iter().chain([Value::Array(fields)]).collect())
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
            assert!(kept.tell("r", told(sequence)));
        }
        assert_eq!((kept.since(), kept.last()), (3, 9));
        assert_eq!(kept.after(4).0, [(5, entry(5, 1))]);
        assert_eq!(sequences(&kept, 4), (vec![5], vec![7, 6, 9]));
        kept.read([entry(6, 1), entry(7, 1)]);
        // Read again after a connection was lost.
        kept.read([entry(7, 1)]);
        assert_eq!(sequences(&kept, 0), (vec![4, 5, 6, 7], vec![9]));
        // Once all is reported nothing is told, and later only what the Redis says that has taken the sale in, be it the one before.
        kept.close();
        assert!(!kept.tell("r", told(11)) && !kept.may_tell("other"));
        kept.trust("other");
        assert!(!kept.may_tell("r") && kept.tell("other", told(12)));
        kept.close();
        kept.trust("r");
        assert!(kept.may_tell("r") && !kept.may_tell("other"));
        assert_eq!(kept.last(), 12);
        kept.begin(12, vec![entry(9, 1)]);
        assert_eq!((kept.since(), sequences(&kept, 0)), (8, (vec![9], vec![12])));
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
        assert!(kept.tell("r", Told { rows: "x".repeat(BYTES_MAX + 1), ..told(100) }));
        assert_eq!((kept.since(), kept.bytes, kept.last()), (100, 0, 100));
    }
}
