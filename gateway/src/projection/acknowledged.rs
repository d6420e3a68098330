//! What a gateway keeps for a recovery: the end of the journal as read, and changes that it
//! acknowledged and has not read back.

use std::collections::VecDeque;

use redis::Value;
use serde::{Deserialize, Serialize};

use crate::domain::decision::Header;
use crate::domain::reservation::{Reservation, State};
use crate::store::journal::sequence_of;
use crate::store::scripts::text;

/// The most bytes of all entries: some seconds of a launch. Older ones are in the append-only file
/// and on the replicas.
const BYTES_MAX: usize = 16 << 20;

/// A change that this gateway acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Sequence of its entry.
    pub sequence: u64,
    /// Its kind in the journal.
    pub kind: &'static str,
    /// Its `TIME` in Redis, in ms.
    pub at: i64,
    /// Its sale clock, in ms.
    pub clock: i64,
    /// Other fields of its entry, names and values in turn, that its rows do not show.
    pub fields: Vec<String>,
    /// A line for each reservation, `buyer sub row`, as it was after the change, or for each sign-up. The sub is `-` if
    /// an earlier change made the reservation, so that the sub is not needed.
    pub rows: String,
    /// Whether this is all of the change: the winners of a whole batch, or a sweep by its own clock. A reservation that is
    /// only shown may have been one of many.
    pub is_whole: bool,
}

impl Acknowledged {
    /// A change of reservations, with the clocks of the reply that acknowledges it.
    pub(crate) fn of(kind: &'static str, sequence: u64, header: &Header, rows: String) -> Self {
        let Header { time: at, sale_clock: clock, .. } = *header;
        Self { sequence, kind, at, clock, fields: Vec::new(), rows, is_whole: false }
    }

    /// The winners of a batch: all of them, or those of its reply that can be read.
    pub(crate) fn winners(sequence: u64, header: &Header, rows: String, is_whole: bool) -> Self {
        Self { is_whole, ..Self::of("reserve", sequence, header, rows) }
    }

    fn byte_size(&self) -> usize {
        size_of::<Self>() + self.rows.len()
    }

    /// Adds the missing reservations of the same change; returns the added bytes.
    fn merge(&mut self, mut other: Self) -> usize {
        let size = self.byte_size();
        if self.fields.is_empty() && !other.fields.is_empty() {
            // The own batch of sign-ups, of which one was shown before, has the rows in their order.
            std::mem::swap(self, &mut other);
        }
        let known: Vec<String> = self.rows.lines().map(reservation_of).collect();
        for line in other.rows.lines().filter(|line| !known.contains(&reservation_of(line))) {
            if !self.rows.is_empty() && !self.rows.ends_with('\n') {
                self.rows.push('\n');
            }
            self.rows.push_str(line);
        }
        (self.at, self.clock) = (self.at.min(other.at), self.clock.min(other.clock));
        self.is_whole |= other.is_whole;
        self.byte_size() - size
    }
}

/// The identity of a line's reservation: its buyer's part of the id, and its key.
fn reservation_of(line: &str) -> String {
    line.split(' ').step_by(2).take(2).collect()
}

/// A change that a reply acknowledges: its line, the sequence of its entry, and whether this batch made it.
pub(crate) type AcknowledgedLine = (String, u64, bool);

/// The end of a journal, and acknowledged changes that are not in it yet.
#[derive(Debug, Default)]
pub struct AcknowledgementBuffer {
    /// Everything after this sequence that was read or acknowledged is kept.
    since: u64,
    read: VecDeque<(u64, Packed)>,
    acknowledged: VecDeque<Acknowledged>,
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
    pub fn max(self, other: Self) -> Self {
        Self { time: self.time.max(other.time), clock: self.clock.max(other.clock) }
    }
}

