//! Turns decisions into responses: the only file that knows which cause gets which status.

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

/// After a 503, at the soonest: many come back at once.
const RETRY_MS: u64 = 1_000;
/// The longest wait that a client is asked for.
pub const RETRY_AFTER_MS_MAX: u64 = 3_600_000;

/// What every handler answers.
pub type Answer = Response<Body>;

/// A refusal on its way out: handlers leave early with it. The response as it will be, its body still
/// without the closing brace.
#[derive(Debug)]
pub struct Refused(Box<Response<RefusalBody>>);

/// A body still without its closing brace, and what the answer is counted as.
#[derive(Debug)]
struct RefusalBody {
    json: Vec<u8>,
    class: AnswerClass,
}

impl Refused {
    /// A problem of this kind; `detail` tells this occurrence.
    #[must_use]
    pub fn new(kind: ProblemKind, detail: impl AsRef<str>) -> Self {
        let detail = detail.as_ref();
        // Room for the members, too: most have a few short ones.
        let mut body = Vec::with_capacity(kind.head.len() + detail.len() + 128);
        body.extend_from_slice(kind.head.as_bytes());
        push_json(&mut body, detail);
        let status = StatusCode::from_u16(kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let class = AnswerClass::plain(Outcome::of(&kind));
        let mut answer = with_status(status, RefusalBody { json: body, class });
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self(Box::new(answer))
    }

    /// With one more member, whose name needs no escaping.
    #[must_use]
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

    /// The last answer of its connection: what follows the request may not be what it seems.
    #[must_use]
    pub fn and_close(self) -> Self {
        self.header(CONNECTION, "close")
    }

    /// With `Retry-After`, and `retry_after_ms` spread over up to half as long again, so that all
    /// who are told at once do not come back at once.
    #[must_use]
    pub fn retry_after(self, least_ms: u64) -> Self {
        self.retry_after_spread(least_ms, (least_ms / 2).clamp(200, 5_000))
    }

    /// The same with another spread.
    pub(crate) fn retry_after_spread(self, least_ms: u64, spread_ms: u64) -> Self {
        let ms = wait_ms(least_ms, spread_ms);
        self.with("retry_after_ms", ms).header(RETRY_AFTER, ms.div_ceil(1000))
    }

    /// 400 with the place in the body.
    #[must_use]
    pub fn invalid(pointer: &str, detail: impl AsRef<str>) -> Self {
        Self::new(problem::INVALID_REQUEST, detail).with("pointer", pointer)
    }

    /// 401; whether a token was there decides what the challenge says (RFC 6750, section 3).
    #[must_use]
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
    #[must_use]
    pub fn unknown_ops_token() -> Self {
        Self::new(problem::UNAUTHENTICATED, "This needs `Authorization: Bearer` with one of the ops tokens.")
            .header(WWW_AUTHENTICATE, "Bearer realm=\"launchgate-ops\"")
    }

    /// 403 on the ops listener: another role is needed.
    #[must_use]
    pub fn forbidden_role(needed: &str) -> Self {
        let detail =
            format!("The role of this ops token does not allow this call; it needs `{needed}` or `operate`.");
        Self::new(problem::FORBIDDEN, detail)
    }

    /// 405.
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        Self::new(problem::METHOD_NOT_ALLOWED, format!("This path has {allow}.")).header(ALLOW, allow)
    }

    /// 429: which limit, and when it has enough for this call again. What the headers say is in calls of this kind
    /// (draft-ietf-httpapi-ratelimit-headers-10).
    #[must_use]
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

    /// 503, certainly not taken. Why is our business: the client is told to come back.
    #[must_use]
    pub fn not_taken(why: Shed) -> Self {
        Self::new(
            problem::TEMPORARY_REDUCED_CAPACITY,
            "Nothing was done. Please send the request again, with the same key.",
        )
        .because(Why::Shed(why))
        .retry_after(RETRY_MS)
    }

