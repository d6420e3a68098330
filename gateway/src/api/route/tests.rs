//! Unit tests of `route.rs`.

use super::*;

#[test]
fn paths_are_whole() {
    assert_eq!(path("/v1/time"), Some(Path::Time));
    assert_eq!(path("/v1/sales/s"), Some(Path::Sale("s")));
    assert_eq!(path("/v1/sales/s/stores"), Some(Path::Stores("s")));
    assert_eq!(path("/v1/sales/s/reservations"), Some(Path::Reservations("s")));
    assert_eq!(path("/v1/sales/s/reservations/i"), Some(Path::Reservation("s", "i")));
    assert_eq!(path("/v1/sales/s/reservations/i/confirm"), Some(Path::Confirm("s", "i")));
    assert_eq!(path("/v1/sales/s/reservations/i/cancel"), Some(Path::Cancel("s", "i")));
    assert_eq!(path("/problems/sold-out"), Some(Path::Problem("sold-out")));
    for none in [
        "",
        "/",
        "*",
        "/v1",
        "/v1/",
        "/v1/sales",
        "/v1/time/x",
        "/v1/sales/s/",
        "/v1/sales/s/stores/x",
        "/v1/sales/s/reservations/i/confirm/x",
        "/v1/sales/s/reservations/i/x",
        "/v2/time",
    ] {
        assert_eq!(path(none), None, "{none}");
    }
}
