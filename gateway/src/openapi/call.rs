//! One call as `calls.rs` lists it, and the operation that the document shows for it.

use hyper::Method;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{RefOr, Required};

use crate::domain::problem::{self, ProblemKind};
use crate::openapi::calls::{RESERVATION, public_calls};
use crate::openapi::parameters::{idempotency_key, path_parameter, query_parameter};
use crate::openapi::problems::problem_response;

/// The token that a call needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    Anyone,
    Token,
    OpsToken,
}

/// A body in JSON.
pub(crate) struct Json {
    /// The name of its schema.
    schema: String,
    example: Value,
}

/// What a successful response contains.
pub(crate) enum Content {
    Json(Json),
    /// Text of this media type and schema, with an example.
    Text(&'static str, Value, String),
    Empty,
}

/// A successful response.
pub(crate) struct Good {
    status: u16,
    description: &'static str,
    content: Content,
    /// Its own headers, by name.
    headers: Vec<(&'static str, Value)>,
}

/// One call of the API.
pub(crate) struct Call {
    /// The name of the call in generated clients: never changed, see CONTRIBUTING, "Versions".
    pub(crate) id: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) about: &'static str,
    pub(crate) auth: Auth,
    pub(crate) query: &'static [(&'static str, &'static str)],
    pub(crate) body: Option<(Json, Required)>,
    pub(crate) good: Vec<Good>,
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

/// A call with the refusals that its token and its path bring.
pub(crate) fn call(
    (tag, id): (&'static str, &'static str),
    method: Method,
    path: &'static str,
    (summary, about): (&'static str, &'static str),
    auth: Auth,
) -> Call {
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
    Call { id, method, path, tag, summary, about, auth, query: &[], body: None, good, problems, schemas }
}

impl Call {
    pub(crate) fn good(mut self, status: u16, description: &'static str, content: Content) -> Self {
        self.good.push(Good { status, description, content, headers: Vec::new() });
        self
    }

    /// A header of the response before.
    pub(crate) fn header(
        mut self,
        name: &'static str,
        of: &str,
        about: &str,
        example: impl Into<Value>,
    ) -> Self {
        if let Some(good) = self.good.last_mut() {
            good.headers.push((name, header(of, about, example)));
        }
        self
    }

    /// The `ETag` of the response before, and the answer to who has this state already.
    pub(crate) fn or_not_modified(self, description: &'static str) -> Self {
        let etag = |call: Self| {
            call.header(
                "ETag",
                "string",
                "Identifies this state; send it as `If-None-Match`.",
                "\"5f2c81f0a9d34e7b\"",
            )
        };
        etag(etag(self).good(304, description, Content::Empty))
    }

    /// 200 with JSON.
    pub(crate) fn json<T: ToSchema>(self, description: &'static str, example: Value) -> Self {
        self.json_with::<T>(200, description, example)
    }

    pub(crate) fn json_with<T: ToSchema>(
        self,
        status: u16,
        description: &'static str,
        example: Value,
    ) -> Self {
        let json = Json { schema: T::name().into_owned(), example };
        self.schema::<T>().good(status, description, Content::Json(json))
    }

    /// 200 with JSON of a schema that no type has.
    pub(crate) fn named_json(self, schema: &str, description: &'static str, example: Value) -> Self {
        self.good(200, description, Content::Json(Json { schema: schema.to_owned(), example }))
    }

    pub(crate) fn schema<T: ToSchema>(mut self) -> Self {
        T::schemas(&mut self.schemas);
        self.schemas.push((T::name().into_owned(), T::schema()));
        self
    }

    /// 200 with text of this media type.
    pub(crate) fn text(
        self,
        media_type: &'static str,
        description: &'static str,
        example: impl Into<String>,
    ) -> Self {
        self.good(200, description, Content::Text(media_type, json!({"type": "string"}), example.into()))
    }

