//! Calls on one buyer's sign-up: read, withdraw.

use crate::domain::decision::Shed;
use crate::domain::identity::buyer_part;
use crate::domain::signup::{SignUp, SignUpChange};
use crate::domain::subject::to_word;
use crate::projection::acknowledged::Acknowledged;
use crate::projection::read_model::Sale;
use crate::reserve::changes::require_connection;
use crate::reserve::take_back::take_back;
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

/// The line of a change of a buyer's sign-up.
fn line((sale, sub): (&Sale, &str), after: Option<SignUp>) -> String {
    SignUpChange { sub: to_word(sub), after }.to_line(&sale.id).unwrap_or_default()
}

/// A buyer's sign-up, with the id of the reservation that a draw gave; `None`: there is none, or it was withdrawn.
pub async fn read<D: Dial>(
    connection: &RedisConnection<D>,
    sale: &Sale,
    sub: &str,
) -> Result<Option<(SignUp, Option<String>)>, Failure> {
    let live = require_connection(connection)?;
    let identity = sale.ledger_identity(&live.epoch);
    let args = (buyer_part(&sale.id, sub), to_word(sub), identity, sale.known_sequence());
    let reply = connection.call(&live, Script::ReadSignup, &sale.keys, args).await;
    let reply = reply.inspect_err(|failure| sale.note_refusal(failure))?;
    let (stored, header) = read_sign_up(&reply)?;
    let reservation = reply.get(5).and_then(text).filter(|id| !id.is_empty());
    let mut buffer = sale.acknowledged();
    // What is shown is acknowledged, too: this may be the only answer about it.
    let may_acknowledge = match &stored {
        Some((sign_up, sequence)) => {
            let kind = if sign_up.is_some() { "signup" } else { "withdraw" };
            let shown = line((sale, sub), sign_up.clone());
            buffer.acknowledge(&live.epoch, Acknowledged::of(kind, *sequence, &header, shown))
        }
        None => buffer.may_acknowledge(&live.epoch),
    };
    drop(buffer);
    if !may_acknowledge {
        return Err(Failure::NotDone(PRIMARY_CHANGED.to_owned()));
    }
    Ok(stored.and_then(|(sign_up, _)| sign_up).map(|sign_up| (sign_up, reservation)))
}

/// Withdraws a buyer's sign-up.
pub async fn withdraw<D: Dial>(connection: &RedisConnection<D>, sale: &Sale, sub: &str) -> Withdrawal {
    let line = line((sale, sub), None);
    match take_back(connection, (sale, sub), (Script::Withdraw, "withdraw"), line).await {
        Ok(true) => Withdrawal::Over,
        Ok(false) => Withdrawal::Done,
        Err(Failure::Unknown(_) | Failure::NotReplicated { .. }) => Withdrawal::Unknown,
        Err(failure) => {
            tracing::debug!(sale = sale.id, %failure, "a sign-up was not withdrawn");
            Withdrawal::NotTaken(failure.shed())
        }
    }
}
