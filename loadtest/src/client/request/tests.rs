//! Unit tests of `request.rs`.

use super::*;

fn extra(headers: &[(HeaderName, HeaderValue)]) -> Extra<'_> {
    Extra { headers, trace: Trace::of_try(7, false), forwarded_for: Some("198.51.100.7") }
}

#[test]
fn a_description_has_no_token() {
    let request = Request::post("/v1/x".to_owned(), "Bearer secret", Some("{}".to_owned())).with_key("k-1");
    assert_eq!(request.describe("http://a:1"), "POST http://a:1/v1/x Idempotency-Key: k-1 {}");
}

#[test]
fn both_protocols_have_the_same_fields() {
    let headers = [(HeaderName::from_static("x-app"), HeaderValue::from_static("7 b"))];
    let extra = extra(&headers);
    let request = Request::post("/v1/x".to_owned(), "Bearer t", Some("{}".to_owned())).with_key("k-1");
    let bytes = request.to_http1("a:1", &extra).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    assert_eq!(lines.next(), Some("POST /v1/x HTTP/1.1"));
    assert_eq!((lines.next(), body), (Some("host: a:1"), "{}"));
    let other = request.to_http2("https://a:1", &extra).unwrap();
    assert_eq!(other.uri(), "https://a:1/v1/x");
    let fields: Vec<String> =
        other.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    let mut expected: Vec<&str> = lines.filter(|line| *line != "content-length: 2").collect();
    let mut found: Vec<&str> = fields.iter().map(String::as_str).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert!(found.contains(&"x-forwarded-for: 198.51.100.7") && found.contains(&"x-app: 7 b"), "{found:?}");
}

#[test]
fn a_change_without_a_body_says_so() {
    let bytes = Request::post("/v1/x".to_owned(), "Bearer t", None).to_http1("a:1", &extra(&[])).unwrap();
    assert!(bytes.ends_with(b"content-length: 0\r\n\r\n"));
    let bytes = Request::get("/v1/x".to_owned()).to_http1("a:1", &extra(&[])).unwrap();
    assert!(!bytes.windows(14).any(|part| part == b"content-length"));
}

#[test]
fn what_would_be_another_request_is_not_sent() {
    for path in ["/v1/a b", "/v1/\r\nx: y", "/v1/ü"] {
        let request = Request::get(path.to_owned());
        assert!(
            request.to_http1("a:1", &extra(&[])).is_err()
                && request.to_http2("http://a:1", &extra(&[])).is_err()
        );
    }
    let request = Request::get("/v1/x".to_owned()).with_key("k\r\nx: y");
    assert!(
        request.to_http1("a:1", &extra(&[])).is_err() && request.to_http2("http://a:1", &extra(&[])).is_err()
    );
}