    /// 200 with lines of JSON, each of this schema.
    pub(crate) fn lines<T: ToSchema>(self, description: &'static str, example: &'static str) -> Self {
        let media_type = "application/x-ndjson";
        let line = json!({"$ref": format!("#/components/schemas/{}", T::name())});
        let schema = json!({"type": "string", "contentMediaType": media_type, "contentSchema": line});
        self.schema::<T>().good(200, description, Content::Text(media_type, schema, example.to_owned()))
    }

    pub(crate) fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    pub(crate) fn body<T: ToSchema>(self, required: Required, example: Value) -> Self {
        self.schema::<T>().named_body(T::name(), required, example)
    }

    /// A body of a schema that no type has.
    pub(crate) fn named_body(
        mut self,
        schema: impl Into<String>,
        required: Required,
        example: Value,
    ) -> Self {
        self.body = Some((Json { schema: schema.into(), example }, required));
        self.or(WITH_BODY)
    }

    pub(crate) fn or(mut self, problems: &[ProblemKind]) -> Self {
        self.problems.extend(problems);
        self
    }

    /// Its operation.
    pub(crate) fn operation(&self) -> Value {
        let is_tap = self.problems.contains(&problem::IDEMPOTENCY_KEY_MISSING);
        let in_path = self.path.split(['{', '}']).skip(1).step_by(2);
        let in_path = in_path.map(|name| path_parameter(self.path, name));
        let in_query = self.query.iter().map(|(name, about)| query_parameter(self.path, name, about));
        let parameters: Vec<Value> = in_path.chain(in_query).chain(is_tap.then(idempotency_key)).collect();
        let mut responses = Map::new();
        for good in &self.good {
            let mut response = good.response();
            if is_tap {
                response["links"] = links();
            }
            responses.insert(good.status.to_string(), response);
        }
        for kind in &self.problems {
            // What a status of success or readiness already has, stays.
            let of_status = || self.problems.iter().filter(|other| other.status == kind.status);
            responses.entry(kind.status.to_string()).or_insert_with(|| problem_response(of_status()));
        }
        let mut operation = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "description": self.about,
            "security": match self.auth {
                Auth::Anyone => json!([]),
                Auth::Token => json!([{"token": []}]),
                Auth::OpsToken => json!([{"ops-token": []}]),
            },
            "responses": responses,
        });
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some((body, required)) = &self.body {
            operation["requestBody"] = json!({
                "required": *required == Required::True,
                "content": {"application/json": json_content(body)},
            });
        }
        operation
    }
}

fn json_content(json: &Json) -> Value {
    json!({"schema": {"$ref": format!("#/components/schemas/{}", json.schema)}, "example": json.example})
}

/// Links to the calls on the reservation whose id is in the response.
fn links() -> Value {
    let calls = public_calls().into_iter().filter(|call| call.path.starts_with(RESERVATION));
    let link = |call: Call| {
        let link = json!({
            "operationId": call.id,
            "description": call.summary,
            "parameters": {"sale": "$request.path.sale", "id": "$response.body#/id"},
        });
        (call.id.to_owned(), link)
    };
    calls.map(link).collect::<Map<_, _>>().into()
}

/// A response with what all of them have.
pub(crate) fn any_response(description: &str) -> Value {
    let request_id = json!({"$ref": "#/components/headers/X-Request-Id"});
    json!({"description": description, "headers": {"X-Request-Id": request_id}})
}

/// A header of a response.
pub(crate) fn header(of: &str, about: &str, example: impl Into<Value>) -> Value {
    json!({"description": about, "schema": {"type": of}, "example": example.into()})
}

impl Good {
    fn response(&self) -> Value {
        let mut response = any_response(self.description);
        match &self.content {
            Content::Json(json) => response["content"] = json!({"application/json": json_content(json)}),
            Content::Text(media_type, schema, example) => {
                response["content"] = json!({*media_type: {"schema": schema, "example": example}});
            }
            Content::Empty => {}
        }
        for (name, header) in &self.headers {
            response["headers"][name] = header.clone();
        }
        response
    }
}
