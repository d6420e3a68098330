//! The calls of both listeners: the source of the OpenAPI document.

use hyper::Method;
use serde_json::json;
use utoipa::openapi::Required;

use crate::api::bodies::{AmendRequest, ConfirmRequest, ReserveRequest};
use crate::api::view::{
    CityList, ReservationList, ReservationView, SaleList, SaleView, StorePage, StoreView, TimeView,
};
use crate::domain::operator_action::{LIMITS_EFFECT, OperatorAction, RESTOCK_EFFECT};
use crate::domain::problem;
use crate::manage::audit::AuditReport;
use crate::openapi::call::{Auth, Call, Content, call};
use crate::openapi::examples;
use crate::ops::feed::{LeaseRequest, LeaseView};
use crate::ops::live::frame::LiveLine;
use crate::ops::rate_limits::{FleetView, LimitsLogView, LimitsRequest, LimitsView};
use crate::ops::view::{
    AppliedView, BuyerView, OperatorActionRequest, RestockRequest, RestockView, SaleDetail, SaleState,
    SaleStates,
};

/// The groups of calls on the public listener.
pub(crate) const PUBLIC_TAGS: &[(&str, &str)] = &[
    ("sales", "What anyone may read: the sale, its stores, the clock."),
    ("reservations", "What a buyer, or a service for it, does with a reservation."),
    ("reference", "This document, and the meaning of every refusal."),
];
/// The groups of calls on the ops listener.
pub(crate) const OPS_TAGS: &[(&str, &str)] = &[
    ("health", "Probes and metrics: no token needed."),
    ("definitions", "Sales as operators see them: definition, totals, live numbers."),
    ("actions", "Operator actions: each has an optional reason, and an entry in the journal."),
    ("support", "What the support desk, audits and other systems read."),
    ("fleet", "The live gateways and their rate limits."),
];

/// A reservation's path.
pub(crate) const RESERVATION: &str = "/v1/sales/{sale}/reservations/{id}";
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
            ("near", "`LAT,LNG` in degrees: the nearest first, each with `distance_m`. Stores without coordinates are left out. A page has at most 70 to 90 stores, whatever `limit` says. The list ends at some distance, usually after some hundred stores or more: `next` is null then. Where thousands of stores are about equally far away, it may end without any."),
            ("available", "`true`: only stores with slots left."),
            ("limit", "Stores on the page, 1 to 500; 50 if left out."),
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
                "All of it or nothing. A buyer can change a hold until `expires_at`, and a confirmed reservation until the sale's `configure_until`, if it has one; at most 100 times, after that it is 409 `reservation-not-held`. A service can change what is held or confirmed, without these limits. The price follows what is reserved.",
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

