//! The calls of the public listener: the source of its OpenAPI document.

mod ops;

use hyper::Method;
pub(crate) use ops::{OPS_TAGS, ops_calls};
use utoipa::openapi::Required;

use crate::api::bodies::{AmendRequest, ChoiceRequest, ConfirmRequest, ReserveRequest, SignupRequest};
use crate::api::view::{
    BuyerSignupView, CityList, DrawView, ReservationList, ReservationView, SaleList, SaleView, StandbyView,
    StorePage, StoreView, TimeView,
};
use crate::domain::problem;
use crate::openapi::call::{Auth, Call, Content, call};
use crate::openapi::examples;

/// The groups of calls on the public listener.
pub(crate) const PUBLIC_TAGS: &[(&str, &str)] = &[
    ("sales", "What anyone may read: the sale, its stores, the clock."),
    ("sign-up", "What a buyer does before the opening, in a sale that takes sign-ups."),
    ("standby", "What a buyer does when a model is sold out, in a sale with standby queues."),
    ("reservations", "What a buyer, or a service for it, does with a reservation."),
    ("reference", "This document, and the meaning of every refusal."),
];

/// A reservation's path.
pub(crate) const RESERVATION: &str = "/v1/sales/{sale}/reservations/{id}";
const SIGNUP: &str = "/v1/sales/{sale}/signup";
const STANDBY: &str = "/v1/sales/{sale}/standby";
const CONFIRM: &str = "/v1/sales/{sale}/reservations/{id}/confirm";
const CANCEL: &str = "/v1/sales/{sale}/reservations/{id}/cancel";

