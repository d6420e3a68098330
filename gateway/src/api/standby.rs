//! Handlers of the standby calls: a buyer waits for a model that is sold out.

use std::time::Instant;

use hyper::body::Incoming;
use hyper::http::request::Parts;

use crate::api::bodies::ChoiceRequest;
use crate::api::decisions;
use crate::api::reservations::Caller;
use crate::api::signup::choice;
use crate::api::view::StandbyView;
use crate::domain::choice::Choice;
use crate::domain::decision::Shed;
use crate::domain::identity::BuyerHash;
use crate::domain::problem;
use crate::domain::sale::Phase;
use crate::domain::standby::PlaceState;
use crate::http::request::{json_bytes, parse};
use crate::http::respond::{Answer, Refused, created, no_content, ok};
use crate::projection::read_model::{PlaceNow, Sale};
use crate::reserve::batch::{JoinCommand, JoinDecision};
use crate::reserve::standby::{self, Leaving};

/// `PUT /v1/sales/{sale}/standby`
pub async fn put(caller: &Caller<'_>, sale: &str, parts: &Parts, body: Incoming) -> Result<Answer, Refused> {
    let worker = caller.worker;
    let body = json_bytes(parts, body, worker.body_limits()).await?;
    let received = Instant::now();
    let choice = standby_request(&body)?;
    let sale = worker.sale(sale)?;
    caller.count(caller.costs().change)?;
    check_terms(&sale)?;
    let _permit = worker.acquire_permit(true)?;
    let model = choice.model.clone();
    let command = JoinCommand::new(&sale.id, caller.identity.sub(), choice);
    let decision = worker.joins(&sale).ask(command, worker.deadlines(received, Instant::now())).await;
    let place = |model, state, position, reservation| PlaceNow { model, state, position, reservation };
    let waiting = |position| view(&sale, place(model.clone(), PlaceState::Waiting, position, None));
    let items = || [format!("model:{model}")];
    match decision {
        JoinDecision::Joined(position) => Ok(created(&waiting(position))),
        JoinDecision::Waiting(position) => Ok(ok(&waiting(position))),
        JoinDecision::Granted(model, reservation) => {
            Ok(ok(&view(&sale, place(model, PlaceState::Granted, 0, Some(reservation.id)))))
        }
        JoinDecision::Refused(decision) => decisions::decision(&sale, &sale.read_model(), decision),
        JoinDecision::NotSoldOut => {
            let detail = format!("{} can be reserved now: there is nothing to wait for.", items()[0]);
            Err(Refused::new(problem::NOT_SOLD_OUT, detail).with("items", items()))
        }
        JoinDecision::Full => {
            let detail = format!("As many buyers wait for {} as this sale allows.", items()[0]);
            Err(Refused::new(problem::STANDBY_FULL, detail).with("items", items()))
        }
        JoinDecision::None => Err(no_standby()),
    }
}

/// `GET /v1/sales/{sale}/standby`: from the read model, without Redis.
pub async fn get(caller: &Caller<'_>, sale: &str) -> Result<Answer, Refused> {
    let received = Instant::now();
    let worker = caller.worker;
    let sale = worker.sale(sale)?;
    caller.count(caller.costs().status)?;
    check_terms(&sale)?;
    // As of a moment after the request: a place that any gateway has acknowledged is in it.
    worker.round_waiters(&sale).wait(received).await;
    if !sale.is_complete_as_of(received) {
        return Err(Refused::not_taken(Shed::Ledger));
    }
    match sale.place(&BuyerHash::new(&sale.id, caller.identity.sub())) {
        Some(place) => Ok(ok(&view(&sale, place))),
        None => {
            Err(Refused::new(problem::STANDBY_NOT_FOUND, "This buyer has no place in a queue of this sale."))
        }
    }
}

/// `DELETE /v1/sales/{sale}/standby`
pub async fn leave(caller: &Caller<'_>, sale: &str) -> Result<Answer, Refused> {
    let worker = caller.worker;
    let sale = worker.sale(sale)?;
    caller.count(caller.costs().change)?;
    check_terms(&sale)?;
    let _permit = worker.acquire_permit(false)?;
    match standby::leave(&worker.redis_connection(&sale), &sale, caller.identity.sub()).await {
        Leaving::Done => Ok(no_content()),
        Leaving::NotTaken(why) => Err(Refused::not_taken(why)),
        Leaving::Unknown => Err(Refused::unknown()),
    }
}

/// Parses and checks the body of a request to join.
pub(crate) fn standby_request(body: &[u8]) -> Result<Choice, Refused> {
    let request: ChoiceRequest<'_> = parse(body)?;
    choice(request, "")
}

/// A place as its buyer sees it.
pub(crate) fn view(sale: &Sale, place: PlaceNow) -> StandbyView {
    let read_model = sale.read_model();
    let PlaceNow { model, state, position, reservation } = place;
    let is_over = state == PlaceState::Waiting && read_model.phase(sale.best_time()) == Phase::Closed;
    let state = if is_over { PlaceState::Ended } else { state };
    if state != PlaceState::Waiting {
        return StandbyView { model, position: None, odds: None, state, reservation };
    }
    let odds = sale.outlook(&model).and_then(|outlook| outlook.odds(position));
    StandbyView { model, position: Some(position), odds, state, reservation: None }
}

fn check_terms(sale: &Sale) -> Result<(), Refused> {
    if sale.read_model().catalogue.definition.sale.standby { Ok(()) } else { Err(no_standby()) }
}

pub(crate) fn no_standby() -> Refused {
    Refused::new(problem::NOT_FOUND, "This sale has no standby queues.")
}
