//! Batches of sign-ups: the sign-up script decides them.

use redis::{RedisWrite, ToRedisArgs, Value};

use crate::domain::catalogue::Catalogue;
use crate::domain::decision::{Header, Shed};
use crate::domain::identity::buyer_part;
use crate::domain::signup::{Choice, SignUp, choices_to_word};
use crate::domain::subject::to_word;
use crate::projection::acknowledged::Acknowledged;
use crate::projection::read_model::Sale;
use crate::reserve::batch::tap::Tap;
use crate::reserve::batch::{Batch, Batched, Reply};
use crate::store::scripts::{Script, text};

/// A request to sign up, or to change one's choices.
#[derive(Debug, Clone)]
pub struct SignUpCommand {
    buyer_part: String,
    /// The buyer, as a word of the ledger.
    sub: String,
    choices: Vec<Choice>,
}

/// The one decision of a sign-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignUpDecision {
    /// Signed up by this request.
    New(SignUp),
    /// Signed up before; the choices are those of this request now.
    Kept(SignUp),
    /// Sign-up has not opened.
    NotOpen,
    /// Sign-up is over.
    Over,
    /// These items do not exist or do not fit their model.
    UnknownItem(Vec<String>),
    /// The sale takes no sign-ups.
    None,
    /// Not carried out.
    NotTaken(Shed),
    /// Sent to Redis without a reply: the outcome is unknown.
    Unknown,
}

impl SignUpCommand {
    /// A buyer's request.
    pub fn new(sale: &str, sub: &str, choices: Vec<Choice>) -> Self {
        Self { buyer_part: buyer_part(sale, sub), sub: to_word(sub), choices }
    }

    /// The items of the choices that do not exist or do not fit their model, sorted.
    fn unknown_items(&self, catalogue: &Catalogue) -> Vec<String> {
        let of =
            |choice: &Choice| catalogue.unknown(&choice.model, &choice.packages, choice.store.as_deref());
        let mut unknown: Vec<String> = self.choices.iter().flat_map(of).collect();
        unknown.sort();
        unknown.dedup();
        unknown
    }

    /// What a recovery needs of it once it is a sign-up (see `SignUpChange::to_line`).
    fn line(&self, number: u64, at: i64) -> String {
        let Self { buyer_part, sub, choices } = self;
        format!("{buyer_part} {sub} {} {number} {at}", choices_to_word(choices))
    }
}

/// The lines of a batch, as the script takes them.
#[derive(Default)]
pub struct SignUpLines(Vec<String>);

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

/// A decision, and the line of the change that it acknowledges, with the change's sequence; `true`: this batch made it.
type Read = (SignUpDecision, Option<(String, u64, bool)>);

/// The decisions of one reply, in the batch's order.
struct Decisions<'a> {
    header: Header,
    first: u64,
    /// The number of the next new one.
    number: u64,
    at: i64,
    letters: std::vec::IntoIter<u8>,
    details: &'a [Value],
}

impl<'a> Decisions<'a> {
    fn of(reply: &'a [Value], requests: usize) -> Option<Self> {
        let header = Header::of(reply).ok()?;
        let first_at = reply.get(2).and_then(text)?;
        let (first, at) = first_at.split_once(' ')?;
        let (first, at) = (first.parse().ok()?, at.parse().ok()?);
        let letters = text(reply.get(3)?)?.into_bytes();
        let is_whole = letters.len() == requests;
        let (letters, details) = (letters.into_iter(), &reply[4..]);
        is_whole.then_some(Self { header, first, number: first, at, letters, details })
    }

    fn next(&mut self, command: &SignUpCommand, catalogue: &Catalogue) -> Option<Read> {
        let sign_up = |number, at| SignUp { number, at, choices: command.choices.clone() };
        Some(match self.letters.next()? {
            b'N' => {
                let number = self.number;
                self.number += 1;
                let made = (command.line(number, self.at), self.header.sequence, true);
                (SignUpDecision::New(sign_up(number, self.at)), Some(made))
            }
            b'C' => {
                let [number, at] = self.numbers()?;
                let at = i64::try_from(at).ok()?;
                let made = (command.line(number, at), self.header.sequence, true);
                (SignUpDecision::Kept(sign_up(number, at)), Some(made))
            }
            b'S' => {
                let [number, at, sequence] = self.numbers()?;
                let at = i64::try_from(at).ok()?;
                (SignUpDecision::Kept(sign_up(number, at)), Some((command.line(number, at), sequence, false)))
            }
            b'O' => (SignUpDecision::NotOpen, None),
            b'X' => (SignUpDecision::Over, None),
            b'U' => (SignUpDecision::UnknownItem(command.unknown_items(catalogue)), None),
            b'D' => (SignUpDecision::NotTaken(Shed::Ledger), None),
            _ => return None,
        })
    }

