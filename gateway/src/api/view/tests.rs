//! Unit tests of `view.rs`.

use super::*;

#[test]
fn to_json_equals_serialize() {
    let ids = ["cover".to_owned(), "a.b_c-D9".to_owned()];
    let line = |(item, amount)| PriceLine { item, amount };
    let lines = [("model:air-400-white", u64::MAX), ("package:a.b_c-D9", 0), ("package:cover", 7)];
    let price = |count: usize| {
        let lines = lines.into_iter().take(count).map(line).collect();
        Price { currency: "CNY", total: u64::MAX, deposit: 0, balance: 1, lines }
    };
    for state in [State::Held, State::Confirmed, State::Cancelled, State::Expired] {
        for (packages, store, expires_at) in [
            (&ids[..], Some("gz-0001"), Some("2026-11-09T12:00:00.000Z")),
            (&[], None, None),
            (&ids[..1], None, None),
        ] {
            let view = ReservationView {
                id: "aliceAAAAAAAAAAAAAAAkey-AAAAAAAA",
                sale: "national-good-car",
                number: 17,
                version: 4_294_967_295,
                state,
                model: "air-400-white",
                packages,
                store,
                unavailable: packages,
                price: price(packages.len() + 1),
                held_at: "2026-11-09T12:00:00.000Z".into(),
                expires_at: expires_at.map(str::to_owned),
                server_time: "2026-11-09T12:00:00.001Z".into(),
            };
            let (fast, plain) = (view.to_json(), serde_json::to_vec(&view).unwrap());
            assert_eq!(String::from_utf8_lossy(&fast), String::from_utf8_lossy(&plain));
        }
    }
}
