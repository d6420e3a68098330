//! Batches of taps: the reserve script decides them.

use redis::ToRedisArgs;

use crate::admit::Admitted;
use crate::domain::catalogue::Catalogue;
use crate::domain::decision::{Decision, Shed};
use crate::projection::acknowledged::Acknowledged;
use crate::projection::read_model::Sale;
use crate::reserve::batch::encode::Columns;
use crate::reserve::batch::tap::Tap;
use crate::reserve::batch::{Batch, Batched, Reply};
use crate::store::reply::count_unreadable;
use crate::store::scripts::Script;

impl Batched for Admitted {
    type Decision = Decision;
    type Columns = Columns;

    const SCRIPT: Script = Script::Reserve;

    fn not_taken(why: Shed) -> Decision {
        Decision::NotTaken(why)
    }

    fn unknown() -> Decision {
        Decision::Unknown
    }

    fn mark_unknown(&self) {
        self.pending.mark_unknown();
    }

    fn fill<'a>(columns: &mut Columns, batch: impl Iterator<Item = &'a Self>, catalogue: &Catalogue) {
        columns.fill(batch.map(|tap| &tap.command), catalogue);
    }

    fn args<'a>(
        columns: &'a Columns,
        catalogue: &'a Catalogue,
        identity: &'a str,
        known: u64,
    ) -> impl ToRedisArgs + 'a {
        columns.args(catalogue, identity, known)
    }

    fn deliver(batch: &mut Batch<Self>, reply: &Reply, sale: &Sale) {
        let Reply { values, catalogue, epoch } = reply;
        let Some(mut decisions) = batch.columns.decisions(values, catalogue) else {
            return batch.deliver_unreadable(reply, sale);
        };
        // The whole batch is buffered at once, before any acknowledgement.
        let (mut winners, mut decided) = (String::new(), Vec::with_capacity(batch.taps.len()));
        let (mut depends_on_clocks, mut is_whole) = (false, true);
        let grace = sale.read_model().grace_ms;
        for Tap { request, command: Self { command, pending }, responder, .. } in batch.taps.drain(..) {
            let mut decision = decisions.next(command);
            match &decision {
                Decision::Won(reservation, _) => {
                    reservation.write_line(&mut winners);
                    winners.push('\n');
                    pending.mark_won();
                }
                Decision::Closed => depends_on_clocks = true,
                Decision::Replayed(reservation, header) => {
                    pending.mark_won();
                    depends_on_clocks |= reservation.state != reservation.state_at(header.sale_clock, grace);
                    if !sale.acknowledged().acknowledge_shown(epoch, reservation, header) {
                        decision = Decision::Unknown;
                    }
                }
                Decision::Unknown => {
                    is_whole = false;
                    count_unreadable();
                    let log_unreadable = || {
                        tracing::error!(sale = sale.id, "an answer of the reserve script can't be read");
                    };
                    request.as_ref().map_or_else(log_unreadable, |request| request.enter(log_unreadable));
                    pending.mark_unknown();
                }
                _ => {}
            }
            decided.push((responder, decision));
        }
        let (header, sequence) = (&decisions.header, decisions.header.sequence);
        let may_acknowledge = if winners.is_empty() {
            sale.acknowledged().may_acknowledge(epoch)
        } else {
            let won = Acknowledged::winners(sequence, header, winners, is_whole);
            sale.acknowledged().acknowledge(epoch, won)
        };
        if depends_on_clocks && may_acknowledge {
            sale.acknowledged().note_late_by(header);
        }
        for (responder, decision) in decided {
            responder.answer(match decision {
                decision if may_acknowledge => decision,
                Decision::Won(..) | Decision::Replayed(..) | Decision::Unknown => Decision::Unknown,
                _ => Decision::NotTaken(Shed::Ledger),
            });
        }
        // Only now: a client that learns the sequence must find the winners marked as such.
        if may_acknowledge {
            sale.advance_known_sequence(sequence);
        }
    }
}