    /// 503, sent and not answered. A retry finds what became of it, as soon as Redis answers again.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new(problem::OUTCOME_UNKNOWN, "The ledger did not answer in time. Please send the request again, with the same key: it is decided once.")
            .retry_after(RETRY_MS)
    }

    /// As it will be, but for the closing brace.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn body(&self) -> &str {
        std::str::from_utf8(&self.0.body().json).unwrap_or_default()
    }

    /// As a response.
    #[must_use]
    pub fn into_answer(self) -> Answer {
        self.0.map(|RefusalBody { mut json, class }| {
            json.push(b'}');
            Body::new(json, class)
        })
    }
}

/// A wait from this long to longer by the spread. One beyond [`RETRY_AFTER_MS_MAX`] is somewhere in the last quarter before it:
/// timers of clients hold no longer waits, and those who wait shall not come back together.
fn wait_ms(least_ms: u64, spread_ms: u64) -> u64 {
    if least_ms > RETRY_AFTER_MS_MAX {
        return fastrand::u64(RETRY_AFTER_MS_MAX / 4 * 3..=RETRY_AFTER_MS_MAX);
    }
    fastrand::u64(least_ms..=RETRY_AFTER_MS_MAX.min(least_ms + spread_ms))
}

fn with_status<T>(status: StatusCode, body: T) -> Response<T> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

/// Appends a value as JSON.
fn push_json(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Neither writing into memory nor what we write can fail.
    let _ = serde_json::to_writer(text, value);
}

/// 200 with JSON that nobody may keep.
#[must_use]
pub fn ok(body: &impl Serialize) -> Answer {
    json_answer(Outcome::OK, serde_json::to_vec(body).unwrap_or_default().into(), "no-store")
}

/// 200 with text.
#[must_use]
pub fn text(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Body::new(body, AnswerClass::plain(Outcome::OK)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// 200 with a body that comes piece by piece. No proxy may keep, collect or compress it: each piece has its time. nginx
/// collects an answer unless `X-Accel-Buffering` is `no`.
#[must_use]
pub fn stream(
    content_type: &'static str,
    body: impl hyper::body::Body<Data = Bytes, Error = std::convert::Infallible> + 'static,
) -> Answer {
    let mut answer = Response::new(Body::stream(body, AnswerClass::plain(Outcome::OK)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    answer
}

/// 200 or 304 with JSON that may be kept for a second.
#[must_use]
pub fn cached(body: Bytes, etag: Option<&HeaderValue>, if_none_match: Option<&HeaderValue>) -> Answer {
    let matches = |etag: &HeaderValue| {
        if_none_match.and_then(|v| v.to_str().ok()).is_some_and(|list| {
            list.split(',')
                .map(|tag| tag.trim().trim_start_matches("W/"))
                .any(|tag| tag == etag || tag == "*")
        })
    };
    let mut answer = if etag.is_some_and(matches) {
        let mut answer = with_status(StatusCode::NOT_MODIFIED, empty(Outcome::NOT_MODIFIED));
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=1"));
        answer
    } else {
        json_answer(Outcome::OK, body, "public, max-age=1")
    };
    if let Some(etag) = etag {
        answer.headers_mut().insert(ETAG, etag.clone());
    }
    answer
}

pub(crate) fn json_answer(outcome: Outcome, body: Bytes, cache: &'static str) -> Answer {
    let status = if outcome == Outcome::WON { StatusCode::CREATED } else { StatusCode::OK };
    let mut answer = with_status(status, Body::new(body, AnswerClass::plain(outcome)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    answer
}

/// The service is not ready, and why.
#[must_use]
pub fn not_ready(reasons: &str) -> Answer {
    let mut answer = text("text/plain; charset=utf-8", format!("not ready: {reasons}\n"));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer
}

/// 204 to a browser that asks whether it may ask.
#[must_use]
pub fn preflight() -> Answer {
    with_status(StatusCode::NO_CONTENT, empty(Outcome::PREFLIGHT))
}

fn empty(outcome: Outcome) -> Body {
    Body::new(Bytes::new(), AnswerClass::plain(outcome))
}

#[cfg(test)]
mod tests;