pub(crate) fn public_calls() -> Vec<Call> {
    let open =
        |id, path, texts| call(id, Method::GET, path, texts, Auth::Anyone).or(&[problem::QUOTA_EXCEEDED]);
    let held = &[problem::RESERVATION_NOT_FOUND, problem::RESERVATION_NOT_HELD, problem::OUTCOME_UNKNOWN];
    vec![
        open(
            ("sales", "getTime"),
            "/v1/time",
            ("The server's clock", "For countdowns and clock offsets. Not cacheable."),
        )
        .json::<TimeView>("The time.", examples::time()),
        open(
            ("reference", "explainProblem"),
            "/problems/{name}",
            ("The explanation of a problem", "The page that the `type` of a refusal names."),
        )
        .text("text/plain", "A short explanation.", "Sold out (409)\n\nThe listed `items` are sold out.\n"),
        open(
            ("reference", "getOpenApi"),
            "/openapi.json",
            (
                "This document",
                "The calls of the public listener, as `gateway openapi --api apps` prints them; cacheable.",
            ),
        )
        .named_json("OpenApi", "The document.", examples::open_api())
        .or_not_modified("The document has not changed."),
        open(
            ("sales", "listSales"),
            "/v1/sales",
            (
                "The sales that are not over",
                "Cacheable for a second. Sales with `listed = false` are left out; at most 1,000 are shown.",
            ),
        )
        .json::<SaleList>("The sales, by `opens_at`.", examples::sales())
        .or_not_modified("The list has not changed."),
        open(
            ("sales", "getSale"),
            "/v1/sales/{sale}",
            (
                "A sale with its availability",
                "Cacheable for a second; the `ETag` is over all but `server_time`. Wait a random half to all of `poll_after_ms` between two polls.",
            ),
        )
        .json::<SaleView>("The sale.", examples::sale())
        .or_not_modified("Nothing but `server_time` has changed."),
        open(
            ("sales", "listCities"),
            "/v1/sales/{sale}/cities",
            ("The cities that have stores", "Cacheable for a second. In the order of their first stores in the definition."),
        )
        .json::<CityList<'_>>("The cities.", examples::cities())
        .or_not_modified("No city has another availability."),
        open(
            ("sales", "listStores"),
            "/v1/sales/{sale}/stores",
            (
                "A page of the stores",
                "Cacheable for a second. The filters apply together. A query does a bounded amount of work: a page may have fewer stores than `limit`, also none, before the last one; `next` continues it.",
            ),
        )
        .query(&[
            ("city", "Only stores of this city; case, kind of white space and decomposed accents are ignored."),
            ("province", "Only stores of this province, compared in the same way."),
            ("q", "Only stores with this text in their name or address, compared in the same way."),
            ("near", "`LAT,LNG` in degrees: the nearest first, each with `distance_m`. Stores without coordinates are left out. A page has at most 50 to 65 stores, whatever `limit` says. The list ends at some distance, usually after some hundred stores or more: `next` is null then. Where thousands of stores are about equally far away, it may end without any."),
            ("available", "`true`: only stores with slots left."),
            ("limit", "Stores on the page, 1 to 500; 50 if left out. A page ends after 300 at the latest."),
            ("cursor", "`next` of the page before, with the same other parameters."),
        ])
        .json::<StorePage<'_>>("In the definition's order, or by distance.", examples::stores())
        .or_not_modified("The page has not changed."),
        open(
            ("sales", "getStore"),
            "/v1/sales/{sale}/stores/{store}",
            ("A store", "Cacheable for a second."),
        )
        .json::<StoreView<'_>>("The store.", examples::store())
        .or_not_modified("The store has not changed.")
        .or(&[problem::STORE_NOT_FOUND]),
        open(
            ("sign-up", "getDraw"),
            "/v1/sales/{sale}/draw",
            (
                "The draw of a sale",
                "With `sells` = `draw` there is no race: after sign-up the entrants are fixed by their root, a seed follows from it, a reveal that was committed to before, and a beacon from outside, and all are served in the order that follows from the seed. Cacheable for a second. 404 `not-found` where the sale has no draw.",
            ),
        )
        .json::<DrawView>("What is public of it.", examples::draw())
        .or_not_modified("The draw has not changed."),
        call(
            ("sign-up", "signUp"),
            Method::PUT,
            SIGNUP,
            (
                "Sign up, or change the choices",
                "Between `signup.opens_at` and `signup.closes_at` of the sale. Each buyer has one sign-up, and changing it keeps its number. Repeating it is harmless, also after the end.",
            ),
            Auth::Token,
        )
        .body::<SignupRequest<'_>>(Required::True, examples::signup_request())
        .json_with::<BuyerSignupView<'_>>(201, "Signed up.", examples::signup())
        .json_with::<BuyerSignupView<'_>>(200, "Signed up before; the choices are those of this request.", examples::signup())
        .or(&[
            problem::SIGNUP_NOT_OPEN,
            problem::SIGNUP_CLOSED,
            problem::UNKNOWN_ITEM,
            problem::OUTCOME_UNKNOWN,
        ]),
        call(
            ("sign-up", "getSignup"),
            Method::GET,
            SIGNUP,
            (
                "The caller's own sign-up",
                "In a sale that sells by a draw also the pseudonym, the rank once it is drawn, and the reservation once there is one. 404 `not-found` where the sale takes no sign-ups.",
            ),
            Auth::Token,
        )
        .json::<BuyerSignupView<'_>>("The sign-up.", examples::signup())
        .or(&[problem::SIGNUP_NOT_FOUND]),
        call(
            ("sign-up", "withdrawSignup"),
            Method::DELETE,
            SIGNUP,
            ("Withdraw the sign-up", "Until sign-up ends. Repeating it is harmless. Signing up again gives a new number."),
            Auth::Token,
        )
        .good(204, "The buyer is not signed up.", Content::Empty)
        .or(&[problem::SIGNUP_CLOSED, problem::OUTCOME_UNKNOWN]),
        call(
            ("standby", "joinStandby"),
            Method::PUT,
            STANDBY,
            (
                "Wait for a model that is sold out",
                "Each buyer has one place. The same model again keeps it, with other packages or another store; another model moves it to the end of that queue. Repeating it is harmless. Whatever comes back of the model is held for the first buyer of its queue, in the same step in which it comes back, packages and store as far as they are there.",
            ),
            Auth::Token,
        )
        .body::<ChoiceRequest<'_>>(Required::True, examples::standby_request())
        .json_with::<StandbyView>(201, "The buyer waits.", examples::waiting())
        .json_with::<StandbyView>(200, "The buyer waited already, or has been granted a reservation.", examples::waiting())
        .or(&[
            problem::SALE_CLOSED,
            problem::SALE_NOT_OPEN,
            problem::SALE_PAUSED,
            problem::NOT_SIGNED_UP,
            problem::UNKNOWN_ITEM,
            problem::PURCHASE_LIMIT,
            problem::NOT_SOLD_OUT,
            problem::STANDBY_FULL,
            problem::OUTCOME_UNKNOWN,
        ]),
        call(
            ("standby", "getStandby"),
            Method::GET,
            STANDBY,
            (
                "The caller's place",
                "Costs what a read of the sale costs; ask as often as `poll_after_ms` of the sale says. 404 `not-found` where the sale has no standby queues.",
            ),
            Auth::Token,
        )
        .json::<StandbyView>("The place.", examples::waiting())
        .or(&[problem::STANDBY_NOT_FOUND]),
        call(
            ("standby", "leaveStandby"),
            Method::DELETE,
            STANDBY,
            ("Leave the queue", "Repeating it is harmless. A reservation that was granted stays: cancel it."),
            Auth::Token,
        )
        .good(204, "The buyer does not wait.", Content::Empty)
        .or(&[problem::OUTCOME_UNKNOWN]),
        call(
            ("reservations", "reserve"),
            Method::POST,
            "/v1/sales/{sale}/reservations",
            (
                "Reserve",
                "The tap. The same `Idempotency-Key` with the same body finds the same reservation at every gateway, after any crash. A replay in a terminal state means: this key is used up; drop it. A refusal leaves nothing behind.",
            ),
            Auth::Token,
        )
        .body::<ReserveRequest<'_>>(Required::True, examples::tap())
        .json_with::<ReservationView<'_>>(201, "A new hold.", examples::held())
        .header("Location", "string", "The path of the new reservation.", examples::PATH)
        .json_with::<ReservationView<'_>>(
            200,
            "The same reservation again, in its present state. In a terminal state (`cancelled`, `expired`) this key is used up: drop it.",
            examples::held(),
        )
        .header("Idempotency-Replayed", "boolean", "`true`: an earlier POST made it.", true)
        .or(&[
            problem::IDEMPOTENCY_KEY_MISSING,
            problem::IDEMPOTENCY_KEY_REUSED,
            problem::SALE_CLOSED,
            problem::SALE_NOT_OPEN,
            problem::SALE_PAUSED,
            problem::NOT_SIGNED_UP,
            problem::UNKNOWN_ITEM,
            problem::PURCHASE_LIMIT,
            problem::SOLD_OUT,
            problem::OUTCOME_UNKNOWN,
        ]),
        call(
            ("reservations", "listReservations"),
            Method::GET,
            "/v1/sales/{sale}/reservations",
            ("The caller's own reservations", "In the order in which they were taken."),
            Auth::Token,
        )
        .json::<ReservationList<'_>>("All of them, in every state.", examples::own()),
        call(
            ("reservations", "getReservation"),
            Method::GET,
            RESERVATION,
            ("A reservation", "For its buyer or a service; 404 for all others."),
            Auth::Token,
        )
        .json::<ReservationView<'_>>("In its present state.", examples::held())
        .or(&[problem::RESERVATION_NOT_FOUND]),
        call(
            ("reservations", "amendReservation"),
            Method::PATCH,
            RESERVATION,
            (
                "Change what is reserved",
                "All of it or nothing. A buyer can change a hold until `expires_at`, and a confirmed reservation until the sale's `configure_until`, if it has one; at most 100 times, after that it is 409 `reservation-not-held`. A service can change what is held or confirmed, without these limits. With an outdated `version` it is 409 `reservation-changed`, whatever items are named. The price follows what is reserved.",
            ),
            Auth::Token,
        )
        .body::<AmendRequest<'_>>(Required::True, examples::amend())
        .json::<ReservationView<'_>>(
            "The present state; `version` has increased if anything changed.",
            examples::later("held", 2),
        )
        .or(held)
        .or(&[problem::RESERVATION_CHANGED, problem::UNKNOWN_ITEM, problem::SOLD_OUT]),
        call(
            ("reservations", "confirmReservation"),
            Method::POST,
            CONFIRM,
            (
                "Confirm after the payment",
                "For services. Repeating it with the same payment is harmless. With `accept_late` a hold that has ended without payment is taken again in one step, if all of it is there and the buyer's limit allows it. 409 `reservation-not-held` means: refund this payment. A refused `accept_late` stays refused in every form; after a refund never send the payment again.",
            ),
            Auth::Token,
        )
        .body::<ConfirmRequest>(Required::True, examples::confirm())
        .json::<ReservationView<'_>>(
            "Confirmed, now or before by the same payment.",
            examples::later("confirmed", 1),
        )
        .or(held)
        .or(&[problem::FORBIDDEN, problem::RESERVATION_CHANGED, problem::PAYMENT_CONFLICT]),
        call(
            ("reservations", "cancelReservation"),
            Method::POST,
            CANCEL,
            (
                "End it and free its stock",
                "A buyer can cancel a hold, a service also what is confirmed. Repeating it is harmless.",
            ),
            Auth::Token,
        )
        .json::<ReservationView<'_>>("Cancelled, now or before.", examples::later("cancelled", 1))
        .or(held),
    ]
}
