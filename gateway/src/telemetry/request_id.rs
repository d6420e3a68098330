//! The id of a request, in its response and in every log line written for it, and its trace (W3C Trace
//! Context).
//!
//! Every request gets an id, but few write a log line, so spans would cost too much. Instead the thread
//! holds the request while it polls its task ([`RequestId::scope`]), and the log reads it ([`current`]).

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// In every response; from a trusted proxy also in a request.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is accepted from a proxy.
const GIVEN_MAX: usize = 64;
/// The trace of a request (W3C Trace Context, 3.2).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The trace in the response, with the id of the gateway's span (W3C Trace Context, editor's draft).
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

thread_local! {
    static CURRENT: Cell<Option<RequestId>> = const { Cell::new(None) };
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId {
    /// The gateway's own id, also that of its span. Never 0.
    own: u64,
    /// The id from a trusted proxy, which replaces the own one.
    given: Option<Rc<str>>,
    trace: Option<Trace>,
}

/// A trace that a client or proxy has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trace {
    id: u128,
    flags: u8,
}

impl RequestId {
    /// A request without an id from a proxy, and without a trace.
    pub fn new() -> Self {
        Self { own: fastrand::u64(1..), given: None, trace: None }
    }

    /// A request with the ids in its headers: an id only from a trusted proxy, a trace from any peer,
    /// since it is only a number.
    pub fn of(is_trusted: bool, headers: &HeaderMap) -> Self {
        let given = is_trusted.then(|| only(headers, &X_REQUEST_ID).and_then(given)).flatten();
        Self { given, trace: only(headers, &TRACEPARENT).and_then(Trace::parse), ..Self::new() }
    }

    /// Adds the ids to its response.
    pub fn mark(&self, headers: &mut HeaderMap) {
        let mut digits = [0; 16];
        let id = match &self.given {
            Some(given) => HeaderValue::from_str(given),
            None => HeaderValue::from_bytes(hex(self.own, &mut digits)),
        };
        if let Ok(id) = id {
            headers.insert(X_REQUEST_ID, id);
        }
        if let Some(Trace { id, flags }) = self.trace
            && let Ok(value) = HeaderValue::try_from(format!("00-{id:032x}-{:016x}-{flags:02x}", self.own))
        {
            headers.insert(TRACERESPONSE, value);
        }
    }

    /// Its id, as in the log and the response.
    pub fn id(&self) -> String {
        match &self.given {
            Some(given) => given.to_string(),
            None => format!("{:016x}", self.own),
        }
    }

    /// The id of its trace, if it has one.
    pub fn trace_id(&self) -> Option<String> {
        self.trace.map(|trace| format!("{:032x}", trace.id))
    }

    /// Work for this request: every log line that it writes has the id.
    pub fn scope<F: Future>(&self, work: F) -> RequestScope<F> {
        RequestScope { request: Some(self.clone()), work }
    }

    /// The same for synchronous work.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut request = Some(self.clone());
        let _inside = Inside::of(&mut request);
        work()
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

/// The request that this thread works for.
pub fn current() -> Option<RequestId> {
    let current = CURRENT.take();
    CURRENT.set(current.clone());
    current
}

/// See [`RequestId::scope`].
pub struct RequestScope<F> {
    /// Held here between two polls, by the thread during one.
    request: Option<RequestId>,
    work: F,
}

impl<F: Future + Unpin> Future for RequestScope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { request, work } = self.get_mut();
        let _inside = Inside::of(request);
        Pin::new(work).poll(cx)
    }
}

/// A request held by the thread; it is restored also when the work panics.
struct Inside<'a> {
    request: &'a mut Option<RequestId>,
    before: Option<RequestId>,
}

impl<'a> Inside<'a> {
    #[inline]
    fn of(request: &'a mut Option<RequestId>) -> Self {
        let before = CURRENT.replace(request.take());
        Self { request, before }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.request = CURRENT.replace(self.before.take());
    }
}

/// The value of a header that is there once; several are ambiguous.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

/// An id whose characters have no meaning to a log, a shell or a header.
fn given(value: &[u8]) -> Option<Rc<str>> {
    let is_safe = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let text = std::str::from_utf8(value).ok()?;
    ((1..=GIVEN_MAX).contains(&text.len()) && value.iter().all(is_safe)).then(|| text.into())
}

impl Trace {
    /// Parses a `traceparent` strictly: lower case, no zero id, and nothing after it unless a later
    /// version allows it (W3C Trace Context, 3.2.2 and 4.3).
    fn parse(value: &[u8]) -> Option<Self> {
        let (value, rest) = value.split_at_checked(55)?;
        let [version, trace, parent, flags] = [&value[..2], &value[3..35], &value[36..52], &value[53..]];
        let dashes = [value[2], value[35], value[52]];
        let is_hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        let all_hex = [version, trace, parent, flags].into_iter().flatten().all(is_hex);
        let is_whole = if version == b"00" { rest.is_empty() } else { rest.is_empty() || rest[0] == b'-' };
        let number = |digits: &[u8]| u128::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        (all_hex && dashes == *b"---" && is_whole && version != b"ff" && number(parent)? != 0)
            .then_some(())?;
        let id = number(trace).filter(|id| *id != 0)?;
        // The flags sampled and random (level 2). The other bits are reserved.
        Some(Self { id, flags: u8::try_from(number(flags)?).ok()? & 0b11 })
    }
}

fn hex(number: u64, digits: &mut [u8; 16]) -> &[u8] {
    for (index, digit) in digits.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (60 - 4 * index)) as usize & 0xf];
    }
    digits
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
