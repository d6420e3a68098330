//! The OpenAPI document of both listeners: schemas from the types, refusals from the list of problems.

use hyper::Method;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{
    OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, OpenApiBuilder, PathItem, Ref,
    RefOr, Required, Response, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{self, Kind, Member};
use super::view;
use crate::ledger::audit;
use crate::ops::view as ops;

/// Who may make a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Auth {
    Anyone,
    Token,
    OpsToken,
}

/// What a call answers when all is well.
enum Good {
    /// JSON of this schema.
    Json(&'static str),
    /// Something else, of this media type.
    Other(&'static str),
    /// No body.
    Empty,
}

/// One call of the API.
struct Call {
    method: Method,
    path: &'static str,
    summary: &'static str,
    auth: Auth,
    query: &'static [(&'static str, &'static str)],
    body: Option<(&'static str, Required)>,
    good: Vec<(u16, &'static str, Good)>,
    problems: Vec<Kind>,
}

/// Refusals that any call may meet.
const EVERYWHERE: &[Kind] = &[
    problem::NOT_FOUND,
    problem::METHOD_NOT_ALLOWED,
    problem::REQUEST_TIMEOUT,
    problem::URI_TOO_LONG,
    problem::HEADERS_TOO_LARGE,
    problem::INTERNAL,
    problem::TEMPORARY_REDUCED_CAPACITY,
];
/// Refusals of calls with a body.
const WITH_BODY: &[Kind] = &[
    problem::INVALID_REQUEST,
    problem::BODY_TOO_LARGE,
    problem::UNSUPPORTED_MEDIA_TYPE,
];
/// Refusals of calls that the limits count; the limits themselves stand before the ledger.
const LIMITED: &[Kind] = &[problem::QUOTA_EXCEEDED];

fn call(method: Method, path: &'static str, summary: &'static str, auth: Auth) -> Call {
    let mut problems = EVERYWHERE.to_vec();
    match auth {
        Auth::Anyone => {}
        Auth::Token => problems.extend([problem::UNAUTHENTICATED, problem::QUOTA_EXCEEDED]),
        Auth::OpsToken => problems.push(problem::UNAUTHENTICATED),
    }
    if path.contains("{sale}") {
        problems.push(problem::SALE_NOT_FOUND);
    }
    Call {
        method,
        path,
        summary,
        auth,
        query: &[],
        body: None,
        good: Vec::new(),
        problems,
    }
}

impl Call {
    fn good(mut self, status: u16, description: &'static str, body: Good) -> Self {
        self.good.push((status, description, body));
        self
    }

    fn json(self, schema: &'static str, description: &'static str) -> Self {
        self.good(200, description, Good::Json(schema))
    }

    fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self.or(&[problem::INVALID_REQUEST])
    }

    fn body(mut self, schema: &'static str, required: Required) -> Self {
        self.body = Some((schema, required));
        self.or(WITH_BODY)
    }

    fn or(mut self, problems: &[Kind]) -> Self {
        self.problems.extend(problems);
        self
    }
}

const RESERVATION: &str = "/v1/sales/{sale}/reservations/{id}";

fn public_calls() -> Vec<Call> {
    let held = &[
        problem::RESERVATION_NOT_FOUND,
        problem::RESERVATION_NOT_HELD,
        problem::OUTCOME_UNKNOWN,
    ];
    vec![
        call(
            Method::GET,
            "/v1/time",
            "The server's clock, for countdowns and clock offsets",
            Auth::Anyone,
        )
        .json("TimeView", "Never kept by caches."),
        call(
            Method::GET,
            "/problems/{name}",
            "What a refusal means",
            Auth::Anyone,
        )
        .good(200, "A short explanation.", Good::Other("text/plain")),
        call(
            Method::GET,
            "/v1/sales/{sale}",
            "A sale and what is left",
            Auth::Anyone,
        )
        .json(
            "SaleView",
            "May be kept for a second; the `ETag` is over all but `server_time`.",
        )
        .good(304, "Nothing but `server_time` has changed.", Good::Empty)
        .or(&[problem::INVALID_REQUEST])
        .or(LIMITED),
        call(
            Method::GET,
            "/v1/sales/{sale}/stores",
            "A page of the stores",
            Auth::Anyone,
        )
        .query(&[
            ("city", "Only stores of this city."),
            ("available", "`true`: only stores with slots left."),
            ("limit", "Stores on the page, 1 to 500; 50 if left out."),
            ("cursor", "`next` of the page before."),
        ])
        .json("StorePage", "In the definition's order.")
        .or(LIMITED),
        call(
            Method::POST,
            "/v1/sales/{sale}/reservations",
            "Reserve",
            Auth::Token,
        )
        .body("ReserveRequest", Required::True)
        .good(201, "A new hold.", Good::Json("ReservationView"))
        .good(
            200,
            "The same reservation again, in its present state.",
            Good::Json("ReservationView"),
        )
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
            Method::GET,
            "/v1/sales/{sale}/reservations",
            "The caller's own reservations",
            Auth::Token,
        )
        .json("ReservationList", "In the order in which they were taken.")
        .or(&[problem::INVALID_REQUEST]),
        call(
            Method::GET,
            RESERVATION,
            "A reservation, for its buyer or a service",
            Auth::Token,
        )
        .json("ReservationView", "In its present state.")
        .or(&[problem::RESERVATION_NOT_FOUND]),
        call(
            Method::PATCH,
            RESERVATION,
            "Change what is reserved, all of it or nothing",
            Auth::Token,
        )
        .body("AmendRequest", Required::True)
        .json(
            "ReservationView",
            "As it is now; `version` has gone up if anything changed.",
        )
        .or(held)
        .or(&[
            problem::RESERVATION_CHANGED,
            problem::UNKNOWN_ITEM,
            problem::SOLD_OUT,
        ]),
        call(
            Method::POST,
            "/v1/sales/{sale}/reservations/{id}/confirm",
            "It was paid (services only)",
            Auth::Token,
        )
        .body("ConfirmRequest", Required::True)
        .json(
            "ReservationView",
            "Confirmed, now or before by the same payment.",
        )
        .or(held)
        .or(&[
            problem::FORBIDDEN,
            problem::RESERVATION_CHANGED,
            problem::PAYMENT_CONFLICT,
        ]),
        call(
            Method::POST,
            "/v1/sales/{sale}/reservations/{id}/cancel",
            "End it and give the stock back",
            Auth::Token,
        )
        .json("ReservationView", "Cancelled, now or before.")
        .or(held),
    ]
}

fn ops_calls() -> Vec<Call> {
    let admin = |method, path, summary| call(method, path, summary, Auth::OpsToken);
    let mut calls = vec![
        call(
            Method::GET,
            "/livez",
            "Whether the process lives",
            Auth::Anyone,
        )
        .good(200, "It does.", Good::Other("text/plain")),
        call(
            Method::GET,
            "/readyz",
            "Whether this gateway shall get traffic",
            Auth::Anyone,
        )
        .good(200, "It shall.", Good::Other("text/plain"))
        .good(
            503,
            "It shall not; the body says why.",
            Good::Other("text/plain"),
        ),
        call(Method::GET, "/metrics", "For Prometheus", Auth::Anyone).good(
            200,
            "OpenMetrics text.",
            Good::Other("application/openmetrics-text"),
        ),
        admin(Method::GET, "/admin/v1/sales", "All sales, live").json("SaleStates", "By id."),
        admin(
            Method::GET,
            "/admin/v1/sales/{sale}",
            "A sale: definition and live numbers",
        )
        .json("SaleDetail", "At one sequence."),
        admin(
            Method::PUT,
            "/admin/v1/sales/{sale}",
            "Apply a definition; harmless when repeated",
        )
        .body("Definition", Required::True)
        .json("AppliedView", "What became of it.")
        .or(&[
            problem::DEFINITION_LOCKED,
            problem::STOCK_TAKEN,
            problem::OUTCOME_UNKNOWN,
        ]),
        admin(
            Method::POST,
            "/admin/v1/sales/{sale}/restock",
            "Set the total of an item",
        )
        .body("RestockRequest", Required::True)
        .json("RestockView", "Also when it already is so.")
        .or(&[
            problem::STOCK_CHANGED,
            problem::STOCK_TAKEN,
            problem::UNKNOWN_ITEM,
            problem::OUTCOME_UNKNOWN,
        ]),
        admin(
            Method::GET,
            "/admin/v1/sales/{sale}/buyers/{sub}",
            "A buyer, for the support desk",
        )
        .json("BuyerView", "Reservations and journal entries."),
        admin(
            Method::GET,
            "/admin/v1/sales/{sale}/audit",
            "Prove that every item balances",
        )
        .json("Report", "Exact, also of a live sale."),
        admin(
            Method::GET,
            "/admin/v1/sales/{sale}/journal",
            "Every change, one JSON object a line",
        )
        .query(&[
            (
                "from",
                "An id (`4711-0`) or cursor (`4711-0/3`) to go on after.",
            ),
            (
                "limit",
                "Lines, 1 to 10,000. Fewer may come; go on from the last `cursor` until none do.",
            ),
        ])
        .good(
            200,
            "As `gateway journal` prints it.",
            Good::Other("application/x-ndjson"),
        ),
    ];
    for (path, summary) in [
        ("/admin/v1/sales/{sale}/pause", "Stop new reservations"),
        ("/admin/v1/sales/{sale}/resume", "Take them again"),
        (
            "/admin/v1/sales/{sale}/freeze",
            "Stop the sale clock: no hold expires",
        ),
        ("/admin/v1/sales/{sale}/unfreeze", "Let it go on"),
        (
            "/admin/v1/sales/{sale}/close",
            "Stop new reservations for good",
        ),
    ] {
        calls.push(
            admin(Method::POST, path, summary)
                .body("LeverRequest", Required::False)
                .json("SaleState", "The new state; repeating is harmless.")
                .or(&[problem::OUTCOME_UNKNOWN]),
        );
    }
    calls
}

/// The document as JSON.
#[must_use]
pub fn document() -> String {
    let mut paths = PathsBuilder::new();
    for (tag, calls) in [("apps", public_calls()), ("ops", ops_calls())] {
        for call in calls {
            let method = http_method(&call.method);
            let operation = operation(&call, tag);
            paths = paths.path(call.path, PathItem::new(method, operation));
        }
    }
    let bearer = |about: &str| {
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(about))
                .build(),
        )
    };
    let mut components = ComponentsBuilder::new()
        .security_scheme(
            "token",
            bearer("A JWT; `sub` is the buyer, the scope `service` marks a service."),
        )
        .security_scheme("ops-token", bearer("A token of the ops token file."))
        .schema("Definition", definition_schema());
    for (name, schema) in schemas() {
        components = components.schema(name, schema);
    }
    for kind in problem::ALL {
        components = components.schema(problem_name(kind), problem_schema(kind));
    }
    let info = InfoBuilder::new()
        .title("Launchgate")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Reservations of a launch. Calls tagged `apps` are on the public listener (--listen), calls tagged `ops` on the ops listener (--ops-listen). A retry with the same Idempotency-Key is always safe."));
    let document = OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components.build()))
        .build();
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

