//! The searches of stores that are compared with a status read, and the stores that they search: 50,000 of them, the
//! most that a sale can have.

use serde_json::{Value, json};

/// Searches of `wide`: those that find most, least, or last; and what finds nothing.
pub(super) const SEARCHES: [(&str, &str); 15] = [
    ("a page", ""),
    ("the longest page", "limit=500"),
    ("a city", "city=City+7&limit=500"),
    ("a province of all", "province=Province&available=true&limit=500"),
    ("a text of some", "q=store+77&limit=500"),
    ("a text of all", "q=guangzhou+store&limit=500"),
    ("a text of none", "q=stou"),
    (
        "a long text of none",
        "q=7+tianhe+road+7+tianhe+road+7+tianhe+road+7+tianhe+road+7+tianhe+road+7+tianhe+road+7+tianhe+road",
    ),
    ("a text of two characters", "q=77&limit=500"),
    ("all sold out", "city=City+299&available=true&limit=500"),
    ("near, in the crowd", "near=30.05,112.55&limit=500"),
    ("near, in the ocean", "near=-50,-140&limit=500"),
    ("near, far on", "near=30.05,112.55&limit=500&cursor=40000000000000.1"),
    ("near, a text of none", "near=-50,-140&q=stou&limit=500"),
    ("everything", "near=30.05,112.55&q=road+1&province=province&city=city+7&available=true&limit=500"),
];
/// Searches of `crowd` where distances tell least: many stores at one spot, on a circle around a pole, and seen from
/// the other side of the earth. A cursor is the square of a distance (the radius of the earth is 2^30) and a place.
pub(super) const CROWDED: [(&str, &str); 9] = [
    ("near, one spot", "near=10,10&limit=500"),
    ("near, one spot, far on", "near=10,10&limit=500&cursor=0.15000"),
    ("near, a circle", "near=90,0&limit=500"),
    ("near, a circle, far on", "near=90,0&limit=500&cursor=13f680a507646.1"),
    ("near, the other side", "near=-10,-170&limit=500"),
    ("near, the other side, half-way", "near=-10,-170&limit=500&cursor=3fffe340b4d4f800.1"),
    ("near, the other side, at the end", "near=-10,-170&limit=500&cursor=4000000000000000.1"),
    ("near, the other side, none", "near=-10,-170&q=stou&limit=500"),
    ("near, half-way, none", "near=-10,-170&q=stou&limit=500&cursor=3fffe340b4d4f800.1"),
];
const STORES: u32 = 50_000;

/// `wide`: in 300 cities, in a grid over China.
pub(super) fn wide() -> Value {
    sale("wide", 300, |n| (20.0 + f64::from(n / 250) * 0.1, 100.0 + f64::from(n % 250) * 0.1))
}

/// `crowd`: in 1,000 cities; two fifths at one spot, two fifths on the circle, the others in a grid around the spot.
pub(super) fn crowd() -> Value {
    sale("crowd", 1_000, |n| match n {
        0..20_000 => (10.0, 10.0),
        20_000..40_000 => (89.0, f64::from(n - 20_000) * 0.018 - 180.0),
        _ => (9.5 + f64::from(n % 100) * 0.01, 9.5 + f64::from(n / 100 % 100) * 0.01),
    })
}

/// A sale with stores at these places, in so many cities, of which the last is sold out.
fn sale(id: &str, cities: u32, place: impl Fn(u32) -> (f64, f64)) -> Value {
    let stores = (0..STORES).map(|n| {
        let ((lat, lng), city) = (place(n), n % cities);
        json!({
            "id": format!("gz-{n:05}"), "name": format!("Guangzhou store {n}"), "city": format!("City {city}"),
            "capacity": if city == cities - 1 { 0 } else { 100 }, "province": "Province",
            "address": format!("{} Tianhe Road {}", n % 977, n % 13), "lat": lat, "lng": lng,
        })
    });
    json!({
        "sale": {
            "id": id, "name": "National Good Car", "opens_at": "2020-01-01T00:00:00Z",
            "closes_at": "2099-01-01T00:00:00Z", "hold": "15m", "currency": "CNY", "rehearsal": true,
        },
        "model": [{"id": "air-400-white", "name": "Air 400, white", "price": 4_999_900, "stock": 1_000}],
        "stores": stores.collect::<Vec<_>>(),
    })
}
