//! Unit tests of `sales.rs`.

use hyper::Request;
use hyper::http::StatusCode;
use serde_json::json;

use super::*;
use crate::api::view::ProductView;
use crate::domain::definition::Meta;
use crate::projection::read_model::Sale;

/// Two models, of which the first has more than a tenth free; three packages.
fn sale() -> Arc<Sale> {
    let definition = json!({
        "sale": {"id": "s", "name": "\"S\" 天河", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2100-01-01T00:00:00Z",
            "hold": "15m", "currency": "CNY", "meta": {"packages": [], "text": "\"models\":[]"}},
        "model": [
            {"id": "a", "name": "\",\"availability\":\"low\"", "price": 1, "stock": 10, "meta": {"深": [1, 2.5, null]}},
            {"id": "b", "name": "B", "price": 2, "stock": 10, "meta": {}},
        ],
        "package": [
            {"id": "c", "name": "C", "price": 3, "models": ["b"], "meta": {"order": 1}},
            {"id": "d", "name": "D", "price": 4, "models": ["a", "b"], "stock": 10},
            {"id": "e", "name": "E", "price": 5},
        ],
        "stores": [{"id": "gz", "name": "One", "city": "Guangzhou", "capacity": 10}],
    });
    Sale::fixture(&definition.to_string(), &[5, 1, -3, 0, 0, 7], (1_800_000_000_000, 0))
}

/// As serde makes it of the view types, up to the value of `server_time`.
fn expected(read_model: &ReadModel, phase: Phase, poll_after_ms: u64) -> String {
    let definition = &read_model.catalogue.definition;
    let product =
        |place, id: &str, name: &str, price, models: Option<&Vec<String>>, meta: &Option<Meta>| ProductView {
            id: id.to_owned(),
            name: name.to_owned(),
            price,
            availability: read_model.availability(place),
            models: models.cloned(),
            meta: meta.clone(),
        };
    let mut sale = view(read_model, phase, poll_after_ms, 0);
    sale.meta = definition.sale.meta.clone();
    let models = definition.models.iter().enumerate();
    sale.models = models.map(|(n, m)| product(n, &m.id, &m.name, m.price, None, &m.meta)).collect();
    let packages = (definition.models.len()..).zip(&definition.packages);
    sale.packages =
        packages.map(|(n, p)| product(n, &p.id, &p.name, p.price, p.models.as_ref(), &p.meta)).collect();
    serde_json::to_string(&sale).unwrap().strip_suffix("\"}").unwrap().to_owned()
}

/// The page up to the value of `server_time`, which is the rest.
fn head(read_model: &Arc<ReadModel>, phase: Phase, poll_after_ms: u64) -> String {
    let page = Page::new("i", read_model.clone(), (phase, poll_after_ms, 0), 0);
    let text = String::from_utf8(page.cached.1.to_vec()).unwrap();
    let (head, time) = text.split_at(page.head);
    assert_eq!(time, "1970-01-01T00:00:00.000Z\"}");
    head.to_owned()
}

#[test]
fn the_page_is_the_same_as_serde_makes_it() {
    let sale = sale();
    let read_model = sale.read_model();
    for (phase, poll_after_ms) in [(Phase::Open, 1_000), (Phase::SoldOut, 5_000)] {
        assert_eq!(head(&read_model, phase, poll_after_ms), expected(&read_model, phase, poll_after_ms));
    }
    let bare = json!({
        "sale": {"id": "s", "name": "S", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2100-01-01T00:00:00Z",
            "hold": "1500ms", "currency": "CNY"},
        "model": [{"id": "m", "name": "M", "price": 1}],
        "stores": [],
    });
    let bare = Sale::fixture(&bare.to_string(), &[0], (0, 0)).read_model();
    assert_eq!(head(&bare, Phase::Open, 1), expected(&bare, Phase::Open, 1));
}

#[test]
fn the_page_is_made_again_only_when_something_shown_changes() {
    let (sale, pages) = (sale(), Pages::default());
    let parts = Request::builder().uri("/v1/sales/s").body(()).unwrap().into_parts().0;
    let read = || {
        let answer = pages.answer(&sale, &parts, 1);
        assert_eq!(answer.status(), StatusCode::OK);
        let page = &pages.by_sale.borrow()[&sale.id];
        assert!(Arc::ptr_eq(&page.of, &sale.read_model()), "it follows the read model");
        (String::from_utf8(page.cached.1[..page.head].to_vec()).unwrap(), page.etag.clone())
    };
    let first = read();
    let change = |change: &dyn Fn(&mut ReadModel)| {
        let mut next = ReadModel::clone(&sale.read_model());
        next.sequence += 1;
        change(&mut next);
        sale.set_read_model(next);
    };
    // Of a model, of a package without a limit, of a store: no level of a product.
    for (place, free) in [(0, 4), (2, -9), (5, 0)] {
        change(&|next| next.set_free(place, free));
        assert_eq!(read(), first);
    }
    change(&|next| next.controls.paused = false);
    assert_eq!(read(), first);
    let changes: [&dyn Fn(&mut ReadModel); 4] = [
        &|next| next.set_free(0, 0),
        &|next| next.controls.frozen = true,
        &|next| next.controls.closes += 1_000,
        &|next| next.controls.paused = true,
    ];
    let mut tags = vec![first.1];
    for by in changes {
        change(by);
        let (_, etag) = read();
        assert!(!tags.contains(&etag));
        tags.push(etag);
    }
}
