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
use crate::projection::read_model::{PendingTap, ReadModel, Sale, SignUpStatus};

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
            store: store.map(str::to_owned),
            accept_partial,
        };
        Ok(Admitted { pending: sale.add_pending(buyer.mark()), command })
    }

    fn refusal(&self, now: Instant) -> Option<(Refusal, Arc<ReadModel>)> {
        if self.sale.may_have_won(self.buyer.mark()) {
            return None;
        }
        let read_model = self.sale.read_model();
        self.refuse(&read_model, now).map(|refusal| (refusal, read_model))
    }

    /// What refuses the tap, in the contract's order: closed, not open, paused, not signed up, unknown item, sold out.
    fn refuse(&self, read_model: &ReadModel, now: Instant) -> Option<Refusal> {
        let Self { sale, request, buyer, .. } = self;
        let (time, error) = sale.time(now)?;
        // Within the error of the estimate, Redis decides by its own clock.
        let earliest = read_model.phase(time - error);
        if earliest != read_model.phase(time + error) {
            return None;
        }
        match earliest {
            // Only the close that Redis has recorded is final: by an estimate the sale could open again if
            // `TIME` steps back.
            Phase::Closed
                if !read_model.controls.closed && sale.noted_time() < read_model.controls.closes =>
            {
                return None;
            }
            Phase::Closed => return Some(Refusal::Closed),
            Phase::Upcoming => return Some(Refusal::NotOpen(time)),
            Phase::Paused => return Some(Refusal::Paused),
            Phase::Open | Phase::SoldOut => {}
        }
        let signup = read_model.catalogue.definition.signup.as_ref();
        if signup.is_some_and(|terms| terms.required) {
            match sale.sign_up_status(buyer.mark()) {
                SignUpStatus::NotSignedUp => return Some(Refusal::NotSignedUp),
                SignUpStatus::Unknown => return None,
                SignUpStatus::SignedUp => {}
            }
        }
        let mut is_sold_out = false;
        for index in gone(read_model, request) {
            // An unknown item goes to Redis: the definition may have changed after this model was read.
            index?;
            is_sold_out = true;
        }
        is_sold_out.then_some(Refusal::SoldOut)
    }
}

/// What keeps a tap from winning.
enum Refusal {
    Closed,
    /// `TIME` of Redis, in ms.
    NotOpen(i64),
    Paused,
    NotSignedUp,
    SoldOut,
}

impl Refusal {
    fn decision<Id: AsRef<str>>(
        self,
        read_model: &ReadModel,
        request: &AdmissionRequest<'_, Id>,
    ) -> Decision {
        match self {
            Self::Closed => Decision::Closed,
            Self::NotOpen(time) => Decision::NotOpen(time),
            Self::Paused => Decision::Paused,
            Self::NotSignedUp => Decision::NotSignedUp,
            Self::SoldOut => {
                let items = read_model.catalogue.items();
                let gone = gone(read_model, request).flatten().map(|index| items[index].name.clone());
                Decision::SoldOut { items: gone.collect(), is_final: read_model.counts[0] == 0 }
            }
        }
    }
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
