//! Handlers of the reservation calls: each reads its request, asks the ledger and maps the decision to a
//! response.

use std::borrow::Cow;
use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::http::HeaderName;
use hyper::http::request::Parts;

use crate::admit::limits::{Exceeded, Limits};
use crate::admit::{AdmissionRequest, TapAdmission};
use crate::api::bodies::{AmendRequest, ConfirmRequest, ItemId, ReserveRequest};
use crate::api::decisions;
use crate::api::worker::Worker;
use crate::domain::decision::Shed;
use crate::domain::identity::{buyer_part, is_reservation_id, parse_key};
use crate::domain::policy::Costs;
use crate::domain::problem;
use crate::http::request::{BodyLimits, json, json_bytes, parse, query};
use crate::http::respond::{Answer, Refused};
use crate::identify::Identified;
use crate::projection::read_model::{Sale, Sales};
use crate::reserve::changes::{self, Amendment, Change, Payment, Requester};
use crate::store::connection::RedisConnection;
use crate::store::dial::Redis;
use crate::telemetry::labels::Stage;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Where a body has its packages.
const PACKAGES: &str = "/packages";
/// Packages in a request.
const PACKAGES_MAX: usize = 16;
/// Characters of a payment reference.
const PAYMENT_MAX: usize = 128;

/// The caller of a worker, and the arrival of the request head.
pub struct Caller<'w> {
    /// The worker that answers.
    pub worker: &'w Worker,
    /// The verified token.
    pub identity: Identified,
    /// When the request head arrived; rate limits use this instant.
    pub arrived: Instant,
    /// Whether a limit has counted this call.
    is_counted: Cell<bool>,
}

impl<'w> Caller<'w> {
    /// A caller whose call no limit has counted yet.
    pub fn new(worker: &'w Worker, identity: Identified, arrived: Instant) -> Self {
        Self { worker, identity, arrived, is_counted: Cell::new(false) }
    }

    /// Counts a call that was refused before any rate limit: it costs its buyer as much as a read. The
    /// refusal stays the same, because request errors come before limits.
    pub fn count_refusal(&self, answer: Result<Answer, Refused>) -> Result<Answer, Refused> {
        if answer.is_err() && !self.is_counted.get() {
            let _ = self.count(self.costs().read);
        }
        answer
    }

    pub(crate) fn costs(&self) -> &'w Costs {
        self.worker.shared.rates.costs()
    }

    /// Counts a new reservation against the buyer, the sale and the gateway.
    fn count_reservation(&self, sale: &Sale) -> Result<(), Refused> {
        self.charge(|rates, sub| rates.reservation(sub, &sale.id, self.arrived))
    }

    /// Counts any other call.
    pub(crate) fn count(&self, cost: NonZeroU32) -> Result<(), Refused> {
        self.charge(|rates, sub| rates.call(sub, cost, self.arrived))
    }

    /// Services are exempt: they carry out what was sold.
    fn charge(&self, limit: impl FnOnce(&Limits, &str) -> Result<(), Exceeded>) -> Result<(), Refused> {
        self.is_counted.set(true);
        if self.identity.is_service() {
            return Ok(());
        }
        limit(&self.worker.shared.rates, self.identity.sub()).map_err(Refused::quota_exceeded)
    }

    /// Asks the ledger about one reservation, once the call is counted at this cost.
    async fn ask(
        &self,
        (sale_id, id): Named<'_>,
        cost: NonZeroU32,
        call: impl AsyncFnOnce(&RedisConnection<Redis>, &Arc<Sale>, Requester<'_>) -> Change,
    ) -> Result<Answer, Refused> {
        let Self { worker, identity, .. } = self;
        let sale = worker.sale(sale_id)?;
        if !is_reservation_id(id) {
            return Err(decisions::reservation_not_found());
        }
        self.count(cost)?;
        let _permit = worker.acquire_permit(false)?;
        let part = (!identity.is_service()).then(|| buyer_part(&sale.id, identity.sub()));
        let by = part.as_deref().map_or(Requester::Service, Requester::Buyer);
        let change = call(&worker.redis_connection(&sale), &sale, by).await;
        decisions::change(&sale, &sale.read_model(), change)
    }
}

/// A sale and a reservation, as the path names them.
pub type Named<'a> = (&'a str, &'a str);

