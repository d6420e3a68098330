//! Builds responses: the only file that maps causes to statuses.

use bytes::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::admit::limits::Exceeded;
use crate::domain::decision::Shed;
use crate::domain::policy::Policy;
use crate::domain::problem::{self, ProblemKind};
use crate::http::body::Body;
use crate::identify::Unauthenticated;
use crate::telemetry::labels::Outcome;
use crate::telemetry::record::{AnswerClass, Why};

/// The shortest wait after a 503: many clients come back at once.
const RETRY_MS: u64 = 1_000;
/// The longest wait that a client is asked for.
pub const RETRY_AFTER_MS_MAX: u64 = 3_600_000;

// Checked by the compiler: `from_static` at run time reads each byte.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const FOR_A_SECOND: HeaderValue = HeaderValue::from_static("public, max-age=1");

/// The response of every handler.
pub type Answer = Response<Body>;

/// A refusal, returned early by handlers: the final response, but for the closing brace of its body.
#[derive(Debug)]
#[must_use]
pub struct Refused(Box<Response<RefusalBody>>);

/// A body without its closing brace, and the class that the response is counted under.
#[derive(Debug)]
struct RefusalBody {
    json: Vec<u8>,
    class: AnswerClass,
}

impl Refused {
    /// A problem of this kind; `detail` describes this occurrence.
    pub fn new(kind: ProblemKind, detail: impl AsRef<str>) -> Self {
        let detail = detail.as_ref();
        // Room for the members, too: most have a few short ones.
        let mut body = Vec::with_capacity(kind.head.len() + detail.len() + 128);
        body.extend_from_slice(kind.head.as_bytes());
        push_json(&mut body, detail);
        let status = StatusCode::from_u16(kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let class = AnswerClass::plain(Outcome::of(&kind));
        let headers = [(CONTENT_TYPE, PROBLEM_JSON), (CACHE_CONTROL, NO_STORE)];
        Self(Box::new(response(status, RefusalBody { json: body, class }, headers)))
    }

    /// Adds a member, whose name needs no escaping.
    pub fn with(mut self, member: &str, value: impl Serialize) -> Self {
        let body = &mut self.0.body_mut().json;
        for text in [",\"", member, "\":"] {
            body.extend_from_slice(text.as_bytes());
        }
        push_json(body, &value);
        self
    }

    fn header(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        // Only numbers and our own ASCII texts come here.
        if let Ok(value) = value.try_into() {
            self.0.headers_mut().insert(name, value);
        }
        self
    }

    fn because(mut self, why: Why) -> Self {
        self.0.body_mut().class.why = why;
        self
    }

    /// Closes the connection after this response: bytes after the request may be misread.
    pub fn and_close(self) -> Self {
        self.header(CONNECTION, "close")
    }

    /// Adds `Retry-After`, and `retry_after_ms` spread over up to 50 % more, so that clients refused
    /// together do not come back together.
    pub fn retry_after(self, least_ms: u64) -> Self {
        self.retry_after_spread(least_ms, (least_ms / 2).clamp(200, 5_000))
    }

    /// The same with another spread.
    pub(crate) fn retry_after_spread(self, least_ms: u64, spread_ms: u64) -> Self {
        let ms = wait_ms(least_ms, spread_ms);
        self.with("retry_after_ms", ms).header(RETRY_AFTER, ms.div_ceil(1000))
    }

    /// 400 with the location in the body.
    pub fn invalid(pointer: &str, detail: impl AsRef<str>) -> Self {
        Self::new(problem::INVALID_REQUEST, detail).with("pointer", pointer)
    }

    /// 401; the challenge depends on whether there was a token (RFC 6750, section 3).
    pub fn unauthenticated(why: Unauthenticated) -> Self {
        let challenge = match why.token_error_code() {
            Some(code) => format!(
                "Bearer realm=\"launchgate\", error=\"{code}\", error_description=\"{}\"",
                why.detail()
            ),
            None => "Bearer realm=\"launchgate\"".to_owned(),
        };
        Self::new(problem::UNAUTHENTICATED, why.detail()).header(WWW_AUTHENTICATE, challenge)
    }

    /// 401 on the ops listener.
    pub fn unknown_ops_token() -> Self {
        Self::new(problem::UNAUTHENTICATED, "This needs `Authorization: Bearer` with one of the ops tokens.")
            .header(WWW_AUTHENTICATE, "Bearer realm=\"launchgate-ops\"")
    }

    /// 403 on the ops listener: the call needs another role.
    pub fn forbidden_role(needed: &str) -> Self {
        let roles =
            if needed == "operate" { "`operate`".to_owned() } else { format!("`{needed}` or `operate`") };
        let detail = format!("The role of this ops token does not allow this call; it needs {roles}.");
        Self::new(problem::FORBIDDEN, detail)
    }

    /// 405.
    pub fn method_not_allowed(allow: &str) -> Self {
        Self::new(problem::METHOD_NOT_ALLOWED, format!("This path has {allow}.")).header(ALLOW, allow)
    }

    /// 429: the policy, and when it has enough for this call again. The headers count calls of this cost
    /// (draft-ietf-httpapi-ratelimit-headers-10).
    pub fn quota_exceeded(exceeded: Exceeded) -> Self {
        let Exceeded { policy, quota, window_s, wait } = exceeded;
        let detail = match policy {
            Policy::Buyer => "You have sent more than is allowed to one buyer.",
            Policy::Address => "More calls without a token come from your address than are allowed.",
            Policy::Unverified => {
                "Too many tokens from your address have a wrong signature. Send the request again after Retry-After."
            }
            Policy::Sale => "More reservations are asked for in this sale than are let in at a time.",
            Policy::Gateway => "More calls come in than are let in at a time.",
        };
        let wait_ms = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let name = policy.name();
        let left = format!("\"{name}\";r=0;t={}", wait_ms.div_ceil(1_000));
        Self::new(problem::QUOTA_EXCEEDED, detail)
            .because(Why::Limited(policy))
            .with("violated-policies", [name])
            .retry_after(wait_ms)
            .header(HeaderName::from_static("ratelimit"), left)
            .header(HeaderName::from_static("ratelimit-policy"), format!("\"{name}\";q={quota};w={window_s}"))
    }

    /// 503, certainly not taken. The cause only goes into metrics: the client is asked to retry.
    pub fn not_taken(why: Shed) -> Self {
        Self::new(
            problem::TEMPORARY_REDUCED_CAPACITY,
            "Nothing was done. Please send the request again, with the same key.",
        )
        .because(Why::Shed(why))
        .retry_after(RETRY_MS)
    }

    /// 503, sent to Redis without a reply. A retry finds the outcome as soon as Redis replies again.
    pub fn unknown() -> Self {
        Self::new(problem::OUTCOME_UNKNOWN, "The ledger did not answer in time. Please send the request again, with the same key: it is decided once.")
            .retry_after(RETRY_MS)
    }

    /// The body without its closing brace.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn body(&self) -> &str {
        std::str::from_utf8(&self.0.body().json).unwrap_or_default()
    }

