//! Unit tests of `http1.rs`.

use super::*;

/// Every proper beginning of an answer needs more, whose end is known without the connection's.
fn parsed(text: &str) -> Parsed {
    for cut in 0..text.len() {
        assert!(parse(&text.as_bytes()[..cut], false).unwrap().is_none(), "{cut} of {text:?}");
    }
    let parsed = parse(text.as_bytes(), false).unwrap().expect(text);
    assert_eq!(parsed.end, text.len());
    parsed
}

#[test]
fn an_answer_ends_where_its_length_says() {
    let Parsed { reply, keeps, .. } = parsed(
        "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nLocation: /v1/x\r\nETag: \"7\"\r\n\
         X-Request-Id: 00ff\r\nIdempotency-Replayed: true\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\n{}",
    );
    assert_eq!((reply.status, &*reply.content_type, &*reply.body), (201, "application/json", "{}"));
    assert_eq!((reply.location.as_deref(), reply.tag.as_deref()), (Some("/v1/x"), Some("\"7\"")));
    assert_eq!((reply.request_id.as_deref(), reply.replayed), (Some("00ff"), true));
    assert!(reply.retry_after == Some(3) && keeps);
}

#[test]
fn an_answer_without_a_body_is_complete() {
    assert!(parsed("HTTP/1.1 304 Not Modified\r\nETag: a\r\n\r\n").keeps);
    assert!(parsed("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n").keeps);
    assert!(parsed("HTTP/1.1 204 No Content\r\n\r\n").reply.body.is_empty());
}

#[test]
fn chunks_are_joined() {
    let Parsed { reply, keeps, .. } = parsed(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nx: y\r\n\r\n",
    );
    assert_eq!(reply.body, "abc0123456789abcdef");
    assert!(keeps);
    for wrong in ["zz\r\n", "3\r\nabcdef", "ffffffffffffffffff\r\n"] {
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{wrong}");
        assert!(parse(text.as_bytes(), false).is_err(), "{wrong}");
    }
}

#[test]
fn an_interim_answer_is_passed_over() {
    let text = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    assert_eq!(parsed(text).reply.status, 200);
    assert!(parse(b"HTTP/1.1 101 Switching\r\n\r\n", false).is_err());
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    let text = b"HTTP/1.1 200 OK\r\n\r\nabc";
    assert!(parse(text, false).unwrap().is_none());
    let Parsed { reply, keeps, .. } = parse(text, true).unwrap().unwrap();
    assert_eq!((&*reply.body, keeps), ("abc", false));
    // One that ended too early has no answer.
    assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", true).unwrap().is_none());
}

#[test]
fn a_connection_that_will_be_closed_is_not_kept() {
    assert!(!parsed("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n").keeps);
    assert!(!parsed("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").keeps);
    assert!(parsed("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n").keeps);
}

#[test]
fn a_length_that_is_not_one_number_is_refused() {
    assert!(parsed("HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\nContent-Length: 1\r\n\r\na").keeps);
    for wrong in ["-1", "+1", "", "1x", "1, 2", "1\r\nContent-Length: 2", "99999999999999999999999"] {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {wrong}\r\n\r\na");
        assert!(parse(text.as_bytes(), true).is_err(), "{wrong}");
    }
    assert!(parse(b"SSH-2.0\r\n\r\n", false).is_err());
}

#[test]
fn a_body_longer_than_any_of_the_api_is_cut() {
    let long = "a".repeat(BODY_BYTES_MAX + 1);
    let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{long}", 2 * BODY_BYTES_MAX);
    assert!(!parse(text.as_bytes(), false).unwrap().unwrap().keeps);
    let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n{long}");
    assert!(!parse(text.as_bytes(), false).unwrap().unwrap().keeps);
    let head = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(HEAD_BYTES_MAX));
    assert!(parse(head.as_bytes(), false).is_err());
}
