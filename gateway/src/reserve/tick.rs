//! The tick: advances the sale clock, and reads it.

use crate::domain::decision::Header;
use crate::projection::read_model::Sale;
use crate::store::connection::{LiveConnection, RedisConnection};
use crate::store::dial::Dial;
use crate::store::reply::texts;
use crate::store::scripts::{Failure, Script};

/// One tick; with the live counters of models and packages. This Redis serves the sale then, and what it answers may be told.
pub async fn tick<D: Dial>(
    connection: &RedisConnection<D>,
    live: &LiveConnection<D::Conn>,
    sale: &Sale,
) -> Result<(Header, Vec<Option<i64>>), Failure> {
    let read_model = sale.read_model();
    let items = read_model.catalogue.counted().iter().map(|item| item.name.clone());
    let args: Vec<String> =
        [sale.identity(&live.epoch), sale.known_sequence().to_string()].into_iter().chain(items).collect();
    let reply = connection.call(live, Script::Tick, &sale.keys, &args).await?;
    let header = Header::of(&reply)?;
    sale.acknowledged().trust_epoch(&live.epoch);
    let counters = reply.get(2).and_then(texts);
    let counters = counters.ok_or_else(|| Failure::unreadable("counters of a tick that can't be read"))?;
    // One that is damaged differs from the journal's; it does not stop the clock of the sale.
    Ok((header, counters.iter().map(|n| n.parse().ok()).collect()))
}

/// One tick that asks for no counters, so that what an answer says by the clocks stays so when `TIME` steps back.
pub(crate) async fn note_clocks<D: Dial>(
    connection: &RedisConnection<D>,
    live: &LiveConnection<D::Conn>,
    sale: &Sale,
) -> Result<Header, Failure> {
    let args = [sale.identity(&live.epoch), sale.known_sequence().to_string()];
    Header::of(&connection.call(live, Script::Tick, &sale.keys, &args).await?)
}
