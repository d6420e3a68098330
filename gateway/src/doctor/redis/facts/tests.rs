//! Unit tests of `facts.rs`.

#[test]
fn the_id_of_the_probe_is_not_a_valid_sale_id() {
    assert!(super::NO_SALE.bytes().any(|byte| !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')));
}
