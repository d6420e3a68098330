//! The lifetime of a connection: its age, the number of its requests, and the drain.

use std::cell::Cell;
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use hyper::header::{CONNECTION, HeaderName, HeaderValue};

use crate::http::drain::Drain;
use crate::telemetry::labels::Ended;

/// The age and the number of requests at which the connections of one listener end; `None`: no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct LifetimeLimits {
    /// From its first byte to its last request.
    pub age_max: Option<Duration>,
    /// Requests on one connection.
    pub requests_max: Option<u64>,
}

/// The lifetime of one connection.
pub(super) struct Lifetime {
    drain: Drain,
    retires: Option<Instant>,
    requests_left: Cell<u64>,
    end: Cell<Option<Ended>>,
    idle_timeout: Duration,
}

impl Lifetime {
    /// Starts now. Each connection ends at 80 to 100 % of a limit, so that connections opened together do
    /// not come back together.
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

    /// Why the connection ends after its requests so far; `None` if it stays open. The first cause stays.
    pub(super) fn end(&self) -> Option<Ended> {
        let end = self.end.get().or_else(|| {
            if self.drain.has_begun() {
                return Some(Ended::Stopped);
            }
            let is_old = || self.retires.is_some_and(|retires| retires <= Instant::now());
            (self.requests_left.get() == 0 || is_old()).then_some(Ended::Retired)
        });
        self.end.set(end);
        end
    }

    /// Marks the last HTTP/1.1 response of its connection. A client that asks for `Connection:
    /// keep-alive` gets a shorter idle timeout than ours, so that it closes first.
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

/// The idle timeout that clients may rely on, in seconds: 10 % less, by at least one second and at most ten.
fn advertised(idle_timeout: Duration) -> Option<u64> {
    let margin = (idle_timeout / 10).clamp(Duration::from_secs(1), Duration::from_secs(10));
    Some(idle_timeout.saturating_sub(margin).as_secs()).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests;
