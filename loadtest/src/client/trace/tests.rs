//! Unit tests of `trace.rs`.

use super::*;

#[test]
fn tries_share_their_request_s_trace_and_have_spans_of_their_own() {
    let [first, second] = [(); 2].map(|()| Trace::of_try(0xab, false));
    let [one, other] = [first, second].map(|trace| trace.to_string());
    assert_eq!(one.len(), 55);
    assert!(one.starts_with("00-000000000000000000000000000000ab-") && one.ends_with("-00"), "{one}");
    assert_eq!(one[..36], other[..36]);
    assert_ne!(one, other);
    assert!(Trace::of_try(1, true).to_string().ends_with("-01"));
    let json = serde_json::to_string(&second).unwrap();
    assert_eq!(serde_json::from_str::<Trace>(&json).unwrap(), second);
    assert!(serde_json::from_str::<Trace>("\"00-1\"").is_err());
}