    /// The finished response.
    pub fn into_answer(self) -> Answer {
        self.0.map(|RefusalBody { mut json, class }| {
            json.push(b'}');
            Body::new(json, class)
        })
    }
}

/// A wait of `least_ms` plus at most the spread. Waits beyond [`RETRY_AFTER_MS_MAX`] spread over the last
/// quarter before it: clients' timers hold no longer waits, and must not fire together.
fn wait_ms(least_ms: u64, spread_ms: u64) -> u64 {
    if least_ms > RETRY_AFTER_MS_MAX {
        return fastrand::u64(RETRY_AFTER_MS_MAX / 4 * 3..=RETRY_AFTER_MS_MAX);
    }
    fastrand::u64(least_ms..=RETRY_AFTER_MS_MAX.min(least_ms + spread_ms))
}

/// Appends a value as JSON.
fn push_json(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Writing into a Vec can't fail, nor serializing these types.
    let _ = serde_json::to_writer(text, value);
}

/// 200 with JSON that must not be cached.
pub fn ok(body: &impl Serialize) -> Answer {
    json_answer(Outcome::OK, serde_json::to_vec(body).unwrap_or_default().into())
}

/// 201 with JSON that must not be cached.
pub fn created(body: &impl Serialize) -> Answer {
    let mut answer = ok(body);
    *answer.status_mut() = StatusCode::CREATED;
    answer
}