fn http_method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        _ => HttpMethod::Get,
    }
}

fn operation(call: &Call, tag: &str) -> OperationBuilder {
    let id: String = call
        .path
        .replace(['{', '}'], "")
        .split(['/', '-', '_'])
        .collect::<Vec<_>>()
        .join("_");
    let mut operation = OperationBuilder::new()
        .operation_id(Some(format!("{}{id}", call.method.as_str().to_lowercase())))
        .summary(Some(call.summary))
        .tag(tag);
    for name in call.path.split(['{', '}']).skip(1).step_by(2) {
        operation = operation.parameter(parameter(
            name,
            ParameterIn::Path,
            Required::True,
            path_parameter(name),
        ));
    }
    for (name, about) in call.query {
        operation =
            operation.parameter(parameter(name, ParameterIn::Query, Required::False, about));
    }
    if call.problems.contains(&problem::IDEMPOTENCY_KEY_MISSING) {
        let about = "1 to 64 visible ASCII characters, bare or as an RFC 8941 string. One for each intended reservation, the same with every retry.";
        operation = operation.parameter(parameter(
            "Idempotency-Key",
            ParameterIn::Header,
            Required::True,
            about,
        ));
    }
    if let Some((schema, required)) = &call.body {
        let body = RequestBodyBuilder::new()
            .required(Some(required.clone()))
            .content("application/json", json(schema));
        operation = operation.request_body(Some(body.build()));
    }
    match call.auth {
        Auth::Anyone => {}
        Auth::Token => operation = operation.security(SecurityRequirement::new("token", [""; 0])),
        Auth::OpsToken => {
            operation = operation.security(SecurityRequirement::new("ops-token", [""; 0]))
        }
    }
    for (status, description, body) in &call.good {
        operation = operation.response(
            status.to_string(),
            good_response(*status, description, body),
        );
    }
    let mut statuses: Vec<u16> = call.problems.iter().map(|kind| kind.status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let documented = |status: &u16| call.good.iter().any(|(good, ..)| good == status);
    for status in statuses.into_iter().filter(|status| !documented(status)) {
        operation = operation.response(status.to_string(), problem_response(call, status));
    }
    operation
}

fn parameter(name: &str, place: ParameterIn, required: Required, about: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(about))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn path_parameter(name: &str) -> &'static str {
    match name {
        "sale" => "A sale's id.",
        "id" => "A reservation's id.",
        "sub" => "The buyer: the `sub` of his tokens, percent-encoded.",
        _ => "The last part of a problem's `type`.",
    }
}