/// `POST /v1/sales/{sale}/reservations`: the tap.
pub async fn reserve(
    caller: &Caller<'_>,
    sale_id: &str,
    parts: &Parts,
    body: Incoming,
) -> Result<Answer, Refused> {
    let worker = caller.worker;
    // No call on reservations takes a query: one could change the meaning of a call.
    let [] = query(parts, [])?;
    let key = idempotency_key(parts)?;
    let body = json_bytes(parts, body, worker.body_limits()).await?;
    // The read model must be complete up to the end of the body, and the queue deadline starts here.
    let received = Instant::now();
    let ReserveRequest { model, packages, store, accept_partial } = reserve_request(&body)?;
    let sale = worker.sale(sale_id)?;
    caller.count_reservation(&sale)?;
    let store = store.as_ref().map(ItemId::as_ref);
    let request = AdmissionRequest { model: &model.0, packages: &packages, store, accept_partial };
    let recorder = &worker.recorder;
    let admission = TapAdmission::new(&sale, caller.identity.sub(), &key, request, received);
    let may_be_refused = admission.may_be_refused(received);
    let mut now = Instant::now();
    recorder.stage(Stage::ReadModel, now - received);
    if may_be_refused {
        // The read model may be older than the tap: it refuses only once it holds every decision from before.
        worker.round_waiters(&sale).wait(received).await;
        let waited = Instant::now();
        recorder.stage(Stage::Round, waited - now);
        now = waited;
    }
    let (answer, decided) = match admission.admit(now) {
        Err((refusal, read_model)) => (decisions::decision(&sale, &read_model, refusal), now),
        Ok(admitted) => {
            let _permit = worker.acquire_permit(true)?;
            let decision = worker.queue(&sale).ask(admitted, worker.deadlines(received, now)).await;
            let decided = Instant::now();
            (decisions::decision(&sale, &sale.read_model(), decision), decided)
        }
    };
    recorder.stage(Stage::Respond, decided.elapsed());
    answer
}

/// `GET /v1/sales/{sale}/reservations`: the caller's own.
pub async fn list(caller: &Caller<'_>, sale_id: &str) -> Result<Answer, Refused> {
    let worker = caller.worker;
    let sale = worker.sale(sale_id)?;
    caller.count(caller.costs().read)?;
    let _permit = worker.acquire_permit(false)?;
    match changes::read(&worker.redis_connection(&sale), &sale, &buyer_part(&sale.id, caller.identity.sub()))
        .await
    {
        Ok((list, header)) => Ok(decisions::reservations(&sale, &sale.read_model(), &list, &header)),
        Err(failure) => {
            tracing::debug!(sale = sale.id, %failure, "a buyer's reservations could not be read");
            Err(Refused::not_taken(failure.shed()))
        }
    }
}

/// `GET /v1/sales/{sale}/reservations/{id}`
pub async fn get(caller: &Caller<'_>, named: Named<'_>) -> Result<Answer, Refused> {
    let call =
        async |redis: &_, sale: &Arc<_>, by: Requester<'_>| changes::get(redis, sale, named.1, by).await;
    caller.ask(named, caller.costs().read, call).await
}

/// `PATCH /v1/sales/{sale}/reservations/{id}`
pub async fn amend(
    caller: &Caller<'_>,
    named: Named<'_>,
    parts: &Parts,
    body: Incoming,
) -> Result<Answer, Refused> {
    let body = json_bytes(parts, body, caller.worker.body_limits()).await?;
    let AmendRequest { model, packages, store, version } = amend_request(&body)?;
    let owned = |id: ItemId<'_>| id.0.into_owned();
    let wanted = Amendment {
        model: model.map(owned),
        packages: packages.map(|ids| ids.into_iter().map(owned).collect()),
        store: store.map(owned),
        version,
    };
    let call = async |redis: &_, sale: &_, by: Requester<'_>| {
        changes::amend(redis, sale, named.1, by, &wanted).await
    };
    caller.ask(named, caller.costs().change, call).await
}

