//! Keeps the histories of ended sessions packed, buyer by buyer in partitions: a soak of a day has millions.
//!
//! A history is kept as the JSON of run-record.json: another form would have to cover each of its attributes again, and
//! deflated it is not larger.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::failure::Failure;
use crate::load::history::TapHistory;

/// All histories of a run, in the order in which their sessions ended.
#[derive(Clone, Debug)]
pub(crate) struct PackedHistories {
    /// All histories of a buyer are in one of them.
    partitions: Vec<Partition>,
    len: u64,
    /// Why one could not be packed: without it nothing is proved.
    failure: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    full: Vec<Block>,
    open: Vec<u8>,
}

/// Deflated entries: an entry is a history's place, the length of its text, and its text.
#[derive(Clone, Debug)]
struct Block {
    /// To be added to the places in it.
    offset: u64,
    deflated: Box<[u8]>,
}

/// A history's text, and the hash of its buyer.
pub(crate) struct Packed {
    buyer: u64,
    json: Result<Vec<u8>, String>,
}

/// The proof unpacks one at a time: of a soak of a day, 34,000 histories.
const PARTITIONS: usize = 256;
/// Deflate looks back 32 KiB; the open blocks of all partitions take 16 MiB.
const BLOCK_BYTES: usize = 64 << 10;
const PLACE_BYTES: usize = size_of::<u64>();
const HEAD_BYTES: usize = PLACE_BYTES + size_of::<u32>();

impl Packed {
    pub(crate) fn new(history: &TapHistory) -> Packed {
        // The same in each process: the parts of a run are merged partition by partition.
        let mut hasher = DefaultHasher::new();
        history.buyer.hash(&mut hasher);
        Packed {
            buyer: hasher.finish(),
            json: serde_json::to_vec(history).map_err(|error| error.to_string()),
        }
    }
}

impl Default for PackedHistories {
    fn default() -> PackedHistories {
        PackedHistories::in_partitions(PARTITIONS)
    }
}

impl PackedHistories {
    pub(crate) fn in_partitions(partitions: usize) -> PackedHistories {
        PackedHistories { partitions: vec![Partition::default(); partitions.max(1)], len: 0, failure: None }
    }

    pub(crate) fn push(&mut self, packed: Packed) {
        let partition = (packed.buyer % self.partitions.len() as u64) as usize;
        let pushed = packed.json.and_then(|json| self.partitions[partition].push(self.len, &json));
        self.failure = self.failure.take().or(pushed.err());
        self.len += 1;
    }

    /// Adds those of another part of the run, which has its own buyers and as many partitions.
    pub(crate) fn append(&mut self, other: PackedHistories) {
        self.failure = self.failure.take().or(other.failure);
        for (own, other) in self.partitions.iter_mut().zip(other.partitions) {
            let closed = own.close().and_then(|()| own.append(other, self.len));
            self.failure = self.failure.take().or(closed.err());
        }
        self.len += other.len;
    }

    /// How many partitions there are.
    pub(crate) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// The histories of one partition, each with its place among all, in order.
    pub(crate) fn partition(&self, partition: usize) -> Result<Vec<(u64, TapHistory)>, Failure> {
        self.check()?;
        let mut reader = Reader::new(&self.partitions[partition]);
        let mut histories = Vec::new();
        while let Some(next) = reader.next()? {
            histories.push(next);
        }
        Ok(histories)
    }

    /// Calls this with each history, in order.
    pub(crate) fn each(&self, mut call: impl FnMut(TapHistory)) -> Result<(), Failure> {
        self.try_each(|history| {
            call(history);
            Ok(())
        })
    }

