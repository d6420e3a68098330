//! Batches of requests to join standby queues: the join script decides them.

use redis::ToRedisArgs;

use crate::domain::catalogue::Catalogue;
use crate::domain::choice::Choice;
use crate::domain::decision::{Decision, PurchaseLimit, Shed};
use crate::domain::identity::buyer_part;
use crate::domain::reservation::Reservation;
use crate::domain::subject::to_word;
use crate::projection::read_model::Sale;
use crate::reserve::batch::lines::{self, Lettered, Letters, Lines, Read};
use crate::reserve::batch::{Batch, Batched, Reply};
use crate::store::scripts::Script;

/// A request to join the queue of a model, or to wait for something else there.
#[derive(Debug, Clone)]
pub struct JoinCommand {
    buyer_part: String,
    /// The buyer, as a word of the ledger.
    sub: String,
    choice: Choice,
}

/// The one decision of such a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinDecision {
    /// Joined by this request, at this position.
    Joined(u64),
    /// Waited already, for the same or for another model; now at this position of the wanted one.
    Waiting(u64),
    /// Has been granted this reservation of this model, which is not over.
    Granted(String, Box<Reservation>),
    /// Can't reserve, and so can't wait, for a reason that taps have, too; or it was not carried out.
    Refused(Decision),
    /// The model can be reserved.
    NotSoldOut,
    /// The queue of the model is full.
    Full,
    /// The sale has no standby queues.
    None,
}

impl JoinCommand {
    /// A buyer's request.
    pub fn new(sale: &str, sub: &str, choice: Choice) -> Self {
        Self { buyer_part: buyer_part(sale, sub), sub: to_word(sub), choice }
    }

    fn unknown_items(&self, catalogue: &Catalogue) -> Vec<String> {
        let Choice { model, packages, store } = &self.choice;
        catalogue.unknown(model, packages, store.as_deref())
    }

    /// What a recovery needs of it once it is a place (see `PlaceChange::to_line`).
    fn line(&self, number: u64) -> String {
        let Self { buyer_part, sub, choice } = self;
        format!("{buyer_part} {sub} {choice} {number}")
    }
}

impl Lettered for JoinCommand {
    const NONE: JoinDecision = JoinDecision::None;

    fn read(&self, letters: &mut Letters<'_>, catalogue: &Catalogue) -> Option<Read<JoinDecision>> {
        let header = letters.header;
        let made = |number| Some((self.line(number), header.sequence, true));
        let refused = |decision| Some((JoinDecision::Refused(decision), None));
        match letters.next()? {
            letter @ (b'J' | b'M') => {
                let [position] = letters.numbers()?;
                let decision = match letter {
                    b'J' => JoinDecision::Joined(position),
                    _ => JoinDecision::Waiting(position),
                };
                Some((decision, made(letters.new_number())))
            }
            b'W' => {
                let [number, position] = letters.numbers()?;
                Some((JoinDecision::Waiting(position), made(number)))
            }
            b'S' => {
                let [number, position, sequence] = letters.numbers()?;
                Some((JoinDecision::Waiting(position), Some((self.line(number), sequence, false))))
            }
            b'H' => {
                let detail = letters.detail()?;
                let mut words = detail.splitn(3, ' ').skip(1);
                let granted = Choice::from_word(words.next()?)?;
                let reservation = Reservation::from_row(&self.buyer_part, &self.sub, words.next()?)?;
                Some((JoinDecision::Granted(granted.model, Box::new(reservation)), None))
            }
            b'C' => refused(Decision::Closed),
            b'N' => refused(Decision::NotOpen(header.time)),
            b'P' => refused(Decision::Paused),
            b'G' => refused(Decision::NotSignedUp),
            b'U' => refused(Decision::UnknownItem(self.unknown_items(catalogue))),
            letter @ (b'L' | b'A') => {
                let ids = letters.detail()?.split(' ').map(str::to_owned).collect();
                let limit = if letter == b'L' { PurchaseLimit::PerBuyer } else { PurchaseLimit::Attempts };
                refused(Decision::PurchaseLimit(limit, ids))
            }
            b'I' => Some((JoinDecision::NotSoldOut, None)),
            b'F' => Some((JoinDecision::Full, None)),
            b'D' => refused(Decision::NotTaken(Shed::Ledger)),
            _ => None,
        }
    }
}

impl Batched for JoinCommand {
    type Decision = JoinDecision;
    type Columns = Lines;

    const SCRIPT: Script = Script::Join;
    /// Of each request the script reads the buyer's record, too.
    const BATCH_MAX: usize = 64;

    fn not_taken(why: Shed) -> JoinDecision {
        JoinDecision::Refused(Decision::NotTaken(why))
    }

    fn unknown() -> JoinDecision {
        JoinDecision::Refused(Decision::Unknown)
    }

    fn fill<'a>(lines: &mut Lines, batch: impl Iterator<Item = &'a Self>, catalogue: &Catalogue) {
        lines.fill(batch.map(|command| {
            let Self { buyer_part, sub, choice } = command;
            let mark = if command.unknown_items(catalogue).is_empty() { "" } else { " ?" };
            format!("{buyer_part} {sub} {choice}{mark}")
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
        let mut may_acknowledge =
            acknowledged.acknowledge_lines(epoch, ("join", letters.first), header, lines);
        for (decision, _) in &read {
            match decision {
                JoinDecision::Granted(_, reservation) => {
                    may_acknowledge &= acknowledged.acknowledge_shown(epoch, reservation, header);
                }
                JoinDecision::Refused(Decision::Closed) => acknowledged.note_late_by(header),
                _ => {}
            }
        }
        drop(acknowledged);
        let sequence = header.sequence;
        let decisions = read.into_iter().map(|(decision, _)| decision);
        let is_change = |decision: &Self::Decision| {
            matches!(decision, JoinDecision::Joined(_) | JoinDecision::Waiting(_))
        };
        lines::answer(batch, sale, (decisions, sequence), may_acknowledge, is_change);
    }
}
