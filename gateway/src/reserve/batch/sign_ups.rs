//! Batches of sign-ups: the sign-up script decides them.

use redis::ToRedisArgs;

use crate::domain::catalogue::Catalogue;
use crate::domain::choice::Choice;
use crate::domain::decision::Shed;
use crate::domain::identity::buyer_part;
use crate::domain::signup::{SignUp, choices_to_word};
use crate::domain::subject::to_word;
use crate::projection::read_model::Sale;
use crate::reserve::batch::lines::{self, Lettered, Letters, Lines, Read};
use crate::reserve::batch::{Batch, Batched, Reply};
use crate::store::scripts::Script;

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

impl Lettered for SignUpCommand {
    const NONE: SignUpDecision = SignUpDecision::None;

    fn read(&self, letters: &mut Letters<'_>, catalogue: &Catalogue) -> Option<Read<SignUpDecision>> {
        let (sequence, made_at) = (letters.header.sequence, letters.at?);
        let sign_up = |number, at| SignUp { number, at, choices: self.choices.clone() };
        Some(match letters.next()? {
            b'N' => {
                let number = letters.new_number();
                let made = (self.line(number, made_at), sequence, true);
                (SignUpDecision::New(sign_up(number, made_at)), Some(made))
            }
            b'C' => {
                let [number, at] = letters.numbers()?;
                let at = i64::try_from(at).ok()?;
                (SignUpDecision::Kept(sign_up(number, at)), Some((self.line(number, at), sequence, true)))
            }
            b'S' => {
                let [number, at, sequence] = letters.numbers()?;
                let at = i64::try_from(at).ok()?;
                (SignUpDecision::Kept(sign_up(number, at)), Some((self.line(number, at), sequence, false)))
            }
            b'O' => (SignUpDecision::NotOpen, None),
            b'X' => (SignUpDecision::Over, None),
            b'U' => (SignUpDecision::UnknownItem(self.unknown_items(catalogue)), None),
            b'D' => (SignUpDecision::NotTaken(Shed::Ledger), None),
            _ => return None,
        })
    }
}

impl Batched for SignUpCommand {
    type Decision = SignUpDecision;
    type Columns = Lines;

    const SCRIPT: Script = Script::SignUp;
    /// A read of one sign-up looks through the entry of its batch.
    const BATCH_MAX: usize = 64;

    fn not_taken(why: Shed) -> SignUpDecision {
        SignUpDecision::NotTaken(why)
    }

    fn unknown() -> SignUpDecision {
        SignUpDecision::Unknown
    }

    fn fill<'a>(lines: &mut Lines, batch: impl Iterator<Item = &'a Self>, catalogue: &Catalogue) {
        lines.fill(batch.map(|command| {
            let Self { buyer_part, sub, choices } = command;
            let mark = if command.unknown_items(catalogue).is_empty() { "" } else { " ?" };
            format!("{buyer_part} {sub} {}{mark}", choices_to_word(choices))
        }));
    }

    fn args<'a>(
        lines: &'a Lines,
        catalogue: &'a Catalogue,
        identity: &'a str,
        known: u64,
    ) -> impl ToRedisArgs + 'a {
        lines.args(catalogue, identity, known)
    }

    fn deliver(batch: &mut Batch<Self>, reply: &Reply, sale: &Sale) {
        let Some((read, letters)) = lines::read(batch, reply, sale) else { return };
        let (epoch, header) = (&reply.epoch, &letters.header);
        // All of it is buffered before any acknowledgement.
        let mut acknowledged = sale.acknowledged();
        let lines = read.iter().filter_map(|(_, change)| change.as_ref());
        let may_acknowledge = acknowledged.acknowledge_lines(epoch, ("signup", letters.first), header, lines);
        if may_acknowledge && read.iter().any(|(decision, _)| *decision == SignUpDecision::Over) {
            acknowledged.note_late_by(header);
        }
        drop(acknowledged);
        let sequence = header.sequence;
        let decisions = read.into_iter().map(|(decision, _)| decision);
        let is_change =
            |decision: &Self::Decision| matches!(decision, SignUpDecision::New(_) | SignUpDecision::Kept(_));
        lines::answer(batch, sale, (decisions, sequence), may_acknowledge, is_change);
    }
}
