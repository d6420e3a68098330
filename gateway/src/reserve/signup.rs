//! Calls on one buyer's sign-up: read, withdraw.

use crate::domain::decision::{Header, Shed};
use crate::domain::identity::buyer_part;
use crate::domain::signup::{SignUp, SignUpChange};
use crate::domain::subject::to_word;
use crate::projection::acknowledged::Acknowledged;
use crate::projection::read_model::Sale;
use crate::reserve::changes::require_connection;
use crate::store::connection::{PRIMARY_CHANGED, RedisConnection};
use crate::store::dial::Dial;
use crate::store::record::read_sign_up;
use crate::store::reply::text;
use crate::store::scripts::{Failure, Script};

/// The outcome of a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withdrawal {
    /// The buyer is not signed up, now or before.
    Done,
    /// Sign-up is over: the buyer stays signed up.
    Over,
    /// Not carried out.
    NotTaken(Shed),
    /// Sent to Redis without a reply: the outcome is unknown.
    Unknown,
}

/// A change of a buyer's sign-up, as this gateway acknowledges it.
fn acknowledged(
    (sale, sub): (&Sale, &str),
    after: Option<SignUp>,
    sequence: u64,
    header: &Header,
) -> Acknowledged {
    let kind = if after.is_some() { "signup" } else { "withdraw" };
    let line = SignUpChange { sub: to_word(sub), after }.to_line(&sale.id).unwrap_or_default();
    Acknowledged::of(kind, sequence, header, line)
}

/// A buyer's sign-up; `None`: there is none, or it was withdrawn.
pub async fn read<D: Dial>(
    connection: &RedisConnection<D>,
    sale: &Sale,
    sub: &str,
) -> Result<Option<SignUp>, Failure> {
    let live = require_connection(connection)?;
    let identity = sale.ledger_identity(&live.epoch);
    let args = (buyer_part(&sale.id, sub), to_word(sub), identity, sale.known_sequence());
    let reply = connection.call(&live, Script::ReadSignup, &sale.keys, args).await;
    let reply = reply.inspect_err(|failure| sale.note_refusal(failure))?;
    let (stored, header) = read_sign_up(&reply)?;
    let mut buffer = sale.acknowledged();
    // What is shown is acknowledged, too: this may be the only answer about it.
    let may_acknowledge = match &stored {
        Some((sign_up, sequence)) => {
            let shown = acknowledged((sale, sub), sign_up.clone(), *sequence, &header);
            buffer.acknowledge(&live.epoch, shown)
        }
        None => buffer.may_acknowledge(&live.epoch),
    };
    drop(buffer);
    if !may_acknowledge {
        return Err(Failure::NotDone(PRIMARY_CHANGED.to_owned()));
    }
    Ok(stored.and_then(|(sign_up, _)| sign_up))
}

/// Withdraws a buyer's sign-up.
pub async fn withdraw<D: Dial>(connection: &RedisConnection<D>, sale: &Sale, sub: &str) -> Withdrawal {
    match try_withdraw(connection, sale, sub).await {
        Ok(outcome) => outcome,
        Err(Failure::Unknown(_) | Failure::NotReplicated { .. }) => Withdrawal::Unknown,
        Err(failure) => {
            tracing::debug!(sale = sale.id, %failure, "a sign-up was not withdrawn");
            Withdrawal::NotTaken(failure.shed())
        }
    }
}

async fn try_withdraw<D: Dial>(
    connection: &RedisConnection<D>,
    sale: &Sale,
    sub: &str,
) -> Result<Withdrawal, Failure> {
    let live = require_connection(connection)?;
    let identity = sale.ledger_identity(&live.epoch);
    let args = (identity, sale.known_sequence(), buyer_part(&sale.id, sub), to_word(sub));
    let reply = connection.call(&live, Script::Withdraw, &sale.keys, args).await;
    let reply = reply.inspect_err(|failure| sale.note_refusal(failure))?;
    let header = Header::of(&reply)?;
    let is_over = reply.first().and_then(text).as_deref() == Some("over");
    let mut buffer = sale.acknowledged();
    let may_acknowledge = if is_over {
        buffer.note_late_by(&header);
        buffer.may_acknowledge(&live.epoch)
    } else {
        let sequence = reply.get(2).and_then(text).and_then(|sequence| sequence.parse().ok());
        match sequence.ok_or_else(|| Failure::unreadable("a withdrawal that can't be read"))? {
            0 => buffer.may_acknowledge(&live.epoch),
            sequence => {
                // Alone in its entry. Of one that was made before the clocks are later ones.
                let is_whole = reply.get(3).and_then(text).as_deref() == Some("1");
                let change = acknowledged((sale, sub), None, sequence, &header);
                buffer.acknowledge(&live.epoch, Acknowledged { is_whole, ..change })
            }
        }
    };
    drop(buffer);
    if !may_acknowledge {
        return Err(Failure::Unknown(PRIMARY_CHANGED.to_owned()));
    }
    sale.advance_known_sequence(header.sequence);
    Ok(if is_over { Withdrawal::Over } else { Withdrawal::Done })
}
