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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn marked(request: &RequestId) -> (String, Option<String>) {
        let mut headers = HeaderMap::new();
        request.mark(&mut headers);
        let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned());
        (text("x-request-id").unwrap(), text("traceresponse"))
    }

    #[test]
    fn an_id_counts_only_from_a_trusted_proxy_and_only_if_nothing_in_it_has_a_meaning() {
        let told = |is_trusted: bool, lines: &[(&'static str, &str)]| {
            let request = RequestId::of(is_trusted, &headers(lines));
            let (id, _) = marked(&request);
            assert_eq!(id, request.id());
            id
        };
        const ID: &str = "x-request-id";
        let good = "7f3a_X.9-".repeat(7);
        assert_eq!(told(true, &[(ID, &good)]), good);
        let long = "a".repeat(65);
        for bad in ["", " ", "a b", "a\"b", "a,b", "a;b", "a\u{e4}", "a=b", &long] {
            let own = told(true, &[(ID, bad)]);
            assert!(own.len() == 16 && own.bytes().all(|b| b.is_ascii_hexdigit()), "{bad}: {own}");
        }
        assert_ne!(told(false, &[(ID, "theirs")]), "theirs");
        assert_ne!(told(true, &[(ID, "one"), (ID, "two")]), "one");
        assert_ne!(told(false, &[]), told(false, &[]));
    }

    #[test]
    fn a_trace_is_taken_over_to_the_letter_or_not_at_all() {
        let told = |value: &str| {
            let request = RequestId::of(false, &headers(&[("traceparent", value)]));
            let (_, response) = marked(&request);
            assert_eq!(request.trace_id().is_some(), response.is_some());
            response.map(|response| {
                let own = format!("{:016x}", request.own);
                assert_eq!(request.trace_id().unwrap(), TRACE);
                response.replace(&own, "own")
            })
        };
        for (flags, kept) in [("00", "00"), ("01", "01"), ("03", "03"), ("ff", "03")] {
            let expected = format!("00-{TRACE}-own-{kept}");
            assert_eq!(told(&format!("00-{TRACE}-{PARENT}-{flags}")), Some(expected));
        }
        // A later version is read as far as it is known.
        for later in ["01", "cc", "fe"] {
            assert!(told(&format!("{later}-{TRACE}-{PARENT}-01")).is_some());
            assert!(told(&format!("{later}-{TRACE}-{PARENT}-01-what-comes")).is_some());
            assert!(told(&format!("{later}-{TRACE}-{PARENT}-01.what-comes")).is_none());
        }
        let zeros = ["0".repeat(32), "0".repeat(16)];
        for bad in [
            String::new(),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-01 "),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("0g-{TRACE}-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{PARENT}-0X"),
            format!("00-{}-{PARENT}-01", zeros[0]),
            format!("00-{TRACE}-{}-01", zeros[1]),
            format!("00_{TRACE}_{PARENT}_01"),
            format!("00-{TRACE}0-{PARENT}-01"),
            format!("00-+{}-{PARENT}-01", &TRACE[1..]),
        ] {
            assert_eq!(told(&bad), None, "{bad:?}");
        }
        let twice = [("traceparent", format!("00-{TRACE}-{PARENT}-01"))];
        let lines = [("traceparent", twice[0].1.as_str()), ("traceparent", twice[0].1.as_str())];
        assert_eq!(RequestId::of(false, &headers(&lines)).trace, None);
    }

    #[tokio::test]
    async fn a_thread_has_the_request_of_the_task_it_polls_and_none_in_between() {
        let (one, two) = (RequestId::new(), RequestId::new());
        let work = |request: &RequestId| {
            let expected = Some(request.clone());
            let work = async move {
                for _ in 0..3 {
                    assert_eq!(current(), expected);
                    tokio::task::yield_now().await;
                }
            };
            request.scope(Box::pin(work))
        };
        let outside = async {
            for _ in 0..3 {
                assert_eq!(current(), None);
                tokio::task::yield_now().await;
            }
        };
        futures_util::future::join3(work(&one), work(&two), outside).await;
        one.enter(|| {
            assert_eq!(current(), Some(one.clone()));
            two.enter(|| assert_eq!(current(), Some(two.clone())));
            assert_eq!(current(), Some(one.clone()));
        });
        use futures_util::FutureExt;
        let panics = one.scope(Box::pin(async { panic!("as a handler may") }));
        let outcome: Result<(), _> = std::panic::AssertUnwindSafe(panics).catch_unwind().await;
        assert!(outcome.is_err());
        assert_eq!(current(), None);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_an_answer_has_an_id_that_is_harmless(id in "\\PC{0,80}", trace in "[0-9a-f-]{0,70}") {
            let lines = [("x-request-id", id.as_str()), ("traceparent", trace.as_str())];
            if HeaderValue::from_bytes(id.as_bytes()).is_ok() {
                let (id, _) = marked(&RequestId::of(true, &headers(&lines)));
                prop_assert!(given(id.as_bytes()).is_some());
            }
        }
    }
}
