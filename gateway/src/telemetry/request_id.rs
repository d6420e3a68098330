//! Which request this is: the id that stands in its answer and in every line of the log that is written on its behalf, and
//! the trace that it is part of (W3C Trace Context).
//!
//! An id is made for every request, a line of the log hardly ever. So there is no span: while a request is worked on, its
//! thread knows it ([`RequestId::scope`]), and whoever writes a line asks ([`current`]).

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// In each answer; from a trusted proxy also in a request.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id that is taken over from a proxy.
const GIVEN_MAX: usize = 64;
/// What a request is part of (W3C Trace Context, 3.2).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// And what the answer says to it: the same trace, and our part of it (W3C Trace Context, editor's draft).
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

thread_local! {
    static CURRENT: Cell<Option<RequestId>> = const { Cell::new(None) };
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId {
    /// Our own id, which is also that of our span. Never 0.
    own: u64,
    /// The id that a trusted proxy has given it, instead.
    given: Option<Rc<str>>,
    trace: Option<Trace>,
}

/// A trace that somebody else has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trace {
    id: u128,
    flags: u8,
}

impl RequestId {
    /// One without any history.
    #[must_use]
    pub fn new() -> Self {
        Self { own: fastrand::u64(1..), given: None, trace: None }
    }

    /// With what its head says, as far as that can be relied on: an id only from a trusted proxy, a trace from anyone,
    /// since it is only a number.
    #[must_use]
    pub fn of(is_trusted: bool, headers: &HeaderMap) -> Self {
        let given = is_trusted.then(|| only(headers, &X_REQUEST_ID).and_then(given)).flatten();
        Self { given, trace: only(headers, &TRACEPARENT).and_then(Trace::parse), ..Self::new() }
    }

    /// Marks its answer.
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

    /// Its id, as the log and the answer have it.
    #[must_use]
    pub fn id(&self) -> String {
        match &self.given {
            Some(given) => given.to_string(),
            None => format!("{:016x}", self.own),
        }
    }

    /// Its trace's id, if it is part of one.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        self.trace.map(|trace| format!("{:032x}", trace.id))
    }

    /// Work on its behalf: every line of the log that comes from it has its id.
    pub fn scope<F: Future>(&self, work: F) -> Scope<F> {
        Scope { request: Some(self.clone()), work }
    }

    /// The same for what needs no waiting.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = Entered(CURRENT.replace(Some(self.clone())));
        work()
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

/// The request that this thread works for at the moment.
#[must_use]
pub fn current() -> Option<RequestId> {
    let current = CURRENT.take();
    CURRENT.set(current.clone());
    current
}

/// Puts back who was worked for before.
struct Entered(Option<RequestId>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// See [`RequestId::scope`].
pub struct Scope<F> {
    /// Here between two polls, with the thread during one.
    request: Option<RequestId>,
    work: F,
}

impl<F: Future + Unpin> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { request, work } = self.get_mut();
        let mut inside = Inside { request, before: None };
        inside.before = CURRENT.replace(inside.request.take());
        Pin::new(work).poll(cx)
    }
}

/// A request while it is with the thread; it comes back also when the work panics.
struct Inside<'a> {
    request: &'a mut Option<RequestId>,
    before: Option<RequestId>,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.request = CURRENT.replace(self.before.take());
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

/// The value of a header that is there once. Who sends several says nothing.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

/// An id that can stand anywhere: nothing in it has a meaning to a log, a shell or a header.
fn given(value: &[u8]) -> Option<Rc<str>> {
    let is_safe = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let text = std::str::from_utf8(value).ok()?;
    ((1..=GIVEN_MAX).contains(&text.len()) && value.iter().all(is_safe)).then(|| text.into())
}

impl Trace {
    /// Reads a `traceparent`, to the letter: small letters only, no zeros for an id, nothing after it unless a later
    /// version says so (W3C Trace Context, 3.2.2 and 4.3).
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
        // Sampled, and made by chance (level 2). What the other bits will mean is not known.
        Some(Self { id, flags: u8::try_from(number(flags)?).ok()? & 0b11 })
    }
}

fn hex(number: u64, digits: &mut [u8; 16]) -> &[u8] {
    for (place, digit) in digits.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (60 - 4 * place)) as usize & 0xf];
    }
    digits
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