fn json(schema: &str) -> ContentBuilder {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(schema)))
}

fn text_header(about: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some(about))
        .build()
}

fn good_response(status: u16, description: &str, body: &Good) -> Response {
    let response = ResponseBuilder::new().description(description);
    let response = match body {
        Good::Json(schema) => response.content("application/json", json(schema).build()),
        Good::Other(media_type) => {
            let text = ObjectBuilder::new().schema_type(Type::String);
            response.content(
                *media_type,
                ContentBuilder::new().schema(Some(text)).build(),
            )
        }
        Good::Empty => response,
    };
    let response = match (status, body) {
        (201, _) => response.header("Location", text_header("The new reservation.")),
        (200, Good::Json("ReservationView")) => response.header(
            "Idempotency-Replayed",
            text_header("`true` when an earlier POST made it."),
        ),
        (200, Good::Json("SaleView")) | (304, _) => {
            response.header("ETag", text_header("Over all but `server_time`."))
        }
        _ => response,
    };
    response.build()
}

fn problem_response(call: &Call, status: u16) -> Response {
    let mut kinds: Vec<&Kind> = call
        .problems
        .iter()
        .filter(|kind| kind.status == status)
        .collect();
    kinds.dedup();
    let names: Vec<String> = kinds
        .iter()
        .map(|kind| format!("`{}`", kind.name))
        .collect();
    let schema: RefOr<Schema> = match kinds[..] {
        [kind] => Ref::from_schema_name(problem_name(kind)).into(),
        _ => {
            let any = kinds.iter().fold(OneOfBuilder::new(), |any, kind| {
                any.item(Ref::from_schema_name(problem_name(kind)))
            });
            Schema::OneOf(any.build()).into()
        }
    };
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new()
        .description(names.join(", "))
        .content("application/problem+json", content);
    let response = match status {
        401 => response.header("WWW-Authenticate", text_header("RFC 6750.")),
        405 => response.header("Allow", text_header("The methods of this path.")),
        429 => response
            .header("Retry-After", text_header("Seconds."))
            .header("RateLimit", text_header("What is left of the limits."))
            .header("RateLimit-Policy", text_header("The limits.")),
        503 => response.header("Retry-After", text_header("Seconds.")),
        409 if kinds.iter().any(|kind| {
            kind.members
                .iter()
                .any(|(name, _)| *name == "retry_after_ms")
        }) =>
        {
            response.header(
                "Retry-After",
                text_header("Seconds, where `retry_after_ms` is there."),
            )
        }
        _ => response,
    };
    response.build()
}

