//! Calls on one buyer's place in a standby queue, and the grants that are left to do.

use crate::domain::decision::{Header, Shed};
use crate::domain::standby::PlaceChange;
use crate::domain::subject::to_word;
use crate::projection::read_model::Sale;
use crate::reserve::take_back::take_back;
use crate::store::connection::{LiveConnection, RedisConnection};
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
    let line = PlaceChange { sub: to_word(sub), after: None }.to_line(&sale.id).unwrap_or_default();
    match take_back(connection, (sale, sub), (Script::Leave, "leave"), line).await {
        Ok(_) => Leaving::Done,
        Err(Failure::Unknown(_) | Failure::NotReplicated { .. }) => Leaving::Unknown,
        Err(failure) => {
            tracing::debug!(sale = sale.id, %failure, "a buyer did not leave the standby queue");
            Leaving::NotTaken(failure.shed())
        }
    }
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
