//! The tick: advances the sale clock, and reads it.

use crate::domain::decision::Header;
use crate::projection::read_model::{Counters, Sale};
use crate::store::connection::{LiveConnection, RedisConnection};
use crate::store::dial::Dial;
use crate::store::reply::texts;
use crate::store::scripts::{Failure, Script};

/// Makes one tick, and reads the live counters of models and packages. A success proves that this
/// Redis serves the sale, so its replies may be acknowledged.
pub async fn tick<D: Dial>(
    connection: &RedisConnection<D>,
    live: &LiveConnection<D::Conn>,
    sale: &Sale,
) -> Result<(Header, Counters), Failure> {
    let read_model = sale.read_model();
    let counted = read_model.catalogue.counted();
    let asides: Vec<String> = read_model.catalogue.aside_counters().collect();
    let items: Vec<&str> = counted.iter().map(|item| &item.name).chain(&asides).map(String::as_str).collect();
    let args = (sale.ledger_identity(&live.epoch), sale.known_sequence(), items);
    let reply = connection.call(live, Script::Tick, &sale.keys, args).await?;
    let header = Header::of(&reply)?;
    sale.acknowledged().trust_epoch(&live.epoch);
    let counters = reply.get(2).and_then(texts);
    let unreadable = || Failure::unreadable("counters of a tick that can't be read");
    let mut counters = counters.filter(|all| all.len() >= counted.len()).ok_or_else(unreadable)?;
    let asides = counters.split_off(counted.len());
    let counters = Counters {
        sequence: header.sequence,
        revision: read_model.catalogue.revision,
        held: header.held,
        // A damaged counter differs from the journal's; it must not stop the sale clock.
        free: counters.iter().map(|n| n.parse().ok()).collect(),
        // Before the first unit is set aside, there is none.
        aside: asides.iter().map(|n| if n.is_empty() { Some(0) } else { n.parse().ok() }).collect(),
    };
    Ok((header, counters))
}

/// Makes a tick without counters, so that a response that depends on the clocks stays true if
/// `TIME` steps back.
pub(crate) async fn note_clocks<D: Dial>(
    connection: &RedisConnection<D>,
    live: &LiveConnection<D::Conn>,
    sale: &Sale,
) -> Result<Header, Failure> {
    let args = (sale.ledger_identity(&live.epoch), sale.known_sequence());
    Header::of(&connection.call(live, Script::Tick, &sale.keys, args).await?)
}
