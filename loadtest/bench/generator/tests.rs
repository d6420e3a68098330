//! Unit tests of `generator.rs`.

use super::*;

#[test]
fn an_answer_counts_once_it_is_complete() {
    let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello";
    for cut in 0..answer.len() {
        assert!(matches!(parse(&answer[..cut]), Ok(None)), "{cut}");
    }
    assert!(matches!(parse(answer), Ok(Some((201, length))) if length == answer.len()));
    assert!(parse(b"SSH-2.0\r\n\r\n").is_err());
    assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
}

#[test]
fn a_single_request_serves_for_all() {
    let mut requests = Requests::default();
    requests.push("one");
    assert_eq!(requests.get(7), b"one");
    requests.push("other");
    assert_eq!((requests.get(0), requests.get(1)), (&b"one"[..], &b"other"[..]));
}