fn problem_name(kind: &Kind) -> String {
    format!("Problem.{}", kind.name)
}

fn problem_schema(kind: &Kind) -> Schema {
    let of = |of: Type| ObjectBuilder::new().schema_type(of);
    let mut schema = of(Type::Object)
        .description(Some(kind.explanation))
        .property(
            "type",
            of(Type::String).enum_values(Some([format!("/problems/{}", kind.name)])),
        )
        .property("title", of(Type::String).enum_values(Some([kind.title])))
        .property("status", of(Type::Integer).enum_values(Some([kind.status])))
        .property(
            "detail",
            of(Type::String).description(Some("This occurrence, for a person.")),
        );
    for required in ["type", "title", "status", "detail"] {
        schema = schema.required(required);
    }
    for (name, member) in kind.members {
        let field = name.trim_end_matches('?');
        schema = match member {
            Member::Text => schema.property(field, of(Type::String)),
            Member::Number => schema.property(field, of(Type::Integer)),
            Member::Flag => schema.property(field, of(Type::Boolean)),
            Member::Texts => schema.property(field, ArrayBuilder::new().items(of(Type::String))),
            Member::Objects => schema.property(field, ArrayBuilder::new().items(of(Type::Object))),
        };
        if !name.ends_with('?') {
            schema = schema.required(field);
        }
    }
    Schema::Object(schema.build())
}