pub(crate) fn ops_calls() -> Vec<Call> {
    let open = |id, path, texts| call(id, Method::GET, path, texts, Auth::Anyone);
    let admin = |id, method, path, texts| {
        call(id, method, path, texts, Auth::OpsToken).or(&[problem::MISDIRECTED_REQUEST])
    };
    let mut calls = vec![
        open(("health", "showLivePage"), "/", ("The live page", "For a browser; the page asks for an ops token."))
            .text("text/html", "The page.", "<!doctype html>")
            .or(&[problem::MISDIRECTED_REQUEST]),
        open(("health", "checkLive"), "/livez", ("Liveness", "Whether to restart the process."))
            .text("text/plain", "The process is alive.", "ok\n"),
        open(("health", "checkReady"), "/readyz", ("Readiness for traffic", "Whether a balancer may send taps here."))
            .text("text/plain", "Ready.", "ready\n")
            .good(
                503,
                "Not ready; the body has the reasons.",
                Content::Text("text/plain", json!({"type": "string"}), "not ready: Redis does not answer\n".into()),
            ),
        open(
            ("health", "getMetrics"),
            "/metrics",
            ("For Prometheus", "In Prometheus's text format, 0.0.4; `gateway metrics` lists every metric."),
        )
        .text("text/plain", "The metrics of this gateway.", "launchgate_ready 1\n"),
        admin(
            ("fleet", "getLimits"),
            Method::GET,
            "/admin/v1/limits",
            ("The rate limits", "Configured, set by operators, and in force at this gateway."),
        )
        .json::<LimitsView>("At this gateway.", examples::limits()),
        admin(
            ("fleet", "setLimits"),
            Method::PATCH,
            "/admin/v1/limits",
            ("Set rate limits of all gateways, without a restart", LIMITS_EFFECT),
        )
        .body::<LimitsRequest>(Required::True, examples::limits_request())
        .json::<LimitsView>(
            "In force here at once, at the other gateways within a second or so.",
            examples::limits(),
        )
        .or(&[problem::OUTCOME_UNKNOWN]),
        admin(
            ("fleet", "getLimitsLog"),
            Method::GET,
            "/admin/v1/limits/log",
            ("The log of rate limit changes", "Who set which rates, when and why; the latest 1,000 changes are kept."),
        )
        .query(&[("limit", "The number of latest entries, 1 to 1,000.")])
        .json::<LimitsLogView>("Oldest first.", examples::limits_log()),
        admin(
            ("fleet", "getFleet"),
            Method::GET,
            "/admin/v1/fleet",
            ("The live gateways", "Each with its work in its last second."),
        )
        .json::<FleetView>("Gateways with a heartbeat in the last 5 s.", examples::fleet()),
        admin(
            ("support", "watchLive"),
            Method::GET,
            "/admin/v1/live",
            ("The stream of the live page", "A line a second: `hello`, `history`, `sale`, then `now` every second."),
        )
        .query(&[
            ("sale", "The sale; left out: the one that is open or opens next."),
            ("frames", "The number of `now` lines after which the stream ends, 1 to 86,400; left out: no end."),
        ])
        .lines::<LiveLine<'_>>(
            "JSON objects, a line each.",
            "{\"kind\":\"hello\",\"who\":\"alice\",\"version\":\"0.1.0\",\"edition\":\"5f2c81f0\",\"charts\":true,\"every_ms\":1000,\"server_time\":\"2026-11-09T12:00:00.050Z\"}\n",
        )
        .or(&[problem::SALE_NOT_FOUND]),
        admin(
            ("definitions", "listSalesAsOperator"),
            Method::GET,
            "/admin/v1/sales",
            ("All sales, live", "By id; unreadable sales in a list of their own."),
        )
        .json::<SaleStates>("The sales.", examples::sale_states()),
        admin(
            ("definitions", "getSaleAsOperator"),
            Method::GET,
            "/admin/v1/sales/{sale}",
            ("A sale: definition and live numbers", "All numbers at one sequence."),
        )
        .json::<SaleDetail>("The sale.", examples::sale_detail()),
        admin(
            ("definitions", "applyDefinition"),
            Method::PUT,
            "/admin/v1/sales/{sale}",
            (
                "Apply a definition",
                "Creates or changes the sale; harmless when repeated. A total changes by what changed in the definition since it was last applied.",
            ),
        )
        .named_body("Definition", Required::True, examples::definition())
        .json::<AppliedView>(
            "The outcome; this gateway serves the sale in that revision.",
            examples::applied(),
        )
        .or(&[problem::DEFINITION_LOCKED, problem::STOCK_TAKEN, problem::OUTCOME_UNKNOWN]),
        admin(
            ("actions", "restock"),
            Method::POST,
            "/admin/v1/sales/{sale}/restock",
            ("Set the total of an item", RESTOCK_EFFECT),
        )
        .body::<RestockRequest>(Required::True, examples::restock_request())
        .json::<RestockView>("Also when the total already has this value.", examples::restocked())
        .or(&[
            problem::STOCK_CHANGED,
            problem::STOCK_TAKEN,
            problem::UNKNOWN_ITEM,
            problem::OUTCOME_UNKNOWN,
        ]),
        admin(
            ("support", "getBuyer"),
            Method::GET,
            "/admin/v1/sales/{sale}/buyers/{sub}",
            ("A buyer, for the support desk", "Reservations and journal entries, read in one step."),
        )
        .json::<BuyerView<'_>>("What the ledger has of this buyer.", examples::buyer()),
        admin(
            ("support", "auditSale"),
            Method::GET,
            "/admin/v1/sales/{sale}/audit",
            ("Audit that every item balances", "Exact, also of a live sale: what changes meanwhile is judged by the journal."),
        )
        .json::<AuditReport>("The report; the verdict is `balanced` or `drift`.", examples::audit()),
        admin(
            ("support", "readJournal"),
            Method::GET,
            "/admin/v1/sales/{sale}/journal",
            ("Every change, in order", "One JSON object a line, as `gateway journal` prints it."),
        )
        .query(&[
            ("from", "The `cursor` of the last line that the reader has; `0-0` or left out: the start."),
            ("limit", "Lines, 1 to 10,000. There may be fewer; continue from the last `cursor` until there are none."),
            ("wait", "How long to wait for a change if there is none, at most `60s`."),
        ])
        .text(
            "application/x-ndjson",
            "The lines.",
            examples::journal().to_string() + "\n",
        )
        .header("Launchgate-Sequence", "integer", "The sequence of the ledger's latest change.", 4_711)
        .or(&[problem::JOURNAL_FORKED]),
        admin(
            ("support", "leaseReader"),
            Method::POST,
            "/admin/v1/sales/{sale}/journal/lease",
            (
                "Take, renew or release a reader's lease",
                "One program at a time has the lease of a reader's name. Its `fence` is larger than that of every earlier holder.",
            ),
        )
        .body::<LeaseRequest>(Required::True, examples::lease_request())
        .json::<LeaseView>("The caller has the lease, or has released it.", examples::lease())
        .or(&[problem::LEASE_HELD, problem::OUTCOME_UNKNOWN]),
    ];
    for (action, id, path, summary) in [
        (OperatorAction::Pause, "pause", "/admin/v1/sales/{sale}/pause", "Stop new reservations"),
        (OperatorAction::Resume, "resume", "/admin/v1/sales/{sale}/resume", "Accept new reservations again"),
        (
            OperatorAction::Freeze,
            "freeze",
            "/admin/v1/sales/{sale}/freeze",
            "Stop the sale clock: no hold expires",
        ),
        (OperatorAction::Unfreeze, "unfreeze", "/admin/v1/sales/{sale}/unfreeze", "Resume the sale clock"),
        (OperatorAction::Close, "close", "/admin/v1/sales/{sale}/close", "Stop new reservations for good"),
    ] {
        calls.push(
            admin(("actions", id), Method::POST, path, (summary, action.effect()))
                .body::<OperatorActionRequest>(Required::False, examples::action_request())
                .json::<SaleState>("The new state; repeating is harmless.", examples::sale_state(id))
                .or(&[problem::OUTCOME_UNKNOWN]),
        );
    }
    calls
}
