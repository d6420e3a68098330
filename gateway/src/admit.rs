//! Admission of reservation requests: refuses from the read model what cannot win; only `admit` makes an
//! `Admitted`.

pub mod buckets;
pub mod limits;
#[cfg(test)]
mod tests;
mod verified;

use std::sync::Arc;
use std::time::Instant;

use crate::domain::decision::{Decision, ReserveCommand};
use crate::domain::identity::{BuyerHash, fingerprint};
use crate::domain::sale::Phase;
use crate::projection::read_model::{PendingTap, ReadModel, Sale};

/// A request that passed admission. Only [`TapAdmission::admit`] makes one, so no other request reaches
/// the ledger.
pub struct Admitted {
    pub(crate) command: ReserveCommand,
    pub(crate) pending: PendingTap,
}

/// What a tap asks for, as the client sent it.
#[derive(Debug)]
pub struct AdmissionRequest<'a, Id> {
    /// The model's id.
    pub model: &'a str,
    /// The packages' ids, none twice.
    pub packages: &'a [Id],
    /// The store's id; `None`: it is chosen later.
    pub store: Option<&'a str>,
    /// Packages and store may be left off.
    pub accept_partial: bool,
}

/// A tap before admission. Only taps that can't win are kept from Redis: the read model refuses those of buyers
/// without a reservation or a pending tap (a winner may retry after the sale sold out), and only if it holds
/// every change from before their arrival.
pub struct TapAdmission<'a, Id> {
    sale: &'a Arc<Sale>,
    sub: &'a Arc<str>,
    key: &'a str,
    request: AdmissionRequest<'a, Id>,
    buyer: BuyerHash,
    arrived: Instant,
}

impl<'a, Id: AsRef<str>> TapAdmission<'a, Id> {
    /// A tap whose body was complete at this instant.
    pub fn new(
        sale: &'a Arc<Sale>,
        sub: &'a Arc<str>,
        key: &'a str,
        request: AdmissionRequest<'a, Id>,
        arrived: Instant,
    ) -> Self {
        Self { buyer: BuyerHash::new(&sale.id, sub), sale, sub, key, request, arrived }
    }

    /// Whether the read model would refuse the tap once it holds every change up to its arrival.
    pub fn may_be_refused(&self, now: Instant) -> bool {
        self.sale.is_trusted() && self.refusal(now).is_some()
    }

    /// Admits the tap, or refuses it without Redis and returns the read model that refused it.
    pub fn admit(self, now: Instant) -> Result<Admitted, (Decision, Arc<ReadModel>)> {
        // Read before the model: the model only becomes newer.
        if self.sale.is_complete_as_of(self.arrived)
            && let Some((refusal, read_model)) = self.refusal(now)
        {
            return Err((decision(refusal, &read_model, &self.request), read_model));
        }
        let Self { sale, sub, key, request, buyer, .. } = self;
        let AdmissionRequest { model, packages, store, accept_partial } = request;
        let command = ReserveCommand {
            id: buyer.reservation_id(key),
            sub: sub.clone(),
            fingerprint: fingerprint(model, packages, store, accept_partial),
            model: model.to_owned(),
            packages: packages.iter().map(|id| id.as_ref().to_owned()).collect(),
            store: store.map(str::to_owned),
            accept_partial,
        };
        Ok(Admitted { pending: sale.add_pending(buyer.mark()), command })
    }

    fn refusal(&self, now: Instant) -> Option<((Phase, i64), Arc<ReadModel>)> {
        if self.sale.may_have_won(self.buyer.mark()) {
            return None;
        }
        let read_model = self.sale.read_model();
        refuse(self.sale, &read_model, &self.request, now).map(|refusal| (refusal, read_model))
    }
}

/// The decision of a refusal.
fn decision<Id: AsRef<str>>(
    (phase, time): (Phase, i64),
    read_model: &ReadModel,
    request: &AdmissionRequest<'_, Id>,
) -> Decision {
    match phase {
        Phase::Closed => Decision::Closed,
        Phase::Upcoming => Decision::NotOpen(time),
        Phase::Paused => Decision::Paused,
        Phase::Open | Phase::SoldOut => {
            let items = read_model.catalogue.items();
            let gone = gone(read_model, request).flatten().map(|index| items[index].name.clone());
            Decision::SoldOut { items: gone.collect(), is_final: read_model.counts[0] == 0 }
        }
    }
}

/// The phase that refuses a tap, `SoldOut` if only for its items, and the `TIME` of Redis in ms. Checks in the
/// contract's order: closed, not open, paused, unknown item, sold out.
fn refuse<Id: AsRef<str>>(
    sale: &Sale,
    read_model: &ReadModel,
    request: &AdmissionRequest<'_, Id>,
    now: Instant,
) -> Option<(Phase, i64)> {
    let (time, error) = sale.time(now)?;
    // Within the error of the estimate, Redis decides by its own clock.
    let earliest = read_model.phase(time - error);
    if earliest != read_model.phase(time + error) {
        return None;
    }
    match earliest {
        // Only the close that Redis has recorded is final: by an estimate the sale could open again if
        // `TIME` steps back.
        Phase::Closed if !read_model.controls.closed && sale.noted_time() < read_model.controls.closes => {
            return None;
        }
        Phase::Closed | Phase::Upcoming | Phase::Paused => return Some((earliest, time)),
        Phase::Open | Phase::SoldOut => {}
    }
    let mut is_sold_out = false;
    for index in gone(read_model, request) {
        // An unknown item goes to Redis: the definition may have changed after this model was read.
        index?;
        is_sold_out = true;
    }
    is_sold_out.then_some((Phase::SoldOut, time))
}

/// The requested items that are sold out and block the reservation; `None` for an item that the model lacks.
fn gone<'m, Id: AsRef<str>>(
    read_model: &'m ReadModel,
    request: &'m AdmissionRequest<'_, Id>,
) -> impl Iterator<Item = Option<usize>> + 'm {
    let indices = read_model.catalogue.indices_of(request.model, request.packages, request.store).enumerate();
    indices.filter_map(|(n, index)| {
        let Some(index) = index else { return Some(None) };
        // The model is first, and with `accept_partial` it alone decides.
        let is_gone = read_model.catalogue.items()[index].limited && read_model.free[index] < 1;
        (is_gone && (n == 0 || !request.accept_partial)).then_some(Some(index))
    })
}