/// The definition's own reader knows more rules than a schema can say; this is its shape.
fn definition_schema() -> Schema {
    let object = || ObjectBuilder::new().schema_type(Type::Object);
    let list = || ArrayBuilder::new().items(object());
    let definition = object()
        .description(Some("A sale's definition, as in the TOML file with the stores inline: `stores` has objects of id, name, city and capacity."))
        .property("sale", object())
        .property("model", list())
        .property("package", list())
        .property("stores", list())
        .required("sale")
        .required("model");
    Schema::Object(definition.build())
}

/// The schemas of all types that calls take or answer, and of the types inside them.
fn schemas() -> Vec<(String, RefOr<Schema>)> {
    fn add<T: ToSchema + PartialSchema>(all: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(all);
        all.push((T::name().into_owned(), T::schema()));
    }
    let mut all = Vec::new();
    add::<view::TimeView>(&mut all);
    add::<view::SaleView>(&mut all);
    add::<view::StorePage>(&mut all);
    add::<view::ReserveRequest>(&mut all);
    add::<view::AmendRequest>(&mut all);
    add::<view::ConfirmRequest>(&mut all);
    add::<view::ReservationView>(&mut all);
    add::<view::ReservationList>(&mut all);
    add::<ops::SaleStates>(&mut all);
    add::<ops::SaleState>(&mut all);
    add::<ops::SaleDetail>(&mut all);
    add::<ops::AppliedView>(&mut all);
    add::<ops::LeverRequest>(&mut all);
    add::<ops::RestockRequest>(&mut all);
    add::<ops::RestockView>(&mut all);
    add::<ops::BuyerView>(&mut all);
    add::<audit::Report>(&mut all);
    all
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn parsed() -> Value {
        serde_json::from_str(&document()).unwrap()
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn check(value: &Value, all: &Value) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(reference)) = map.get("$ref") {
                        let pointer = reference.strip_prefix('#').unwrap();
                        assert!(all.pointer(pointer).is_some(), "{reference}");
                    }
                    map.values().for_each(|v| check(v, all));
                }
                Value::Array(list) => list.iter().for_each(|v| check(v, all)),
                _ => {}
            }
        }
        let all = parsed();
        assert!(
            all["openapi"].as_str().unwrap().starts_with("3.1")
                || all["openapi"].as_str().unwrap().starts_with("3.2")
        );
        check(&all, &all);
    }

    #[test]
    fn every_problem_is_answered_by_some_call() {
        let calls: Vec<Call> = public_calls().into_iter().chain(ops_calls()).collect();
        for kind in problem::ALL {
            assert!(
                calls.iter().any(|call| call.problems.contains(kind)),
                "{}",
                kind.name
            );
        }
    }

    #[test]
    fn every_call_has_an_id_of_its_own() {
        let all = parsed();
        let mut ids = Vec::new();
        for item in all["paths"].as_object().unwrap().values() {
            ids.extend(
                item.as_object()
                    .unwrap()
                    .values()
                    .filter_map(|op| op["operationId"].as_str()),
            );
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert_eq!(count, public_calls().len() + ops_calls().len());
    }
}
