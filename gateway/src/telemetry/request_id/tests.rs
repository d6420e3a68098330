//! Unit tests of `request_id.rs`.

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
fn an_id_is_accepted_only_from_a_trusted_proxy_and_in_safe_characters() {
    let id_of = |is_trusted: bool, lines: &[(&'static str, &str)]| {
        let request = RequestId::of(is_trusted, &headers(lines));
        let (id, _) = marked(&request);
        assert_eq!(id, request.id());
        id
    };
    const ID: &str = "x-request-id";
    let good = "7f3a_X.9-".repeat(7);
    assert_eq!(id_of(true, &[(ID, &good)]), good);
    let long = "a".repeat(65);
    for bad in ["", " ", "a b", "a\"b", "a,b", "a;b", "a\u{e4}", "a=b", &long] {
        let own = id_of(true, &[(ID, bad)]);
        assert!(own.len() == 16 && own.bytes().all(|b| b.is_ascii_hexdigit()), "{bad}: {own}");
    }
    assert_ne!(id_of(false, &[(ID, "theirs")]), "theirs");
    assert_ne!(id_of(true, &[(ID, "one"), (ID, "two")]), "one");
    assert_ne!(id_of(false, &[]), id_of(false, &[]));
}

#[test]
fn a_trace_is_parsed_strictly() {
    let response_to = |value: &str| {
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
        assert_eq!(response_to(&format!("00-{TRACE}-{PARENT}-{flags}")), Some(expected));
    }
    // A later version is read by the rules of this one.
    for later in ["01", "cc", "fe"] {
        assert!(response_to(&format!("{later}-{TRACE}-{PARENT}-01")).is_some());
        assert!(response_to(&format!("{later}-{TRACE}-{PARENT}-01-what-comes")).is_some());
        assert!(response_to(&format!("{later}-{TRACE}-{PARENT}-01.what-comes")).is_none());
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
        assert_eq!(response_to(&bad), None, "{bad:?}");
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
    fn every_response_has_a_safe_id(id in "\\PC{0,80}", trace in "[0-9a-f-]{0,70}") {
        let lines = [("x-request-id", id.as_str()), ("traceparent", trace.as_str())];
        if HeaderValue::from_bytes(id.as_bytes()).is_ok() {
            let (id, _) = marked(&RequestId::of(true, &headers(&lines)));
            prop_assert!(given(id.as_bytes()).is_some());
        }
    }
}
