//! What the ends of a sign-up and of a place in a standby queue have in common.

use crate::domain::decision::Header;
use crate::domain::identity::buyer_part;
use crate::domain::subject::to_word;
use crate::projection::acknowledged::Acknowledged;
use crate::projection::read_model::Sale;
use crate::reserve::changes::require_connection;
use crate::store::connection::{PRIMARY_CHANGED, RedisConnection};
use crate::store::dial::Dial;
use crate::store::reply::text;
use crate::store::scripts::{Failure, Script};

/// Takes back a buyer's sign-up or place, and acknowledges the change, which has this line in an entry of this kind. Returns
/// whether it was too late.
///
/// The script replies `{'ok', header, sequence of the change or 0, 1 if this call made it}`, or `{'over', header}`.
pub(super) async fn take_back<D: Dial>(
    connection: &RedisConnection<D>,
    (sale, sub): (&Sale, &str),
    (script, kind): (Script, &'static str),
    line: String,
) -> Result<bool, Failure> {
    let live = require_connection(connection)?;
    let identity = sale.ledger_identity(&live.epoch);
    let args = (identity, sale.known_sequence(), buyer_part(&sale.id, sub), to_word(sub));
    let reply = connection.call(&live, script, &sale.keys, args).await;
    let reply = reply.inspect_err(|failure| sale.note_refusal(failure))?;
    let header = Header::of(&reply)?;
    let word = |at: usize| reply.get(at).and_then(text);
    let is_over = word(0).as_deref() == Some("over");
    let sequence = if is_over { Some(0) } else { word(2).and_then(|sequence| sequence.parse().ok()) };
    let mut buffer = sale.acknowledged();
    if is_over {
        buffer.note_late_by(&header);
    }
    let may_acknowledge = match sequence.ok_or_else(|| Failure::unreadable("a change that can't be read"))? {
        0 => buffer.may_acknowledge(&live.epoch),
        sequence => {
            // Alone in its entry. Of one that was made before the clocks are later ones.
            let is_whole = word(3).as_deref() == Some("1");
            let change = Acknowledged::of(kind, sequence, &header, line);
            buffer.acknowledge(&live.epoch, Acknowledged { is_whole, ..change })
        }
    };
    drop(buffer);
    if !may_acknowledge {
        return Err(Failure::Unknown(PRIMARY_CHANGED.to_owned()));
    }
    sale.advance_known_sequence(header.sequence);
    Ok(is_over)
}
