//! A batch as the scripts of sign-ups and standby queues take it: a line for each request.

use redis::{RedisWrite, ToRedisArgs, Value};

use crate::domain::catalogue::Catalogue;
use crate::domain::decision::{Header, Shed};
use crate::projection::read_model::Sale;
use crate::reserve::batch::tap::Tap;
use crate::reserve::batch::{Batch, Batched};
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

/// The reply to such a batch: a letter for each request, and details of some.
pub(super) struct Letters<'a> {
    pub(super) header: Header,
    /// Precedes the letters.
    pub(super) first: String,
    letters: std::vec::IntoIter<u8>,
    details: &'a [Value],
}

impl<'a> Letters<'a> {
    pub(super) fn of(reply: &'a [Value], requests: usize) -> Option<Self> {
        let header = Header::of(reply).ok()?;
        let first = reply.get(2).and_then(text)?;
        let letters = text(reply.get(3)?)?.into_bytes();
        let is_whole = letters.len() == requests;
        let (letters, details) = (letters.into_iter(), &reply[4..]);
        is_whole.then_some(Self { header, first, letters, details })
    }

    /// The letter of the next request.
    pub(super) fn next(&mut self) -> Option<u8> {
        self.letters.next()
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
