//! The only maker of `Admitted`: what memory may refuse is refused here, everything else gets its ticket.

pub mod buckets;
mod known;
pub mod limits;
pub mod policy;

use std::sync::Arc;
use std::time::Instant;

use crate::domain::identity::{BuyerHash, fingerprint};
use crate::domain::sale::Phase;
use crate::ledger::batch::{Decision, Wanted};
use crate::ledger::memory::{Memory, PendingTap, Sale};

/// The ticket to the ledger. Only [`admit`] makes one, so a tap that was not admitted can't be reserved.
pub struct Admitted {
    pub(crate) wanted: Wanted,
    pub(crate) pending: PendingTap,
}

/// What a tap asks for, as it came.
#[derive(Debug)]
pub struct Wish<'a, Id> {
    /// The model's id.
    pub model: &'a str,
    /// The packages' ids, none twice.
    pub packages: &'a [Id],
    /// The store's id.
    pub store: &'a str,
    /// Packages and store may be left off.
    pub accept_partial: bool,
}

/// Lets a tap on to the ledger, or refuses it without asking Redis, with the memory that says so.
///
/// Taps that can't win must not reach Redis; but a winner whose answer was lost comes back, maybe
/// to another gateway, when all is sold out, paused or closed, and must be told that he won. So
/// memory refuses only buyers who have no reservation and no tap on the way, and only while it is
/// younger than a second. What depends on the buyer's own reservations is always decided in Redis.
pub fn admit<Id: AsRef<str>>(
    sale: &Arc<Sale>,
    sub: &Arc<str>,
    key: &str,
    wish: Wish<'_, Id>,
    now: Instant,
) -> Result<Admitted, (Decision, Arc<Memory>)> {
    let buyer = BuyerHash::new(&sale.id, sub);
    if sale.is_fresh(now) && !sale.may_have_won(buyer.mark()) {
        let memory = sale.memory();
        if let Some(refusal) = refuse(sale, &memory, &wish, now) {
            return Err((refusal, memory));
        }
    }
    let Wish { model, packages, store, accept_partial } = wish;
    let wanted = Wanted {
        id: buyer.reservation_id(key),
        sub: sub.clone(),
        fingerprint: fingerprint(model, packages, store, accept_partial),
        model: model.to_owned(),
        packages: packages.iter().map(|id| id.as_ref().to_owned()).collect(),
        store: store.to_owned(),
        accept_partial,
    };
    Ok(Admitted { pending: sale.pending(buyer.mark()), wanted })
}

/// The contract's order: closed, not open, paused, unknown item, sold out.
fn refuse<Id: AsRef<str>>(
    sale: &Sale,
    memory: &Memory,
    wish: &Wish<'_, Id>,
    now: Instant,
) -> Option<Decision> {
    let (time, error) = sale.time(now)?;
    // Inside the margin of the estimate the one clock that decides is asked.
    let earliest = memory.phase(time - error);
    if earliest != memory.phase(time + error) {
        return None;
    }
    match earliest {
        // Closed for good is what Redis has noted: by the estimate alone it could open once more, should `TIME` step back.
        Phase::Closed if !memory.levers.closed && sale.noted_time() < memory.levers.closes => return None,
        Phase::Closed => return Some(Decision::Closed),
        Phase::Upcoming => return Some(Decision::NotOpen(time)),
        Phase::Paused => return Some(Decision::Paused),
        Phase::Open | Phase::SoldOut => {}
    }
    let catalogue = &memory.catalogue;
    let mut items = Vec::new();
    for (n, place) in catalogue.places(wish.model, wish.packages, wish.store).enumerate() {
        // Unknown: maybe the definition has just changed, and the ledger knows the latest.
        let place = place?;
        let item = &catalogue.items()[place];
        // The model comes first, and where a part is enough, it alone decides.
        if item.limited && memory.free[place] < 1 && (n == 0 || !wish.accept_partial) {
            items.push(item.name.clone());
        }
    }
    (!items.is_empty()).then(|| Decision::SoldOut { items, is_final: memory.counts[0] == 0 })
}
