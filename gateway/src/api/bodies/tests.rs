//! Unit tests of `bodies.rs`.

use super::*;
use crate::http::request::parse;

fn error_of(body: &str) -> String {
    parse::<ReserveRequest<'_>>(body.as_bytes()).unwrap_err().body().to_owned()
}

#[test]
fn a_mistake_in_a_body_is_pointed_at() {
    for (body, pointer) in [
        (r#"{"model": 3, "store": "s"}"#, "/model"),
        (r#"{"model": "a b", "store": "s"}"#, "/model"),
        (r#"{"model": "a", "store": "s", "packages": ["x", 5]}"#, "/packages/1"),
        (r#"{"model": "a", "store": "s", "colour": "red"}"#, "/colour"),
        (r#"{"model": "a", "store": "s", "a/b": 1}"#, "/a~1b"),
        (r#"{"model": "a", "store": "s", "a`b": 1}"#, "/a`b"),
        (r#"{"model": "a", "store": "s"} x"#, ""),
        (r#" ["a", [], "s", false]"#, ""),
    ] {
        let found = error_of(body);
        assert!(found.ends_with(&format!(",\"pointer\":\"{pointer}\"")), "{body}: {found}");
    }
}
