//! How long a connection goes on: its age, the number of its requests, and the drain.

use std::cell::Cell;
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use hyper::header::{CONNECTION, HeaderName, HeaderValue};

use crate::http::drain::Drain;
use crate::telemetry::labels::Ended;

/// The age and the number of requests at which the connections of one listener end; `None`: never.
#[derive(Debug, Clone, Copy, Default)]
pub struct LifetimeLimits {
    /// From its first byte to the last request.
    pub age_max: Option<Duration>,
    /// Requests on one connection.
    pub requests_max: Option<u64>,
}

/// How long one connection goes on.
pub(super) struct Lifetime {
    drain: Drain,
    retires: Option<Instant>,
    requests_left: Cell<u64>,
    end: Cell<Option<Ended>>,
    idle_timeout: Duration,
}

impl Lifetime {
    /// From now on. Each connection ends at between eight and ten tenths of a limit: those that came together shall not
    /// come together again.
    pub(super) fn new(limits: LifetimeLimits, idle_timeout: Duration, drain: Drain) -> Self {
        let age = limits.age_max.map(|most| most.mul_f32(0.8 + 0.2 * fastrand::f32()));
        let requests = limits.requests_max.map(|most| fastrand::u64((most - most / 5).max(1)..=most.max(1)));
        Self {
            drain,
            retires: age.map(|age| Instant::now() + age),
            requests_left: Cell::new(requests.unwrap_or(u64::MAX)),
            end: Cell::new(None),
            idle_timeout,
        }
    }

    pub(super) fn drain(&self) -> &Drain {
        &self.drain
    }

    pub(super) fn count_request(&self) {
        self.requests_left.set(self.requests_left.get().saturating_sub(1));
    }

    /// Why the connection ends after the requests that it has; `None` if it goes on. Stays as it was found first.
    pub(super) fn end(&self) -> Option<Ended> {
        if self.end.get().is_none() {
            let is_retired = || {
                self.requests_left.get() == 0 || self.retires.is_some_and(|retires| retires <= Instant::now())
            };
            let end = if self.drain.has_begun() {
                Some(Ended::Stopped)
            } else {
                is_retired().then_some(Ended::Retired)
            };
            self.end.set(end);
        }
        self.end.get()
    }

    /// Marks an answer of HTTP/1.1 that is the last one of its connection. A client that asks for a connection that stays
    /// (`Connection: keep-alive`) gets an idle time-out that is shorter than ours, so that it closes first.
    pub(super) fn announce(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
        if self.end().is_some() {
            answer.insert(CONNECTION, HeaderValue::from_static("close"));
            return;
        }
        let is_asked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
        if answer.contains_key(CONNECTION) || !request.get(CONNECTION).is_some_and(is_asked) {
            return;
        }
        if let Some(seconds) = advertised(self.idle_timeout)
            && let Ok(hint) = HeaderValue::try_from(format!("timeout={seconds}"))
        {
            answer.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
            answer.insert(KEEP_ALIVE, hint);
        }
    }
}

/// What a client may count on of an idle time-out, in seconds: a tenth less, at least a second and at most ten.
fn advertised(idle_timeout: Duration) -> Option<u64> {
    let margin = (idle_timeout / 10).clamp(Duration::from_secs(1), Duration::from_secs(10));
    Some(idle_timeout.saturating_sub(margin).as_secs()).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests;
