//! Unit tests of `refused.rs`.

use super::*;

#[test]
fn the_reservation_and_the_items_of_a_change_are_read() {
    for path in ["/v1/sales/s/reservations/r-1", "/v1/sales/s/reservations/r-1/confirm"] {
        assert_eq!(reservation_of(path), "r-1");
    }
    let change: Change = serde_json::from_str(r#"{"packages": ["p", "q"], "store": "s"}"#).unwrap();
    assert_eq!(change.wanted.items(), ["package:p", "package:q", "store:s"]);
    let confirm: Change = serde_json::from_str(r#"{"payment": "x", "version": 2}"#).unwrap();
    assert_eq!((confirm.version, confirm.wanted.items().len()), (Some(2), 0));
}