/// 204.
pub fn no_content() -> Answer {
    response(StatusCode::NO_CONTENT, empty(Outcome::OK), [(CACHE_CONTROL, NO_STORE)])
}

/// 200 with text.
pub fn text(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let body = Body::new(body, AnswerClass::plain(Outcome::OK));
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(content_type)), (CACHE_CONTROL, NO_STORE)];
    response(StatusCode::OK, body, headers)
}

/// 200 with a streamed body. No proxy may cache, buffer or compress it; nginx buffers a response unless
/// `X-Accel-Buffering` is `no`.
pub fn stream(
    content_type: &'static str,
    body: impl hyper::body::Body<Data = Bytes, Error = std::convert::Infallible> + 'static,
) -> Answer {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    response(StatusCode::OK, Body::stream(body, AnswerClass::plain(Outcome::OK)), headers)
}

/// 200 or 304 with JSON that may be cached for a second.
pub fn cached(body: Bytes, etag: &HeaderValue, if_none_match: Option<&HeaderValue>) -> Answer {
    not_modified(etag, if_none_match).unwrap_or_else(|| fresh(body, etag))
}

/// 304 if the client has what this tag is of.
pub fn not_modified(etag: &HeaderValue, if_none_match: Option<&HeaderValue>) -> Option<Answer> {
    fn opaque(tag: &[u8]) -> &[u8] {
        tag.strip_prefix(b"W/").unwrap_or(tag)
    }
    let mut list = if_none_match?.to_str().ok()?.split(',').map(str::trim);
    list.any(|tag| tag == "*" || opaque(tag.as_bytes()) == opaque(etag.as_bytes())).then(|| {
        let body = empty(Outcome::NOT_MODIFIED);
        response(StatusCode::NOT_MODIFIED, body, [(CACHE_CONTROL, FOR_A_SECOND), (ETAG, etag.clone())])
    })
}

/// 200 with JSON that may be cached for a second.
pub fn fresh(body: Bytes, etag: &HeaderValue) -> Answer {
    let mut answer = json(Outcome::OK, body, FOR_A_SECOND);
    answer.headers_mut().insert(ETAG, etag.clone());
    answer
}

/// 200, or 201 for a new reservation, with JSON that must not be cached.
pub(crate) fn json_answer(outcome: Outcome, body: Bytes) -> Answer {
    json(outcome, body, NO_STORE)
}

fn json(outcome: Outcome, body: Bytes, cache: HeaderValue) -> Answer {
    let status = if outcome == Outcome::WON { StatusCode::CREATED } else { StatusCode::OK };
    let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, cache)];
    response(status, Body::new(body, AnswerClass::plain(outcome)), headers)
}

/// 503: the service is not ready, with the reasons.
pub fn not_ready(reasons: &str) -> Answer {
    let mut answer = text("text/plain; charset=utf-8", format!("not ready: {reasons}\n"));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer
}

/// 204 to a CORS preflight.
pub fn preflight() -> Answer {
    response(StatusCode::NO_CONTENT, empty(Outcome::PREFLIGHT), [])
}

fn empty(outcome: Outcome) -> Body {
    Body::new(Bytes::new(), AnswerClass::plain(outcome))
}

fn response<T, const N: usize>(
    status: StatusCode,
    body: T,
    headers: [(HeaderName, HeaderValue); N],
) -> Response<T> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests;