/// Which replies may be acknowledged, by epoch.
#[derive(Debug, Default)]
enum Trusted {
    /// All: nothing has been reported yet.
    #[default]
    AnyEpoch,
    /// None: this gateway has submitted its report, and no epoch has been adopted.
    NoEpoch,
    /// Those of the Redis with this adopted epoch.
    Epoch(String),
}

impl AcknowledgementBuffer {
    /// Everything after this sequence that was read or acknowledged is kept.
    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    /// The last sequence that is kept.
    pub(crate) fn last(&self) -> u64 {
        self.acknowledged.iter().map(|acknowledged| acknowledged.sequence).fold(self.last_read(), u64::max)
    }

    /// The last sequence that was read.
    fn last_read(&self) -> u64 {
        self.read.back().map_or(self.since, |(sequence, _)| (*sequence).max(self.since))
    }

    /// The latest clocks by which a request was refused, or a hold shown as expired, for being
    /// late.
    pub(crate) fn late_at(&self) -> Clocks {
        self.late_at
    }

    /// Stores clocks by which something was late: it must stay so if Redis loses its own note of
    /// them.
    pub(crate) fn note_late_by(&mut self, header: &Header) {
        self.late_at = self.late_at.max(Clocks { time: header.time, clock: header.sale_clock });
    }

    /// Restarts from a sale that was read whole at a sequence, with the last entries until then.
    pub(crate) fn reset(&mut self, sequence: u64, entries: Vec<Value>) {
        self.read.clear();
        self.since = entries.first().and_then(sequence_of).map_or(sequence, |first| first.saturating_sub(1));
        self.bytes = self.acknowledged.iter().map(Acknowledged::byte_size).sum();
        self.note_read(entries);
    }

    /// Keeps entries as they were read, each after the one before.
    pub(crate) fn note_read(&mut self, entries: impl IntoIterator<Item = Value>) {
        for entry in entries {
            let last = self.last_read();
            if let Some(sequence) = sequence_of(&entry).filter(|sequence| *sequence > last) {
                let entry = Packed::pack(&entry);
                self.bytes += entry.0.len();
                self.read.push_back((sequence, entry));
            }
        }
        let last = self.last_read();
        let bytes = &mut self.bytes;
        self.acknowledged.retain(|acknowledged| {
            let is_new = acknowledged.sequence > last;
            *bytes -= if is_new { 0 } else { acknowledged.byte_size() };
            is_new
        });
        self.drop_oldest();
    }

    /// Stops acknowledgements of this sale: this gateway is about to submit its report, or the sale
    /// was replaced.
    pub(crate) fn close(&mut self) {
        self.trusted = Trusted::NoEpoch;
    }

    /// Accepts the Redis of this epoch as the one that serves the sale.
    pub(crate) fn trust_epoch(&mut self, epoch: &str) {
        if !self.may_acknowledge(epoch) {
            self.trusted = Trusted::Epoch(epoch.to_owned());
        }
    }

    /// Whether a reply of this Redis may be acknowledged: not after this gateway has submitted its
    /// report.
    pub(crate) fn may_acknowledge(&self, epoch: &str) -> bool {
        match &self.trusted {
            Trusted::AnyEpoch => true,
            Trusted::NoEpoch => false,
            Trusted::Epoch(trusted) => trusted == epoch,
        }
    }

    /// Buffers a change before it is acknowledged, as the Redis of this epoch replied, until its
    /// entry is read. `false`: it must not be acknowledged
    /// ([`AcknowledgementBuffer::may_acknowledge`]).
    #[must_use]
    pub(crate) fn acknowledge(&mut self, epoch: &str, acknowledged: Acknowledged) -> bool {
        if !self.may_acknowledge(epoch) {
            return false;
        }
        if acknowledged.sequence <= self.last_read() {
            return true;
        }
        // Several responses may acknowledge one change, each with its own reservation.
        match self.acknowledged.iter_mut().rev().find(|other| other.sequence == acknowledged.sequence) {
            Some(before) => self.bytes += before.merge(acknowledged),
            None => {
                self.bytes += acknowledged.byte_size();
                self.acknowledged.push_back(acknowledged);
            }
        }
        self.drop_oldest();
        true
    }

