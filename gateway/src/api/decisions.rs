//! Maps decisions of the ledger to responses.

use hyper::header::{HeaderName, HeaderValue, LOCATION};

use crate::api::view::{ReservationList, ReservationView};
use crate::domain::decision::{Decision, Header, PurchaseLimit};
use crate::domain::problem;
use crate::domain::reservation::Reservation;
use crate::domain::rfc3339::rfc3339;
use crate::http::respond::{Answer, Refused, json_answer, ok};
use crate::projection::read_model::{ReadModel, Sale};
use crate::reserve::changes::Change;
use crate::telemetry::labels::Outcome;

/// The response to a reservation request.
pub(crate) fn decision(sale: &Sale, read_model: &ReadModel, decision: Decision) -> Result<Answer, Refused> {
    Err(match decision {
        Decision::Won(reservation, header) => {
            let location = ["/v1/sales/", &sale.id, "/reservations/", &reservation.id].concat();
            let view = ReservationView::new(sale, read_model, &reservation, &header);
            let mut answer = json_answer(Outcome::WON, view.to_json().into());
            if let Ok(location) = HeaderValue::try_from(location) {
                answer.headers_mut().insert(LOCATION, location);
            }
            return Ok(answer);
        }
        Decision::Replayed(mut reservation, header) => {
            reservation.state = reservation.state_at(header.sale_clock, read_model.grace_ms);
            let view = ReservationView::new(sale, read_model, &reservation, &header);
            let mut answer = json_answer(Outcome::REPLAYED, view.to_json().into());
            let replayed = HeaderName::from_static("idempotency-replayed");
            answer.headers_mut().insert(replayed, HeaderValue::from_static("true"));
            return Ok(answer);
        }
        Decision::KeyReused => Refused::new(
            problem::IDEMPOTENCY_KEY_REUSED,
            "This Idempotency-Key has made a reservation with another body. Use a new key for a new intention.",
        ),
        Decision::Closed => {
            Refused::new(problem::SALE_CLOSED, "The sale has closed; no reservations are taken any more.")
        }
        Decision::NotOpen(time) => {
            let opens_at = rfc3339(read_model.controls.opens);
            let (detail, else_ms) = match read_model.draw {
                // When the allocation ends is not known before it has ended: until then, a fixed wait.
                Some(_) => ("What the draw leaves sells once it is over; it begins at ", 2_000),
                None => ("The sale opens at ", 0),
            };
            let until = u64::try_from(read_model.controls.opens - time).unwrap_or(else_ms);
            Refused::new(problem::SALE_NOT_OPEN, [detail, &opens_at, "."].concat())
                .with("opens_at", opens_at)
                .with("server_time", rfc3339(time))
                // All clients wait for the same instant: the spread is short, so that none is late by it.
                .retry_after_spread(until, 250)
        }
        Decision::Paused => Refused::new(
            problem::SALE_PAUSED,
            "The sale is paused. Please try again later, with the same key.",
        )
        .retry_after(5_000),
        Decision::NotSignedUp => Refused::new(
            problem::NOT_SIGNED_UP,
            "Only buyers who have signed up can reserve in this sale, and this buyer has not.",
        ),
        Decision::UnknownItem(items) => unknown_item(&items),
        Decision::PurchaseLimit(limit, ids) => {
            let detail = match limit {
                PurchaseLimit::PerBuyer => "You already have as many reservations as this sale allows.",
                PurchaseLimit::Attempts => "You have started as many reservations as this sale allows.",
            };
            Refused::new(problem::PURCHASE_LIMIT, detail)
                .with("reservations", ids)
                .with("reason", limit.name())
        }
        Decision::SoldOut { items, is_final } => {
            let has_queue = read_model.catalogue.definition.sale.standby;
            let can_wait = has_queue && items.iter().any(|item| item.starts_with("model:"));
            sold_out(read_model, &items, is_final, can_wait)
        }
        Decision::NotTaken(why) => Refused::not_taken(why),
        Decision::Unknown => Refused::unknown(),
    })
}

/// The response to a call on one reservation.
pub(crate) fn change(sale: &Sale, read_model: &ReadModel, change: Change) -> Result<Answer, Refused> {
    let state = |refused: Refused, r: &Reservation| refused.with("state", r.state).with("version", r.version);
    Err(match change {
        Change::Done(reservation, header) => {
            return Ok(ok(&ReservationView::new(sale, read_model, &reservation, &header)));
        }
        Change::NotFound => reservation_not_found(),
        Change::NotHeld(r) => {
            let detail = match r.state.name() {
                "held" => {
                    "Its deadline is over: it can be confirmed or cancelled for a short while, not changed."
                        .to_owned()
                }
                "confirmed" => {
                    "It is confirmed, and the time to change or cancel it is over for its buyer.".to_owned()
                }
                word => format!("The reservation is {word}, which does not allow this."),
            };
            state(Refused::new(problem::RESERVATION_NOT_HELD, detail), &r)
        }
        Change::Changed(r) => state(
            Refused::new(
                problem::RESERVATION_CHANGED,
                format!("The reservation is at version {} by now. Read it again.", r.version),
            ),
            &r,
        ),
        Change::AmendLimitReached(r) => state(
            Refused::new(
                problem::RESERVATION_NOT_HELD,
                "It was changed as often as a buyer may change it. It can still be paid or cancelled as it is, and a service can change it.",
            ),
            &r,
        ),
        Change::PaymentConflict(r) => state(
            Refused::new(
                problem::PAYMENT_CONFLICT,
                "The reservation was confirmed by another payment. Refund this one.",
            ),
            &r,
        ),
        Change::UnknownItem(items) => unknown_item(&items),
        // Who has a car may reserve no other, as a rule.
        Change::SoldOut { items, is_final } => sold_out(read_model, &items, is_final, false),
        Change::NotTaken(why) => Refused::not_taken(why),
        Change::Unknown => Refused::unknown(),
    })
}

/// 200 with all reservations of a buyer.
pub(crate) fn reservations(
    sale: &Sale,
    read_model: &ReadModel,
    list: &[Reservation],
    header: &Header,
) -> Answer {
    let views: Vec<_> = list.iter().map(|r| ReservationView::new(sale, read_model, r, header)).collect();
    ok(&ReservationList { reservations: views, server_time: rfc3339(header.time) })
}

/// 404 for a reservation.
pub(crate) fn reservation_not_found() -> Refused {
    Refused::new(problem::RESERVATION_NOT_FOUND, "There is no such reservation, or it is not yours.")
}

pub(crate) fn unknown_item(items: &[String]) -> Refused {
    let detail = format!("Not in this sale, or not for this model: {}.", items.join(", "));
    Refused::new(problem::UNKNOWN_ITEM, detail).with("items", items)
}

fn sold_out(read_model: &ReadModel, items: &[String], is_final: bool, can_wait: bool) -> Refused {
    let mut detail = String::with_capacity(128);
    for (i, item) in items.iter().enumerate() {
        detail.push_str(if i == 0 { "Sold out: " } else { ", " });
        detail.push_str(item);
    }
    detail.push('.');
    // What is set aside comes back, too.
    let is_final = is_final && read_model.aside.iter().all(|aside| *aside == 0);
    Refused::new(problem::SOLD_OUT, detail)
        .with("items", items)
        .with("final", is_final)
        .with("standby", can_wait)
}
