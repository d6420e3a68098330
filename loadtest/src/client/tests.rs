//! Unit tests of `client.rs`.

use super::*;

#[test]
fn there_is_a_connection_a_tap_at_most() {
    assert_eq!(connections(None, 3), 3);
    assert_eq!(connections(Some(2), 3), 2);
    assert_eq!(connections(None, 0), 1);
}

#[test]
fn a_description_has_no_token() {
    let request = Request::post("/v1/x".to_owned(), "Bearer secret", Some("{}".to_owned())).with_key("k-1");
    assert_eq!(request.describe("http://a:1"), "POST http://a:1/v1/x Idempotency-Key: k-1 {}");
}
