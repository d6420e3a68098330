#[test]
fn no_sale_can_have_the_id_that_scripts_are_tried_with() {
    assert!(super::NO_SALE.bytes().any(|byte| !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')));
}
