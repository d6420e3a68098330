//! Unit tests of `lifetime.rs`.

use super::*;
use crate::http::drain::DrainPhase;

fn lifetime(age_max: Option<Duration>, requests_max: Option<u64>) -> Lifetime {
    let (phase, drain) = Drain::new();
    // The phase lives as long as the test.
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
fn connections_end_near_their_limit_at_different_times() {
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
fn a_response_announces_the_close_or_the_keep_alive_timeout() {
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
fn the_advertised_timeout_is_shorter_than_the_real_one() {
    for (ms, seconds) in
        [(3_600_000, Some(3_590)), (75_000, Some(67)), (2_000, Some(1)), (1_500, None), (10, None)]
    {
        assert_eq!(advertised(Duration::from_millis(ms)), seconds, "{ms}");
    }
}