    /// Buffers the changes that the reply to a batch of sign-ups or places acknowledges: those that the batch made as one
    /// whole, whose new numbers count up from the first, and those that were made before. Returns as
    /// [`AcknowledgementBuffer::acknowledge`].
    #[must_use]
    pub(crate) fn acknowledge_lines<'a>(
        &mut self,
        epoch: &str,
        (kind, first): (&'static str, u64),
        header: &Header,
        lines: impl Iterator<Item = &'a AcknowledgedLine>,
    ) -> bool {
        let mut may_acknowledge = self.may_acknowledge(epoch);
        let mut made = Vec::new();
        for (line, sequence, is_made) in lines {
            if *is_made {
                made.push(line.as_str());
            } else if *sequence < header.sequence || made.is_empty() {
                may_acknowledge &=
                    self.acknowledge(epoch, Acknowledged::of(kind, *sequence, header, line.clone()));
            }
        }
        if !made.is_empty() {
            let fields = vec!["first".to_owned(), first.to_string()];
            let made = Acknowledged::of(kind, header.sequence, header, made.join("\n"));
            may_acknowledge &= self.acknowledge(epoch, Acknowledged { fields, is_whole: true, ..made });
        }
        may_acknowledge
    }

    /// Buffers a reservation before it is shown: this may be the only acknowledgement of its latest
    /// change. Returns as [`AcknowledgementBuffer::acknowledge`].
    #[must_use]
    pub(crate) fn acknowledge_shown(&mut self, epoch: &str, shown: &Reservation, header: &Header) -> bool {
        // Nearly always it was read long ago.
        let Some(&sequence) = shown.changes.last().filter(|sequence| **sequence > self.last_read()) else {
            return self.may_acknowledge(epoch);
        };
        // The replay looks closer: a confirmed reservation may have been amended since.
        let kind = match (shown.changes.len(), shown.state) {
            (1, _) if shown.is_granted() => "grant",
            (1, _) => "reserve",
            (_, State::Held) => "amend",
            (_, State::Confirmed) => "confirm",
            (_, State::Cancelled) => "cancel",
            (_, State::Expired) if shown.payment.is_some() => "refuse",
            (_, State::Expired) => "expire",
        };
        let mut rows = String::new();
        // A sweep has expired other holds too; the sale clock determines which.
        if kind != "expire" {
            shown.write_line(&mut rows);
        }
        self.acknowledge(epoch, Acknowledged::of(kind, sequence, header, rows))
    }

    fn drop_oldest(&mut self) {
        while self.bytes > BYTES_MAX {
            if let Some((sequence, entry)) = self.read.pop_front() {
                self.bytes -= entry.0.len();
                self.since = sequence;
            } else if let Some(acknowledged) = self.acknowledged.pop_front() {
                self.bytes -= acknowledged.byte_size();
                self.since = self.since.max(acknowledged.sequence);
            } else {
                return;
            }
        }
    }

    /// The kept entries and changes after a sequence.
    pub(crate) fn entries_after(&self, sequence: u64) -> (Vec<(u64, Value)>, Vec<Acknowledged>) {
        let read = self.read.iter().filter(|(at, _)| *at > sequence);
        let acknowledged = self.acknowledged.iter().filter(|change| change.sequence > sequence);
        (read.map(|(at, entry)| (*at, entry.unpack())).collect(), acknowledged.cloned().collect())
    }
}

/// An entry in one piece: Redis's value takes several times the size of its text.
#[derive(Debug)]
struct Packed(Box<[u8]>);

impl Packed {
    /// Each text follows its length: the id first, then fields and values in turn.
    fn pack(entry: &Value) -> Self {
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
mod tests;
