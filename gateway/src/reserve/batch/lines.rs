//! A batch as the scripts of sign-ups and standby queues take it: a line for each request.

use redis::{RedisWrite, ToRedisArgs, Value};

use crate::domain::catalogue::Catalogue;
use crate::domain::decision::{Header, Shed};
use crate::projection::acknowledged::AcknowledgedLine;
use crate::projection::read_model::Sale;
use crate::reserve::batch::tap::Tap;
use crate::reserve::batch::{Batch, Batched, Reply};
use crate::store::scripts::text;

/// The lines of a batch.
#[derive(Default)]
pub struct Lines(Vec<String>);

impl Lines {
    /// Replaces them.
    pub(super) fn fill(&mut self, lines: impl Iterator<Item = String>) {
        self.0.clear();
        self.0.extend(lines);
    }

    /// The arguments of the script.
    pub(super) fn args<'a>(
        &'a self,
        catalogue: &Catalogue,
        identity: &'a str,
        known: u64,
    ) -> impl ToRedisArgs + 'a {
        Args { lines: &self.0, identity, known, revision: catalogue.revision }
    }
}

struct Args<'a> {
    lines: &'a [String],
    identity: &'a str,
    known: u64,
    revision: u64,
}

impl ToRedisArgs for Args<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg(self.identity.as_bytes());
        out.write_arg_fmt(self.known);
        out.write_arg_fmt(self.revision);
        self.lines.iter().for_each(|line| out.write_arg(line.as_bytes()));
    }

    fn num_of_args(&self) -> usize {
        3 + self.lines.len()
    }
}

/// A decision, and the line of the change that it acknowledges.
pub(super) type Read<D> = (D, Option<AcknowledgedLine>);

/// A request whose script replies with letters.
pub(super) trait Lettered: Batched {
    /// What all are answered if the sale has no such thing.
    const NONE: Self::Decision;

    /// The decision of this request, which is the next of the reply; `None`: it can't be read.
    fn read(&self, letters: &mut Letters<'_>, catalogue: &Catalogue) -> Option<Read<Self::Decision>>;
}

/// The decisions of a reply, in the batch's order, and the rest of the reply; `None`: the batch is answered without them.
pub(super) fn read<'a, C: Lettered>(
    batch: &mut Batch<C>,
    reply: &'a Reply,
    sale: &Sale,
) -> Option<(Vec<Read<C::Decision>>, Letters<'a>)> {
    let Reply { values, catalogue, .. } = reply;
    if values.first().and_then(text).as_deref() == Some("none") {
        batch.answer_all(&C::NONE);
        return None;
    }
    let read = Letters::of(values, batch.taps.len()).and_then(|mut letters| {
        let read = batch.taps.iter().map(|tap| tap.command.read(&mut letters, catalogue));
        Some((read.collect::<Option<Vec<_>>>()?, letters))
    });
    if read.is_none() {
        batch.deliver_unreadable(reply, sale);
    }
    read
}

/// The reply to such a batch: a letter for each request, and details of some.
pub(super) struct Letters<'a> {
    pub(super) header: Header,
    /// The number of the first new row.
    pub(super) first: u64,
    /// The time of all new rows, in ms, if the script replies with it.
    pub(super) at: Option<i64>,
    /// The number of the next new row.
    number: u64,
    letters: std::vec::IntoIter<u8>,
    details: &'a [Value],
}

impl<'a> Letters<'a> {
    pub(super) fn of(reply: &'a [Value], requests: usize) -> Option<Self> {
        let header = Header::of(reply).ok()?;
        let first = reply.get(2).and_then(text)?;
        let (first, at) = match first.split_once(' ') {
            Some((first, at)) => (first.parse().ok()?, Some(at.parse().ok()?)),
            None => (first.parse().ok()?, None),
        };
        let letters = text(reply.get(3)?)?.into_bytes();
        let is_whole = letters.len() == requests;
        let (letters, details) = (letters.into_iter(), &reply[4..]);
        is_whole.then_some(Self { header, first, at, number: first, letters, details })
    }

    /// The letter of the next request.
    pub(super) fn next(&mut self) -> Option<u8> {
        self.letters.next()
    }

    /// The number of the next new row.
    pub(super) fn new_number(&mut self) -> u64 {
        self.number += 1;
        self.number - 1
    }

    /// The next detail.
    pub(super) fn detail(&mut self) -> Option<String> {
        let (detail, rest) = self.details.split_first()?;
        self.details = rest;
        text(detail)
    }

    /// The next detail, which has so many numbers.
    pub(super) fn numbers<const N: usize>(&mut self) -> Option<[u64; N]> {
        let detail = self.detail()?;
        let numbers: Option<Vec<u64>> = detail.split(' ').map(|word| word.parse().ok()).collect();
        numbers?.try_into().ok()
    }
}

/// Answers every request of a batch with its decision; if the reply may not be acknowledged, a change is unknown and all
/// else was not carried out.
pub(super) fn answer<C: Batched>(
    batch: &mut Batch<C>,
    sale: &Sale,
    (decisions, sequence): (impl Iterator<Item = C::Decision>, u64),
    may_acknowledge: bool,
    is_change: impl Fn(&C::Decision) -> bool,
) {
    for (Tap { responder, .. }, decision) in batch.taps.drain(..).zip(decisions) {
        responder.answer(match decision {
            decision if may_acknowledge => decision,
            decision if is_change(&decision) => C::unknown(),
            _ => C::not_taken(Shed::Ledger),
        });
    }
    if may_acknowledge {
        sale.advance_known_sequence(sequence);
    }
}