/// `POST /v1/sales/{sale}/reservations/{id}/confirm`
pub async fn confirm(
    caller: &Caller<'_>,
    named: Named<'_>,
    parts: &Parts,
    body: Incoming,
) -> Result<Answer, Refused> {
    if !caller.identity.is_service() {
        let detail = "Only a service confirms; the token has no scope `service`.";
        return Err(Refused::new(problem::FORBIDDEN, detail));
    }
    let ConfirmRequest { payment, version, accept_late } =
        json(parts, body, caller.worker.body_limits()).await?;
    let is_text = (1..=PAYMENT_MAX).contains(&payment.len()) && payment.bytes().all(|b| b.is_ascii_graphic());
    if !is_text || payment == "-" {
        let detail = format!(
            "A payment reference has 1 to {PAYMENT_MAX} visible ASCII characters, and is not a lone hyphen."
        );
        return Err(Refused::invalid("/payment", detail));
    }
    check_version(version)?;
    let call = async |redis: &_, sale: &Arc<_>, _: Requester<'_>| {
        let payment = Payment { reference: &payment, version, accepts_late: accept_late };
        changes::confirm(redis, sale, named.1, payment).await
    };
    caller.ask(named, caller.costs().change, call).await
}

/// `POST /v1/sales/{sale}/reservations/{id}/cancel`: reads no body.
pub async fn cancel(caller: &Caller<'_>, named: Named<'_>) -> Result<Answer, Refused> {
    let call =
        async |redis: &_, sale: &Arc<_>, by: Requester<'_>| changes::cancel(redis, sale, named.1, by).await;
    caller.ask(named, caller.costs().change, call).await
}

/// Parses and checks the body of a tap.
pub(crate) fn reserve_request(body: &[u8]) -> Result<ReserveRequest<'_>, Refused> {
    let request: ReserveRequest<'_> = parse(body)?;
    check_packages(&request.packages, PACKAGES)?;
    Ok(request)
}

/// Parses and checks the body of a PATCH.
pub(crate) fn amend_request(body: &[u8]) -> Result<AmendRequest<'_>, Refused> {
    let request: AmendRequest<'_> = parse(body)?;
    request.packages.as_deref().map_or(Ok(()), |packages| check_packages(packages, PACKAGES))?;
    request.version.map_or(Ok(()), check_version)?;
    Ok(request)
}

fn check_version(version: u64) -> Result<(), Refused> {
    let is_one = (1..=u64::from(u32::MAX)).contains(&version);
    is_one.then_some(()).ok_or_else(|| Refused::invalid("/version", "A version is a number from 1 on."))
}

/// Checks the packages at this place of a body.
pub(crate) fn check_packages(packages: &[ItemId<'_>], pointer: &str) -> Result<(), Refused> {
    if packages.len() > PACKAGES_MAX {
        return Err(Refused::invalid(pointer, format!("At most {PACKAGES_MAX} packages.")));
    }
    if let Some(i) = (1..packages.len()).find(|i| packages[..*i].contains(&packages[*i])) {
        let detail = format!("The package {:?} is there twice.", packages[i].0);
        return Err(Refused::invalid(&format!("{pointer}/{i}"), detail));
    }
    Ok(())
}

fn idempotency_key(parts: &Parts) -> Result<Cow<'_, str>, Refused> {
    let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        let detail = "Send an Idempotency-Key of your own making, and the same one with every retry.";
        return Err(Refused::new(problem::IDEMPOTENCY_KEY_MISSING, detail));
    };
    if values.next().is_some() {
        let detail = "There are several Idempotency-Key headers; send one.";
        return Err(Refused::new(problem::INVALID_REQUEST, detail));
    }
    parse_key(value.as_bytes()).map_err(|why| {
        Refused::new(problem::INVALID_REQUEST, format!("The Idempotency-Key can't be used: {why}."))
    })
}

impl Worker {
    pub(crate) fn body_limits(&self) -> BodyLimits {
        BodyLimits { bytes_max: crate::http::request::BODY_MAX, timeout: self.shared.limits.body_timeout }
    }

    /// The sale with this id.
    pub fn sale(&self, id: &str) -> Result<Arc<Sale>, Refused> {
        find_sale(&self.shared.sales, id)
    }
}

/// The sale with this id; 404 only if it certainly does not exist.
pub fn find_sale(sales: &Sales, id: &str) -> Result<Arc<Sale>, Refused> {
    sales.get(id).ok_or_else(|| {
        if sales.may_exist(id) { Refused::not_taken(Shed::Unread) } else { sale_not_found(id) }
    })
}

/// 404 for a sale.
pub fn sale_not_found(id: &str) -> Refused {
    let id: String = id.chars().take(64).collect();
    Refused::new(problem::SALE_NOT_FOUND, format!("There is no sale {id:?}."))
}
