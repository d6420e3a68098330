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
mod tests {
    use super::*;
    use crate::http::drain::DrainPhase;

    fn lifetime(age_max: Option<Duration>, requests_max: Option<u64>) -> Lifetime {
        let (phase, drain) = Drain::new();
        // It lives as long as the test.
        std::mem::forget(phase);
        Lifetime::new(LifetimeLimits { age_max, requests_max }, Duration::from_secs(75), drain)
    }

    fn announced(lifetime: &Lifetime, asked: &'static str) -> [Option<String>; 2] {
        let (mut request, mut answer) = (HeaderMap::new(), HeaderMap::new());
        request.insert(CONNECTION, HeaderValue::from_static(asked));
        lifetime.announce(&request, &mut answer);
        ["connection", "keep-alive"].map(|name| answer.get(name).map(|v| v.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_connection_ends_at_its_limits_and_not_all_at_the_same() {
        let mut lengths = Vec::new();
        for _ in 0..200 {
            let lifetime = lifetime(None, Some(100));
            let mut requests = 0;
            while lifetime.end().is_none() {
                lifetime.count_request();
                requests += 1;
            }
            assert_eq!(lifetime.end(), Some(Ended::Retired));
            lengths.push(requests);
        }
        lengths.sort_unstable();
        assert!(lengths[0] >= 80 && lengths[199] <= 100 && lengths[0] < lengths[199], "{lengths:?}");
        let one = lifetime(None, Some(1));
        one.count_request();
        assert_eq!(one.end(), Some(Ended::Retired));
        assert_eq!(lifetime(Some(Duration::ZERO), None).end(), Some(Ended::Retired));
        assert_eq!(lifetime(Some(Duration::from_secs(3_600)), None).end(), None);
        assert_eq!(lifetime(None, None).end(), None);
    }

    #[test]
    fn an_answer_says_whether_it_is_the_last_and_how_long_the_next_may_take() {
        let some = |text: &str| Some(text.to_owned());
        let goes_on = lifetime(None, None);
        assert_eq!(announced(&goes_on, "Keep-Alive"), [some("keep-alive"), some("timeout=67")]);
        assert_eq!(announced(&goes_on, "close"), [None, None]);
        let (phase, drain) = Drain::new();
        let drains = Lifetime::new(LifetimeLimits::default(), Duration::from_secs(75), drain);
        assert_eq!(drains.end(), None);
        phase.send_replace(DrainPhase::Drain);
        assert_eq!(announced(&drains, "keep-alive"), [some("close"), None]);
        assert_eq!(drains.end(), Some(Ended::Stopped));
    }

    #[test]
    fn what_is_advertised_is_less_than_what_holds() {
        for (ms, seconds) in
            [(3_600_000, Some(3_590)), (75_000, Some(67)), (2_000, Some(1)), (1_500, None), (10, None)]
        {
            assert_eq!(advertised(Duration::from_millis(ms)), seconds, "{ms}");
        }
    }
}
