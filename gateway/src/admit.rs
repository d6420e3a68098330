//! The only maker of `Admitted`: what memory may refuse is refused here, everything else gets its ticket.

use std::sync::Arc;
use std::time::Instant;

use crate::domain::identity::buyer_mark;
use crate::domain::sale::Phase;
use crate::ledger::batch::{Decision, Wanted};
use crate::ledger::memory::{Memory, PendingTap, Sale};

/// The ticket to the ledger. Only [`admit`] makes one, so a tap that was not admitted can't be reserved.
pub struct Admitted {
    pub(crate) wanted: Wanted,
    pub(crate) pending: PendingTap,
}

/// Lets a tap on to the ledger, or refuses it without asking Redis.
///
/// Taps that can't win must not reach Redis; but a winner whose answer was lost comes back, maybe
/// to another gateway, when all is sold out, paused or closed, and must be told that he won. So
/// memory refuses only buyers who have no reservation and no tap on the way, and only while it is
/// younger than a second. What depends on the buyer's own reservations is always decided in Redis.
pub fn admit(sale: &Arc<Sale>, wanted: Wanted) -> Result<Admitted, Decision> {
    let mark = buyer_mark(&wanted.id).unwrap_or_default();
    let now = Instant::now();
    if sale.is_fresh(now)
        && !sale.may_have_won(mark)
        && let Some(refusal) = refuse(sale, &sale.memory(), &wanted, now)
    {
        return Err(refusal);
    }
    Ok(Admitted { pending: sale.pending(mark), wanted })
}

/// The contract's order: closed, not open, paused, unknown item, sold out.
fn refuse(sale: &Sale, memory: &Memory, wanted: &Wanted, now: Instant) -> Option<Decision> {
    let (time, error) = sale.time(now)?;
    // Inside the margin of the estimate the one clock that decides is asked.
    let earliest = memory.phase(time - error);
    if earliest != memory.phase(time + error) {
        return None;
    }
    match earliest {
        Phase::Closed => return Some(Decision::Closed),
        Phase::Upcoming => return Some(Decision::NotOpen(time)),
        Phase::Paused => return Some(Decision::Paused),
        Phase::Open | Phase::SoldOut => {}
    }
    let catalogue = &memory.catalogue;
    let mut places = Vec::new();
    if !catalogue.find(&wanted.model, &wanted.packages, &wanted.store, &mut places) {
        // Maybe the definition has just changed: the ledger knows the latest.
        return None;
    }
    if wanted.accept_partial {
        // The model alone decides.
        places.truncate(1);
    }
    let gone = |place: usize| {
        let item = &catalogue.items()[place];
        (item.limited && memory.free[place] < 1).then(|| item.name.clone())
    };
    let items: Vec<String> = places.into_iter().filter_map(gone).collect();
    (!items.is_empty()).then(|| Decision::SoldOut { items, is_final: memory.counts[0] == 0 })
}
