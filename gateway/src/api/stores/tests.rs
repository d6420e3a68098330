//! Unit tests of `stores.rs`.

use hyper::Request;
use serde_json::json;

use super::*;
use crate::api::view::{CityList, CityView, StorePage, StoreView};
use crate::projection::read_model::Sale;

fn wanted(query: &str) -> Result<StoresWanted, Refused> {
    let request = Request::builder().uri(format!("/v1/sales/s/stores?{query}"));
    StoresWanted::read(&request.body(()).unwrap().into_parts().0)
}

#[test]
fn the_page_is_the_same_as_serde_makes_it() {
    let definition = json!({
        "sale": {"id": "s", "name": "S", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2100-01-01T00:00:00Z",
            "hold": "15m", "currency": "CNY"},
        "model": [{"id": "m", "name": "M", "price": 1}],
        "stores": [
            {"id": "a", "name": "\"A\" \\ 天河", "city": "B", "capacity": 10},
            {"id": "b", "name": "B", "city": "B", "province": "P", "address": "1 \"Road\"", "lat": -0.5, "lng": 113.264_385},
        ],
    });
    let sale = Sale::fixture(&definition.to_string(), &[0, 0, 5], (0, 0));
    let read_model = sale.read_model();
    let found = [(1, Some(17)), (0, None)];
    let page = |next: Option<&str>| {
        let stores = found.iter().map(|(store, distance_m)| {
            let of = &read_model.catalogue.definition.stores[*store];
            StoreView {
                id: &of.id,
                name: &of.name,
                province: of.province.as_deref(),
                city: &of.city,
                address: of.address.as_deref(),
                lat: of.lat,
                lng: of.lng,
                availability: read_model.stores.of(*store),
                distance_m: *distance_m,
            }
        });
        serde_json::to_string(&StorePage { stores: stores.collect(), next: next.map(str::to_owned) }).unwrap()
    };
    for next in [None, Some("gz-1")] {
        assert_eq!(super::page(&read_model, &found, next), page(next));
    }
    assert_eq!(super::page(&read_model, &[], None), r#"{"stores":[],"next":null}"#);
}

#[test]
fn the_cities_are_the_same_as_serde_makes_them() {
    let store = |id: &str, city: &str, province: Option<&str>| json!({"id": id, "name": id, "city": city, "province": province});
    let mut definition = json!({
        "sale": {"id": "s", "name": "S", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2100-01-01T00:00:00Z",
            "hold": "15m", "currency": "CNY"},
        "model": [{"id": "m", "name": "M", "price": 1}],
        "stores": [store("a", "\"B\"", Some("P")), store("b", "C", None), store("c", "C", Some("P")), store("d", "c", None)],
    });
    for store in definition["stores"].as_array_mut().unwrap() {
        store["capacity"] = json!(10);
        store.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    }
    let city = |province, city, stores, availability| CityView { province, city, stores, availability };
    let sale = Sale::fixture(&definition.to_string(), &[0, 5, 0, 1, 0], (0, 0));
    let expected = CityList {
        cities: vec![
            city(Some("P"), "\"B\"", 1, Availability::InStock),
            city(None, "C", 2, Availability::SoldOut),
            city(Some("P"), "C", 1, Availability::Low),
        ],
    };
    assert_eq!(cities(&sale.read_model()), serde_json::to_string(&expected).unwrap());
    definition["stores"] = json!([]);
    let sale = Sale::fixture(&definition.to_string(), &[0], (0, 0));
    assert_eq!(cities(&sale.read_model()), r#"{"cities":[]}"#);
}

#[test]
fn parameters_are_checked() {
    for good in [
        "near=23.1291,113.2644",
        "near=-90,180",
        "near=%2B1e1,-0",
        "near=1,%202",
        "near=",
        "q=",
        "q=a&q2=b",
        &format!("q={}", "x".repeat(100)),
        "city=&province=&limit=500&available=false&cursor=x",
    ] {
        assert!(wanted(good).is_ok(), "{good}");
    }
    for bad in [
        "near=23.1291",
        "near=23.1291,",
        "near=23.1291,113.2644,5",
        "near=90.1,0",
        "near=0,-180.5",
        "near=nan,0",
        "near=inf,0",
        "near=N,E",
        &format!("q={}", "x".repeat(101)),
        &format!("city={}", "%E5%B9%BF".repeat(101)),
        &format!("province={}", "x".repeat(101)),
        "limit=501",
        "near=1,1&near=1,1",
    ] {
        let problem = wanted(bad).err().unwrap();
        assert!(problem.body().contains("invalid-request"), "{bad}: {}", problem.body());
    }
}

#[test]
fn an_empty_parameter_filters_nothing() {
    let read = |query: &str| format!("{:?}", wanted(query).ok().map(|wanted| wanted.query));
    assert_eq!(read("city=&province=&q=&near="), read(""));
    assert_ne!(read("city=x"), read(""));
    assert!(wanted("limit=").is_err() && wanted("available=").is_err());
}
