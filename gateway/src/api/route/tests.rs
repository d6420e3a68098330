//! Unit tests of `route.rs`.

use super::*;

#[test]
fn paths_are_whole() {
    for (text, calls, name, id) in [
        ("/v1/time", TIME, "", ""),
        ("/v1/sales", SALES, "", ""),
        ("/v1/sales/s", SALE, "s", ""),
        ("/v1/sales/s/cities", CITIES, "s", ""),
        ("/v1/sales/s/stores", STORES, "s", ""),
        ("/v1/sales/s/stores/i", STORE, "s", "i"),
        ("/v1/sales/s/reservations", RESERVATIONS, "s", ""),
        ("/v1/sales/s/reservations/i", RESERVATION, "s", "i"),
        ("/v1/sales/s/reservations/i/confirm", CONFIRM, "s", "i"),
        ("/v1/sales/s/reservations/i/cancel", CANCEL, "s", "i"),
        ("/problems/sold-out", PROBLEM, "sold-out", ""),
        ("/openapi.json", DOCUMENT, "", ""),
    ] {
        assert_eq!(path(text), Some(Path { calls, name, id }));
    }
    for none in [
        "",
        "/",
        "*",
        "/v1",
        "/v1/",
        "/v1/time/x",
        "/v1/sales/s/",
        "/v1/sales/s/cities/x",
        "/v1/sales/s/stores/i/x",
        "/v1/sales/s/reservations/i/confirm/x",
        "/v1/sales/s/reservations/i/x",
        "/v2/time",
        "/problems",
        "/openapi",
        "/openapi.json/",
    ] {
        assert_eq!(path(none), None, "{none}");
    }
}
