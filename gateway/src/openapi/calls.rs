//! The calls of both listeners: the source of the OpenAPI document.

use std::borrow::Cow;

use hyper::Method;
use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{RefOr, Required};

use crate::api::bodies::{AmendRequest, ConfirmRequest, ReserveRequest};
use crate::api::view::{
    CityList, ReservationList, ReservationView, SaleList, SaleView, StorePage, StoreView, TimeView,
};
use crate::domain::operator_action::{LIMITS_EFFECT, OperatorAction, RESTOCK_EFFECT};
use crate::domain::problem::{self, ProblemKind};
use crate::manage::audit::AuditReport;
use crate::ops::live::frame::LiveLine;
use crate::ops::rate_limits::{FleetView, LimitsLogView, LimitsRequest, LimitsView};
use crate::ops::view::{
    AppliedView, BuyerView, OperatorActionRequest, RestockRequest, RestockView, SaleDetail, SaleState,
    SaleStates,
};

/// The token that a call needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    Anyone,
    Token,
    OpsToken,
}

/// The body of a successful response.
pub(crate) enum Good {
    /// JSON of this schema.
    Json(Cow<'static, str>),
    /// Something else, of this media type.
    Other(&'static str),
    /// No body.
    Empty,
}

/// One call of the API.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    /// The description, where the summary is not enough.
    pub(crate) about: Option<&'static str>,
    pub(crate) auth: Auth,
    pub(crate) query: &'static [(&'static str, &'static str)],
    pub(crate) body: Option<(Cow<'static, str>, Required)>,
    pub(crate) good: Vec<(u16, &'static str, Good)>,
    pub(crate) problems: Vec<ProblemKind>,
    /// The schemas of its body and its responses, and of the types inside them.
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
}

/// Refusals of every call.
const EVERYWHERE: &[ProblemKind] = &[
    problem::INVALID_REQUEST,
    problem::NOT_FOUND,
    problem::METHOD_NOT_ALLOWED,
    problem::REQUEST_TIMEOUT,
    problem::URI_TOO_LONG,
    problem::HEADERS_TOO_LARGE,
    problem::INTERNAL,
    problem::TEMPORARY_REDUCED_CAPACITY,
];
/// Refusals of calls with a body.
const WITH_BODY: &[ProblemKind] = &[problem::BODY_TOO_LARGE, problem::UNSUPPORTED_MEDIA_TYPE];
/// Refusals of rate-limited calls.
const LIMITED: &[ProblemKind] = &[problem::QUOTA_EXCEEDED];

fn call(method: Method, path: &'static str, summary: &'static str, auth: Auth) -> Call {
    let mut problems = EVERYWHERE.to_vec();
    match auth {
        Auth::Anyone => {}
        Auth::Token => problems.extend([problem::UNAUTHENTICATED, problem::QUOTA_EXCEEDED]),
        Auth::OpsToken => problems.extend([problem::UNAUTHENTICATED, problem::FORBIDDEN]),
    }
    if path.contains("{sale}") {
        problems.push(problem::SALE_NOT_FOUND);
    }
    let (good, schemas) = (Vec::new(), Vec::new());
    Call { method, path, summary, about: None, auth, query: &[], body: None, good, problems, schemas }
}

impl Call {
    fn good(mut self, status: u16, description: &'static str, body: Good) -> Self {
        self.good.push((status, description, body));
        self
    }

    fn about(mut self, about: &'static str) -> Self {
        self.about = Some(about);
        self
    }

    fn json<T: ToSchema>(self, description: &'static str) -> Self {
        self.json_with::<T>(200, description)
    }

    fn json_with<T: ToSchema>(self, status: u16, description: &'static str) -> Self {
        self.schema::<T>().good(status, description, Good::Json(T::name()))
    }

    fn schema<T: ToSchema>(mut self) -> Self {
        T::schemas(&mut self.schemas);
        self.schemas.push((T::name().into_owned(), T::schema()));
        self
    }

    /// A response of another media type.
    fn other(self, media_type: &'static str, description: &'static str) -> Self {
        self.good(200, description, Good::Other(media_type))
    }

    fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    fn body<T: ToSchema>(self, required: Required) -> Self {
        self.schema::<T>().named_body(T::name(), required)
    }

    /// A body of a schema that no type has.
    fn named_body(mut self, schema: impl Into<Cow<'static, str>>, required: Required) -> Self {
        self.body = Some((schema.into(), required));
        self.or(WITH_BODY)
    }

    fn or(mut self, problems: &[ProblemKind]) -> Self {
        self.problems.extend(problems);
        self
    }
}

/// A reservation's path.
pub(crate) const RESERVATION: &str = "/v1/sales/{sale}/reservations/{id}";
const CONFIRM: &str = "/v1/sales/{sale}/reservations/{id}/confirm";
const CANCEL: &str = "/v1/sales/{sale}/reservations/{id}/cancel";

pub(crate) fn public_calls() -> Vec<Call> {
    let held = &[problem::RESERVATION_NOT_FOUND, problem::RESERVATION_NOT_HELD, problem::OUTCOME_UNKNOWN];
    vec![
        call(Method::GET, "/v1/time", "The server's clock, for countdowns and clock offsets", Auth::Anyone)
            .json::<TimeView>("Not cacheable."),
        call(Method::GET, "/problems/{name}", "The explanation of a problem", Auth::Anyone)
            .other("text/plain", "A short explanation."),
        call(Method::GET, "/v1/sales", "The sales that are not over", Auth::Anyone)
            .json::<SaleList>("Cacheable for a second. Sales with `listed = false` are left out; at most 1,000 are shown.")
            .good(304, "The list has not changed.", Good::Empty)
            .or(LIMITED),
        call(Method::GET, "/v1/sales/{sale}", "A sale with its availability", Auth::Anyone)
            .json::<SaleView>("Cacheable for a second; the `ETag` is over all but `server_time`.")
            .good(304, "Nothing but `server_time` has changed.", Good::Empty)
            .or(LIMITED),
        call(Method::GET, "/v1/sales/{sale}/cities", "The cities that have stores", Auth::Anyone)
            .json::<CityList<'_>>("Cacheable for a second.")
            .good(304, "No city has another availability.", Good::Empty)
            .or(LIMITED),
        call(Method::GET, "/v1/sales/{sale}/stores", "A page of the stores", Auth::Anyone)
            .about("The filters apply together. A query does a bounded amount of work: a page may have fewer stores than `limit`, also none, before the last one; `next` continues it. With `near` the list ends at some distance, after 500 stores at the earliest.")
            .query(&[
                ("city", "Only stores of this city; case, kind of white space and decomposed accents are ignored."),
                ("province", "Only stores of this province, compared in the same way."),
                ("q", "Only stores with this text in their name or address, compared in the same way."),
                ("near", "`LAT,LNG` in degrees: the nearest first, each with `distance_m`. Stores without coordinates are left out."),
                ("available", "`true`: only stores with slots left."),
                ("limit", "Stores on the page, 1 to 500; 50 if left out."),
                ("cursor", "`next` of the page before, with the same other parameters."),
            ])
            .json::<StorePage<'_>>("In the definition's order, or by distance.")
            .good(304, "The page has not changed.", Good::Empty)
            .or(LIMITED),
        call(Method::GET, "/v1/sales/{sale}/stores/{store}", "A store", Auth::Anyone)
            .json::<StoreView<'_>>("Cacheable for a second.")
            .good(304, "The store has not changed.", Good::Empty)
            .or(LIMITED)
            .or(&[problem::STORE_NOT_FOUND]),
        call(Method::POST, "/v1/sales/{sale}/reservations", "Reserve", Auth::Token)
            .body::<ReserveRequest<'_>>(Required::True)
            .json_with::<ReservationView<'_>>(201, "A new hold.")
            .json_with::<ReservationView<'_>>(200, "The same reservation again, in its present state.")
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
        call(Method::GET, "/v1/sales/{sale}/reservations", "The caller's own reservations", Auth::Token)
            .json::<ReservationList<'_>>("In the order in which they were taken."),
        call(Method::GET, RESERVATION, "A reservation, for its buyer or a service", Auth::Token)
            .json::<ReservationView<'_>>("In its present state.")
            .or(&[problem::RESERVATION_NOT_FOUND]),
        call(Method::PATCH, RESERVATION, "Change what is reserved, all of it or nothing", Auth::Token)
            .about("A buyer can change a reservation 100 times; after that it is 409 `reservation-not-held`. Services have no such limit.")
            .body::<AmendRequest<'_>>(Required::True)
            .json::<ReservationView<'_>>("The present state; `version` has increased if anything changed.")
            .or(held)
            .or(&[problem::RESERVATION_CHANGED, problem::UNKNOWN_ITEM, problem::SOLD_OUT]),
        call(Method::POST, CONFIRM, "Confirm after the payment (services only)", Auth::Token)
            .body::<ConfirmRequest>(Required::True)
            .json::<ReservationView<'_>>("Confirmed, now or before by the same payment.")
            .or(held)
            .or(&[problem::FORBIDDEN, problem::RESERVATION_CHANGED, problem::PAYMENT_CONFLICT]),
        call(Method::POST, CANCEL, "End it and free its stock", Auth::Token)
            .json::<ReservationView<'_>>("Cancelled, now or before.")
            .or(held),
    ]
}

pub(crate) fn ops_calls() -> Vec<Call> {
    let admin = |method, path, summary| {
        call(method, path, summary, Auth::OpsToken).or(&[problem::MISDIRECTED_REQUEST])
    };
    let mut calls = vec![
        call(Method::GET, "/", "The live page, for a browser", Auth::Anyone)
            .other("text/html", "It asks for an ops token.")
            .or(&[problem::MISDIRECTED_REQUEST]),
        call(Method::GET, "/livez", "Liveness", Auth::Anyone)
            .other("text/plain", "The process is alive."),
        call(Method::GET, "/readyz", "Readiness for traffic", Auth::Anyone)
            .other("text/plain", "Ready.")
            .good(503, "Not ready; the body has the reasons.", Good::Other("text/plain")),
        call(Method::GET, "/metrics", "For Prometheus", Auth::Anyone)
            .other("text/plain", "Prometheus's text format, 0.0.4; `gateway metrics` lists every metric."),
        admin(Method::GET, "/admin/v1/limits", "The rate limits, configured, set and in force")
            .json::<LimitsView>("At this gateway."),
        admin(Method::PATCH, "/admin/v1/limits", "Set rate limits of all gateways, without a restart")
            .about(LIMITS_EFFECT)
            .body::<LimitsRequest>(Required::True)
            .json::<LimitsView>("In force here at once, at the other gateways within a second or so.")
            .or(&[problem::OUTCOME_UNKNOWN]),
        admin(Method::GET, "/admin/v1/limits/log", "The log of rate limit changes")
            .query(&[("limit", "The number of latest entries, 1 to 1,000.")])
            .json::<LimitsLogView>("Oldest first."),
        admin(Method::GET, "/admin/v1/fleet", "The live gateways and the work of each in its last second")
            .json::<FleetView>("Gateways with a heartbeat in the last 5 s."),
        admin(Method::GET, "/admin/v1/live", "The stream of the live page, a line a second")
            .query(&[
                ("sale", "The sale; left out: the one that is open or opens next."),
                ("frames", "The number of `now` lines after which the stream ends, 1 to 86,400; left out: no end."),
            ])
            .other(
                "application/x-ndjson",
                "JSON objects, a line each, of the schema `Line`: `hello`, `history`, `sale`, then `now` every second.",
            )
            .schema::<LiveLine<'_>>()
            .or(&[problem::SALE_NOT_FOUND]),
        admin(Method::GET, "/admin/v1/sales", "All sales, live").json::<SaleStates>("By id; unreadable sales in a list of their own."),
        admin(Method::GET, "/admin/v1/sales/{sale}", "A sale: definition and live numbers")
            .json::<SaleDetail>("At one sequence."),
        admin(Method::PUT, "/admin/v1/sales/{sale}", "Apply a definition; harmless when repeated")
            .named_body("Definition", Required::True)
            .json::<AppliedView>("The outcome; this gateway serves the sale in that revision.")
            .or(&[problem::DEFINITION_LOCKED, problem::STOCK_TAKEN, problem::OUTCOME_UNKNOWN]),
        admin(Method::POST, "/admin/v1/sales/{sale}/restock", "Set the total of an item")
            .about(RESTOCK_EFFECT)
            .body::<RestockRequest>(Required::True)
            .json::<RestockView>("Also when the total already has this value.")
            .or(&[
                problem::STOCK_CHANGED,
                problem::STOCK_TAKEN,
                problem::UNKNOWN_ITEM,
                problem::OUTCOME_UNKNOWN,
            ]),
        admin(Method::GET, "/admin/v1/sales/{sale}/buyers/{sub}", "A buyer, for the support desk")
            .json::<BuyerView<'_>>("Reservations and journal entries."),
        admin(Method::GET, "/admin/v1/sales/{sale}/audit", "Audit that every item balances")
            .json::<AuditReport>("Exact, also of a live sale."),
        admin(Method::GET, "/admin/v1/sales/{sale}/journal", "Every change, one JSON object a line")
            .query(&[
                ("from", "An id (`4711-0`) or cursor (`4711-0/3`) to continue after."),
                ("limit", "Lines, 1 to 10,000. There may be fewer; continue from the last `cursor` until there are none."),
            ])
            .other("application/x-ndjson", "As `gateway journal` prints it."),
    ];
    for (action, path, summary) in [
        (OperatorAction::Pause, "/admin/v1/sales/{sale}/pause", "Stop new reservations"),
        (OperatorAction::Resume, "/admin/v1/sales/{sale}/resume", "Accept new reservations again"),
        (OperatorAction::Freeze, "/admin/v1/sales/{sale}/freeze", "Stop the sale clock: no hold expires"),
        (OperatorAction::Unfreeze, "/admin/v1/sales/{sale}/unfreeze", "Resume the sale clock"),
        (OperatorAction::Close, "/admin/v1/sales/{sale}/close", "Stop new reservations for good"),
    ] {
        calls.push(
            admin(Method::POST, path, summary)
                .about(action.effect())
                .body::<OperatorActionRequest>(Required::False)
                .json::<SaleState>("The new state; repeating is harmless.")
                .or(&[problem::OUTCOME_UNKNOWN]),
        );
    }
    calls
}
