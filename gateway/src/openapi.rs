//! Builds the OpenAPI document of both listeners: schemas from the types, refusals from the list of problems.

mod calls;
mod schemas;

use calls::{Auth, Call, Good, RESERVATION, ops_calls, public_calls};
use hyper::Method;
use schemas::{definition_schema, parameter_schema, problem_name, problem_schema};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, OpenApiBuilder, PathItem, Ref, RefOr,
    Required, Response, ResponseBuilder,
};

use crate::domain::problem::{self, ProblemKind};

/// The description of the header that makes a tap safe to repeat.
const IDEMPOTENCY_KEY: &str = "1 to 64 visible ASCII characters, bare or as an RFC 8941 string. One for each intended reservation, the same with every retry.";

/// The document as JSON.
pub fn document() -> String {
    let bearer = |about: &str| {
        SecurityScheme::Http(
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build(),
        )
    };
    let mut components = ComponentsBuilder::new()
        .security_scheme("token", bearer("A JWT; `sub` is the buyer, the scope `service` marks a service."))
        .security_scheme("ops-token", bearer("A token of the ops token file. Its role is `operate` (everything), `watch` (GET of the live page, sales, audits, the fleet, limits) or `feed` (the journal only)."))
        .schema("Definition", definition_schema());
    let mut paths = PathsBuilder::new();
    for (tag, calls) in [("apps", public_calls()), ("ops", ops_calls())] {
        for call in calls {
            paths = paths.path(call.path, PathItem::new(http_method(&call.method), operation(&call, tag)));
            components = components.schemas_from_iter(call.schemas);
        }
    }
    for kind in problem::ALL {
        components = components.schema(problem_name(kind), problem_schema(kind));
    }
    let info = InfoBuilder::new()
        .title("Launchgate")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Reservations of a launch. Calls tagged `apps` are on the public listener (--listen), calls tagged `ops` on the ops listener (--ops-listen). A retry with the same Idempotency-Key is always safe.\n\nWhere a refusal has `Retry-After`, its `retry_after_ms` is the same wait in milliseconds, with jitter; neither is longer than an hour. Query parameters that are not listed here are ignored on cacheable reads (sales, cities, stores), and refused on every other call.\n\nEach response has an `X-Request-Id`, which every log line of the request contains; a trusted proxy may set it in the request (1 to 64 of `A-Za-z0-9-_.`). The trace of a `traceparent` (W3C Trace Context) appears in the log and in the `traceresponse`, which adds the id of the gateway's span."));
    let document = OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build();
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
    let mut operation = OperationBuilder::new()
        .operation_id(Some(operation_id(&call.method, call.path)))
        .summary(Some(call.summary))
        .description(call.about)
        .tag(tag);
    let is_tap = call.problems.contains(&problem::IDEMPOTENCY_KEY_MISSING);
    let in_path = call.path.split(['{', '}']).skip(1).step_by(2);
    let in_path = in_path.map(|name| (name, ParameterIn::Path, path_parameter(name)));
    let in_query = call.query.iter().map(|(name, about)| (*name, ParameterIn::Query, *about));
    let in_head = is_tap.then_some(("Idempotency-Key", ParameterIn::Header, IDEMPOTENCY_KEY));
    for (name, place, about) in in_path.chain(in_query).chain(in_head) {
        operation = operation.parameter(parameter(call.path, name, place, about));
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
        Auth::OpsToken => operation = operation.security(SecurityRequirement::new("ops-token", [""; 0])),
    }
    for (status, description, body) in &call.good {
        let response = good_response(*status, description, body);
        let response = if is_tap { with_links(response) } else { response };
        operation = operation.response(status.to_string(), response);
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

fn operation_id(method: &Method, path: &str) -> String {
    let id: String = path.replace(['{', '}'], "").split(['/', '-', '_']).collect::<Vec<_>>().join("_");
    format!("{}{id}", method.as_str().to_lowercase())
}

/// Links to the calls on the reservation whose id is in the response.
fn with_links(mut response: ResponseBuilder) -> ResponseBuilder {
    for call in public_calls().into_iter().filter(|call| call.path.starts_with(RESERVATION)) {
        let id = operation_id(&call.method, call.path);
        let link = LinkBuilder::new()
            .operation_id(&id)
            .description(call.summary)
            .parameter("sale", "$request.path.sale")
            .parameter("id", "$response.body#/id");
        response = response.link(id, link.build());
    }
    response
}

fn parameter(path: &str, name: &str, place: ParameterIn, about: &str) -> Parameter {
    let required = if place == ParameterIn::Query { Required::False } else { Required::True };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(about))
        .schema(Some(parameter_schema(path, name)))
        .build()
}

fn path_parameter(name: &str) -> &'static str {
    match name {
        "sale" => "A sale's id.",
        "id" => "A reservation's id.",
        "store" => "A store's id.",
        "sub" => "The buyer: the `sub` of its tokens, percent-encoded.",
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

/// A response with what all of them have.
fn any_response(description: impl Into<String>) -> ResponseBuilder {
    let about = "What the log calls this request.";
    ResponseBuilder::new().description(description).header("X-Request-Id", text_header(about))
}

fn good_response(status: u16, description: &str, body: &Good) -> ResponseBuilder {
    let response = any_response(description);
    let response = match body {
        Good::Json(schema) => response.content("application/json", json(schema).build()),
        Good::Other(media_type) => {
            let text = ObjectBuilder::new().schema_type(Type::String);
            response.content(*media_type, ContentBuilder::new().schema(Some(text)).build())
        }
        Good::Empty => response,
    };
    let schema = if let Good::Json(schema) = body { schema } else { "" };
    match (status, schema) {
        (201, _) => response.header("Location", text_header("The new reservation.")),
        (200, "ReservationView") => {
            response.header("Idempotency-Replayed", text_header("`true` when an earlier POST made it."))
        }
        (200, "SaleView") => response.header("ETag", text_header("Over all but `server_time`.")),
        (200, "SaleList" | "CityList" | "StorePage" | "StoreView") | (304, _) => {
            response.header("ETag", text_header("Changes with the body."))
        }
        _ => response,
    }
}

fn problem_response(call: &Call, status: u16) -> Response {
    let mut kinds: Vec<&ProblemKind> = call.problems.iter().filter(|kind| kind.status == status).collect();
    kinds.dedup();
    let names: Vec<String> = kinds.iter().map(|kind| format!("`{}`", kind.name)).collect();
    let references = kinds.iter().map(|kind| Ref::from_schema_name(problem_name(kind)));
    let schema: RefOr<Schema> = match kinds[..] {
        [kind] => Ref::from_schema_name(problem_name(kind)).into(),
        _ => Schema::OneOf(references.fold(OneOfBuilder::new(), OneOfBuilder::item).build()).into(),
    };
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = any_response(names.join(", ")).content("application/problem+json", content);
    let response = match status {
        401 => response.header("WWW-Authenticate", text_header("RFC 6750.")),
        405 => response.header("Allow", text_header("The methods of this path.")),
        429 => response
            .header("Retry-After", text_header("Seconds."))
            .header("RateLimit", text_header("What is left of the limits."))
            .header("RateLimit-Policy", text_header("The limits.")),
        503 => response.header("Retry-After", text_header("Seconds.")),
        409 if kinds.iter().any(|kind| kind.members.iter().any(|(name, _)| *name == "retry_after_ms")) => {
            response.header("Retry-After", text_header("Seconds, where `retry_after_ms` is there."))
        }
        _ => response,
    };
    response.build()
}

#[cfg(test)]
mod tests;
