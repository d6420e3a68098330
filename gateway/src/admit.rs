//! The only maker of `Admitted`: what memory may refuse is refused here, everything else gets its ticket.

pub mod buckets;
mod known;
pub mod limits;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use crate::domain::decision::{Decision, ReserveCommand};
use crate::domain::identity::{BuyerHash, fingerprint};
use crate::domain::sale::Phase;
use crate::projection::read_model::{PendingTap, ReadModel, Sale};

/// The ticket to the ledger. Only [`admit`] makes one, so a tap that was not admitted can't be reserved.
pub struct Admitted {
    pub(crate) command: ReserveCommand,
    pub(crate) pending: PendingTap,
}

/// What a tap asks for, as it came.
#[derive(Debug)]
pub struct AdmissionRequest<'a, Id> {
    /// The model's id.
    pub model: &'a str,
    /// The packages' ids, none twice.
    pub packages: &'a [Id],
    /// The store's id.
    pub store: &'a str,
    /// Packages and store may be left off.
    pub accept_partial: bool,
}

/// A tap on its way to be admitted.
///
/// Taps that can't win must not reach Redis. A winner whose answer was lost comes back, maybe to another gateway, when all is
/// sold out, paused or closed, and must get his reservation. So the read model refuses only buyers who have no reservation
/// and no tap on the way, and only if it has every change from before the tap arrived. What depends on the buyer's own
/// reservations is always decided in Redis.
pub struct TapAdmission<'a, Id> {
    sale: &'a Arc<Sale>,
    sub: &'a Arc<str>,
    key: &'a str,
    request: AdmissionRequest<'a, Id>,
    buyer: BuyerHash,
    arrived: Instant,
}

impl<'a, Id: AsRef<str>> TapAdmission<'a, Id> {
    /// A tap that was whole at this instant.
    #[must_use]
    pub fn new(
        sale: &'a Arc<Sale>,
        sub: &'a Arc<str>,
        key: &'a str,
        request: AdmissionRequest<'a, Id>,
        arrived: Instant,
    ) -> Self {
        Self { buyer: BuyerHash::new(&sale.id, sub), sale, sub, key, request, arrived }
    }

    /// Whether the read model refuses it if it is found complete as of the arrival: worth to wait for.
    #[must_use]
    pub fn may_be_refused(&self, now: Instant) -> bool {
        self.sale.is_trusted() && self.refusal(now).is_some()
    }

    /// Lets it on to the ledger, or refuses it without asking Redis, with the state that it is refused by.
    pub fn admit(self, now: Instant) -> Result<Admitted, (Decision, Arc<ReadModel>)> {
        // Looked at before the state itself, which only becomes newer.
        if self.sale.is_complete_as_of(self.arrived)
            && let Some((refusal, read_model)) = self.refusal(now)
        {
            return Err((refusal.decision(&read_model, &self.request), read_model));
        }
        let Self { sale, sub, key, request, buyer, .. } = self;
        let AdmissionRequest { model, packages, store, accept_partial } = request;
        let command = ReserveCommand {
            id: buyer.reservation_id(key),
            sub: sub.clone(),
            fingerprint: fingerprint(model, packages, store, accept_partial),
            model: model.to_owned(),
            packages: packages.iter().map(|id| id.as_ref().to_owned()).collect(),
            store: store.to_owned(),
            accept_partial,
        };
        Ok(Admitted { pending: sale.add_pending(buyer.mark()), command })
    }

    fn refusal(&self, now: Instant) -> Option<(ReadModelRefusal, Arc<ReadModel>)> {
        if self.sale.may_have_won(self.buyer.mark()) {
            return None;
        }
        let read_model = self.sale.read_model();
        refuse(self.sale, &read_model, &self.request, now).map(|refusal| (refusal, read_model))
    }
}

/// What the read model refuses a tap for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadModelRefusal {
    Closed,
    /// At Redis's `TIME` in ms.
    NotOpen(i64),
    Paused,
    SoldOut,
}

impl ReadModelRefusal {
    fn decision<Id: AsRef<str>>(
        self,
        read_model: &ReadModel,
        request: &AdmissionRequest<'_, Id>,
    ) -> Decision {
        match self {
            Self::Closed => Decision::Closed,
            Self::NotOpen(time) => Decision::NotOpen(time),
            Self::Paused => Decision::Paused,
            Self::SoldOut => {
                let items = read_model.catalogue.items();
                let gone = gone(read_model, request).flatten().map(|place| items[place].name.clone());
                Decision::SoldOut { items: gone.collect(), is_final: read_model.counts[0] == 0 }
            }
        }
    }
}

/// The contract's order: closed, not open, paused, unknown item, sold out.
fn refuse<Id: AsRef<str>>(
    sale: &Sale,
    read_model: &ReadModel,
    request: &AdmissionRequest<'_, Id>,
    now: Instant,
) -> Option<ReadModelRefusal> {
    let (time, error) = sale.time(now)?;
    // Inside the margin of the estimate the one clock that decides is asked.
    let earliest = read_model.phase(time - error);
    if earliest != read_model.phase(time + error) {
        return None;
    }
    match earliest {
        // Closed for good is what Redis has noted: by the estimate alone it could open once more, should `TIME` step back.
        Phase::Closed if !read_model.controls.closed && sale.noted_time() < read_model.controls.closes => {
            return None;
        }
        Phase::Closed => return Some(ReadModelRefusal::Closed),
        Phase::Upcoming => return Some(ReadModelRefusal::NotOpen(time)),
        Phase::Paused => return Some(ReadModelRefusal::Paused),
        Phase::Open | Phase::SoldOut => {}
    }
    let mut is_sold_out = false;
    for place in gone(read_model, request) {
        // Unknown: maybe the definition has just changed, and the ledger knows the latest.
        place?;
        is_sold_out = true;
    }
    is_sold_out.then_some(ReadModelRefusal::SoldOut)
}

/// The places of what is wanted and keeps the tap from winning, since it is gone; `None` for each that is not known.
fn gone<'m, Id: AsRef<str>>(
    read_model: &'m ReadModel,
    request: &'m AdmissionRequest<'_, Id>,
) -> impl Iterator<Item = Option<usize>> + 'm {
    let places = read_model.catalogue.places(request.model, request.packages, request.store).enumerate();
    places.filter_map(|(n, place)| {
        let Some(place) = place else { return Some(None) };
        // The model comes first, and where a part is enough, it alone decides.
        let is_gone = read_model.catalogue.items()[place].limited && read_model.free[place] < 1;
        (is_gone && (n == 0 || !request.accept_partial)).then_some(Some(place))
    })
}
