//! Calls on one buyer's place in a standby queue, and the grants that are left to do.

use crate::domain::decision::{Header, Shed};
use crate::domain::identity::buyer_part;
use crate::domain::standby::PlaceChange;
use crate::domain::subject::to_word;
use crate::projection::acknowledged::Acknowledged;
use crate::projection::read_model::Sale;
use crate::reserve::changes::require_connection;
use crate::store::connection::{LiveConnection, PRIMARY_CHANGED, RedisConnection};
use crate::store::dial::Dial;
use crate::store::reply::text;
use crate::store::scripts::{Failure, Script, Scripts};

/// The outcome of leaving a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaving {
    /// The buyer does not wait, now or before.
    Done,
    /// Not carried out.
    NotTaken(Shed),
    /// Sent to Redis without a reply: the outcome is unknown.
    Unknown,
}

/// Takes a buyer out of the queue.
pub async fn leave<D: Dial>(connection: &RedisConnection<D>, sale: &Sale, sub: &str) -> Leaving {
    match try_leave(connection, sale, sub).await {
        Ok(()) => Leaving::Done,
        Err(Failure::Unknown(_) | Failure::NotReplicated { .. }) => Leaving::Unknown,
        Err(failure) => {
            tracing::debug!(sale = sale.id, %failure, "a buyer did not leave the standby queue");
            Leaving::NotTaken(failure.shed())
        }
    }
}

async fn try_leave<D: Dial>(connection: &RedisConnection<D>, sale: &Sale, sub: &str) -> Result<(), Failure> {
    let live = require_connection(connection)?;
    let identity = sale.ledger_identity(&live.epoch);
    let args = (identity, sale.known_sequence(), buyer_part(&sale.id, sub), to_word(sub));
    let reply = connection.call(&live, Script::Leave, &sale.keys, args).await;
    let reply = reply.inspect_err(|failure| sale.note_refusal(failure))?;
    let header = Header::of(&reply)?;
    let word = |at: usize| reply.get(at).and_then(text);
    let sequence = word(2).and_then(|sequence| sequence.parse().ok());
    let mut buffer = sale.acknowledged();
    let may_acknowledge = match sequence.ok_or_else(|| Failure::unreadable("a leaving that can't be read"))? {
        0 => buffer.may_acknowledge(&live.epoch),
        sequence => {
            let line = PlaceChange { sub: to_word(sub), after: None }.to_line(&sale.id).unwrap_or_default();
            // Alone in its entry. Of one that was made before the clocks are later ones.
            let is_whole = word(3).as_deref() == Some("1");
            let change = Acknowledged::of("leave", sequence, &header, line);
            buffer.acknowledge(&live.epoch, Acknowledged { is_whole, ..change })
        }
    };
    drop(buffer);
    if !may_acknowledge {
        return Err(Failure::Unknown(PRIMARY_CHANGED.to_owned()));
    }
    sale.advance_known_sequence(header.sequence);
    Ok(())
}

/// The most grants of one script call.
const GRANTS: usize = 64;
/// The most calls in a row before the next tick.
const CALLS_MAX: usize = 50;

/// Grants what is set aside of these models, as items: what the scripts that gave it back could not grant, or what was
/// set aside while grants were suspended. Returns how many it granted.
pub async fn grant<D: Dial>(
    connection: &RedisConnection<D>,
    live: &LiveConnection<D::Conn>,
    scripts: &Scripts,
    sale: &Sale,
    models: &[&str],
) -> Result<u64, Failure> {
    let mut granted = 0;
    for _ in 0..CALLS_MAX {
        let args = (sale.ledger_identity(&live.epoch), sale.known_sequence(), GRANTS, models);
        let reply = connection.call(live, Script::Grant, &sale.keys, args).await?;
        let word = |at: usize| reply.get(at).and_then(text);
        let unreadable = || Failure::unreadable("a reply of the grant script that can't be read");
        granted += word(2).and_then(|n| n.parse::<u64>().ok()).ok_or_else(unreadable)?;
        // No client gets an answer for it, so that it does not wait for replicas.
        sale.note_read(Header::of(&reply)?.sequence, scripts);
        if word(3).ok_or_else(unreadable)? == "0" {
            break;
        }
    }
    Ok(granted)
}