    fn numbers<const N: usize>(&mut self) -> Option<[u64; N]> {
        let (detail, rest) = self.details.split_first()?;
        self.details = rest;
        let detail = text(detail)?;
        let numbers: Option<Vec<u64>> = detail.split(' ').map(|word| word.parse().ok()).collect();
        numbers?.try_into().ok()
    }
}

impl Batched for SignUpCommand {
    type Decision = SignUpDecision;
    type Columns = SignUpLines;

    const SCRIPT: Script = Script::SignUp;
    /// A read of one sign-up looks through the entry of its batch.
    const BATCH_MAX: usize = 64;

    fn not_taken(why: Shed) -> SignUpDecision {
        SignUpDecision::NotTaken(why)
    }

    fn unknown() -> SignUpDecision {
        SignUpDecision::Unknown
    }

    fn fill<'a>(
        SignUpLines(lines): &mut SignUpLines,
        batch: impl Iterator<Item = &'a Self>,
        catalogue: &Catalogue,
    ) {
        lines.clear();
        lines.extend(batch.map(|command| {
            let Self { buyer_part, sub, choices } = command;
            let mark = if command.unknown_items(catalogue).is_empty() { "" } else { " ?" };
            format!("{buyer_part} {sub} {}{mark}", choices_to_word(choices))
        }));
    }

    fn args<'a>(
        SignUpLines(lines): &'a SignUpLines,
        catalogue: &'a Catalogue,
        identity: &'a str,
        known: u64,
    ) -> impl ToRedisArgs + 'a {
        Args { lines, identity, known, revision: catalogue.revision }
    }

    fn deliver(batch: &mut Batch<Self>, reply: &Reply, sale: &Sale) {
        let Reply { values, epoch, catalogue } = reply;
        if values.first().and_then(text).as_deref() == Some("none") {
            return batch.answer_all(&SignUpDecision::None);
        }
        let Some(mut decisions) = Decisions::of(values, batch.taps.len()) else {
            return batch.deliver_unreadable(reply, sale);
        };
        let read = batch.taps.iter().map(|tap| decisions.next(&tap.command, catalogue));
        let read: Option<Vec<Read>> = read.collect();
        let Some(read) = read else { return batch.deliver_unreadable(reply, sale) };
        let header = &decisions.header;
        // All of it is buffered before any acknowledgement.
        let mut acknowledged = sale.acknowledged();
        let mut may_acknowledge = acknowledged.may_acknowledge(epoch);
        let mut made = Vec::new();
        for (line, sequence, is_made) in read.iter().filter_map(|(_, change)| change.as_ref()) {
            if *is_made {
                made.push(line.as_str());
            } else if *sequence < header.sequence || made.is_empty() {
                let shown = Acknowledged::of("signup", *sequence, header, line.clone());
                may_acknowledge &= acknowledged.acknowledge(epoch, shown);
            }
        }
        if !made.is_empty() {
            let fields = vec!["first".to_owned(), decisions.first.to_string()];
            let made = Acknowledged::of("signup", header.sequence, header, made.join("\n"));
            may_acknowledge &=
                acknowledged.acknowledge(epoch, Acknowledged { fields, is_whole: true, ..made });
        }
        if may_acknowledge && read.iter().any(|(decision, _)| *decision == SignUpDecision::Over) {
            acknowledged.note_late_by(header);
        }
        drop(acknowledged);
        for (Tap { responder, .. }, (decision, _)) in batch.taps.drain(..).zip(read) {
            responder.answer(match decision {
                decision if may_acknowledge => decision,
                SignUpDecision::New(_) | SignUpDecision::Kept(_) => SignUpDecision::Unknown,
                _ => SignUpDecision::NotTaken(Shed::Ledger),
            });
        }
        if may_acknowledge {
            sale.advance_known_sequence(header.sequence);
        }
    }
}