    fn try_each<E: From<Failure>>(&self, mut call: impl FnMut(TapHistory) -> Result<(), E>) -> Result<(), E> {
        self.check()?;
        let mut readers: Vec<Reader<'_>> = self.partitions.iter().map(Reader::new).collect();
        let mut next = BinaryHeap::new();
        for (n, reader) in readers.iter_mut().enumerate() {
            next.extend(reader.place()?.map(|place| Reverse((place, n))));
        }
        while let Some(Reverse((_, n))) = next.pop() {
            if let Some((_, history)) = readers[n].next()? {
                call(history)?;
            }
            next.extend(readers[n].place()?.map(|place| Reverse((place, n))));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Failure> {
        match &self.failure {
            Some(why) => Err(Failure::Outside(format!("a buyer's history could not be kept: {why}"))),
            None => Ok(()),
        }
    }
}

impl Partition {
    fn push(&mut self, place: u64, json: &[u8]) -> Result<(), String> {
        let len = u32::try_from(json.len()).map_err(|error| error.to_string())?;
        self.open.extend(place.to_le_bytes());
        self.open.extend(len.to_le_bytes());
        self.open.extend(json);
        if self.open.len() >= BLOCK_BYTES { self.close() } else { Ok(()) }
    }

    /// Deflates the open block.
    fn close(&mut self) -> Result<(), String> {
        if self.open.is_empty() {
            return Ok(());
        }
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
        let deflated = deflated.write_all(&self.open).and_then(|()| deflated.finish());
        let deflated = deflated.map_err(|error| error.to_string())?.into_boxed_slice();
        self.full.push(Block { offset: 0, deflated });
        self.open.clear();
        Ok(())
    }

    fn append(&mut self, mut other: Partition, offset: u64) -> Result<(), String> {
        other.close()?;
        let moved = other.full.into_iter().map(|block| Block { offset: block.offset + offset, ..block });
        self.full.extend(moved);
        Ok(())
    }
}

/// Reads the entries of a partition, one block after the other.
struct Reader<'a> {
    full: std::slice::Iter<'a, Block>,
    open: Option<&'a [u8]>,
    offset: u64,
    block: Vec<u8>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(partition: &'a Partition) -> Reader<'a> {
        let open = Some(partition.open.as_slice());
        Reader { full: partition.full.iter(), open, offset: 0, block: Vec::new(), at: 0 }
    }

    /// The next history with its place.
    fn next(&mut self) -> Result<Option<(u64, TapHistory)>, Failure> {
        let Some(place) = self.place()? else { return Ok(None) };
        let len = self.bytes(self.at + PLACE_BYTES).map(u32::from_le_bytes).map(|len| len as usize);
        let from = self.at + HEAD_BYTES;
        let text = len.and_then(|len| self.block.get(from..from + len)).unwrap_or_default();
        let history = serde_json::from_slice(text).map_err(unreadable)?;
        self.at = from + text.len();
        Ok(Some((place, history)))
    }

    /// The place of the next one.
    fn place(&mut self) -> Result<Option<u64>, Failure> {
        while self.at >= self.block.len() {
            (self.at, self.offset) = (0, 0);
            self.block.clear();
            if let Some(block) = self.full.next() {
                self.offset = block.offset;
                DeflateDecoder::new(&*block.deflated).read_to_end(&mut self.block).map_err(unreadable)?;
            } else if let Some(open) = self.open.take() {
                self.block.extend(open);
            } else {
                return Ok(None);
            }
        }
        Ok(self.bytes(self.at).map(|place| self.offset + u64::from_le_bytes(place)))
    }

    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.block.get(at..at + N)?.try_into().ok()
    }
}

fn unreadable(error: impl fmt::Display) -> Failure {
    Failure::Outside(format!("a buyer's history can't be unpacked: {error}"))
}

impl Serialize for PackedHistories {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// What stopped the writing.
        enum Stopped<E> {
            Unread(Failure),
            Unwritten(E),
        }
        impl<E> From<Failure> for Stopped<E> {
            fn from(failure: Failure) -> Stopped<E> {
                Stopped::Unread(failure)
            }
        }
        let mut list = serializer.serialize_seq(usize::try_from(self.len).ok())?;
        let written = self.try_each(|history| list.serialize_element(&history).map_err(Stopped::Unwritten));
        written.map_err(|stopped| match stopped {
            Stopped::Unread(failure) => S::Error::custom(failure),
            Stopped::Unwritten(error) => error,
        })?;
        list.end()
    }
}

impl<'de> Deserialize<'de> for PackedHistories {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PackedHistories, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = PackedHistories;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of histories")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PackedHistories, A::Error> {
                let mut histories = PackedHistories::default();
                while let Some(history) = list.next_element::<TapHistory>()? {
                    histories.push(Packed::new(&history));
                }
                histories.check().map_err(A::Error::custom)?;
                Ok(histories)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests;
