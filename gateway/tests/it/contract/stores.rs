//! Tests the search of stores, one store, and the cities: filters, distances, pages, tags, compression, many stores.

use std::io::Read;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{refused, settled};
use testkit::definition::{open, small, with};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply, send};
use testkit::redis::Redis;

const STORES: &str = "/v1/sales/small/stores";
const CITIES: &str = "/v1/sales/small/cities";

/// Six stores: three in Guangzhou, one in Shenzhen, one in Shanghai, one without anything.
fn located() -> Value {
    let store = |id: &str, name: &str, city: &str, province: &str, address: &str, (lat, lng): (f64, f64)| {
        json!({"id": id, "name": name, "city": city, "province": province, "address": address, "lat": lat, "lng": lng,
            "capacity": 1})
    };
    let stores = json!([
        store("gz-1", "Tianhe store", "Guangzhou", "Guangdong", "228 Tianhe Road", (23.1327, 113.3261)),
        store("gz-2", "Yuexiu store", "Guangzhou", "Guangdong", "1 Beijing Road", (23.1254, 113.2704)),
        store("gz-3", "Münchner Straße", "GUANGZHOU", "guangdong", "天河区 7", (23.1391, 113.3344)),
        store("sz-1", "Nanshan store", "Shenzhen", "Guangdong", "9 Keyuan Road", (22.5333, 113.9304)),
        store("sh-1", "Bund store", "Shanghai", "Shanghai", "1 Zhongshan Road", (31.2397, 121.4903)),
        json!({"id": "x-1", "name": "Somewhere", "city": "Shanghai"}),
    ]);
    with(small(), "/stores", stores)
}

fn ids(reply: &Reply) -> Vec<&str> {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let stores = reply.json["stores"].as_array().unwrap();
    stores.iter().map(|store| store["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn stores_are_found_by_place_text_and_distance() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &located()).await;
    let taken = gateway.reserve("a", "k", &json!({"model": "white", "store": "gz-3"})).await;
    assert_eq!(taken.status, 201, "{}", taken.text);
    settled(&gateway).await;
    let page = async |query: &str| gateway.get(&format!("{STORES}?{query}")).await;
    let first = page("").await;
    assert_eq!(
        first.json["stores"][2],
        json!({"id": "gz-3", "name": "Münchner Straße", "province": "guangdong", "city": "GUANGZHOU",
            "address": "天河区 7", "lat": 23.1391, "lng": 113.3344, "availability": "sold_out"})
    );
    assert_eq!(first.json["stores"][5]["lat"], Value::Null);
    assert_eq!(first.json["next"], Value::Null);
    for (query, expected) in [
        ("city=guangzhou", &["gz-1", "gz-2", "gz-3"][..]),
        ("province=GUANGDONG", &["gz-1", "gz-2", "gz-3", "sz-1"]),
        ("province=guangdong&city=shenzhen", &["sz-1"]),
        ("province=shanghai", &["sh-1"]),
        ("province=shanghai&city=guangzhou", &[]),
        ("q=road", &["gz-1", "gz-2", "sz-1", "sh-1"]),
        ("q=Beijing+ROAD", &["gz-2"]),
        ("q=M%C3%9CNCHNER", &["gz-3"]),
        ("q=mu%CC%88nchner%C2%A0stra", &["gz-3"]),
        ("q=%E5%A4%A9%E6%B2%B3", &["gz-3"]),
        ("q=%E6%B2%B3", &["gz-3"]),
        ("q=store+228", &[]),
        ("q=e", &["gz-1", "gz-2", "gz-3", "sz-1", "sh-1", "x-1"]),
        ("q=", &["gz-1", "gz-2", "gz-3", "sz-1", "sh-1", "x-1"]),
        ("q=%20", &["gz-1", "gz-2", "gz-3", "sz-1", "sh-1", "x-1"]),
        ("q=road&city=guangzhou&available=true", &["gz-1", "gz-2"]),
        ("available=true&city=Guangzhou", &["gz-1", "gz-2"]),
        ("near=23.139,113.334", &["gz-3", "gz-1", "gz-2", "sz-1", "sh-1"]),
        ("near=31,121&q=road", &["sh-1", "gz-1", "gz-2", "sz-1"]),
        ("near=-33.4,-70.6&province=guangdong&available=true", &["gz-1", "gz-2", "sz-1"]),
    ] {
        let reply = page(query).await;
        let mut found = ids(&reply);
        if query.starts_with("near=-33.4") {
            found.sort_unstable();
        }
        assert_eq!(found, expected, "{query}");
        // The same in pages of one.
        let (mut one_by_one, mut cursor) = (Vec::new(), String::new());
        loop {
            let reply = page(&format!("{query}&limit=1{cursor}")).await;
            one_by_one.extend(ids(&reply).into_iter().map(str::to_owned));
            let Some(next) = reply.json["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(one_by_one, ids(&reply), "{query}");
    }
    // 845 m from one to the other, and 1.2 Mm to Shanghai.
    let near = page("near=23.1391,113.3344&limit=2").await;
    assert_eq!(near.json["stores"][0]["distance_m"], 0, "{}", near.text);
    let metres = near.json["stores"][1]["distance_m"].as_u64().unwrap();
    assert!((1_090..1_120).contains(&metres), "{metres}");
    let far = page("near=23.1391,113.3344&province=shanghai").await.json["stores"][0]["distance_m"]
        .as_u64()
        .unwrap();
    assert!((1_200_000..1_216_000).contains(&far), "{far}");
    assert!(first.json["stores"][0].get("distance_m").is_none());
    for bad in [
        "near=23",
        "near=91,0",
        "near=a,b",
        "near=1,1&cursor=gz-1",
        "cursor=1f.2",
        "q=a&q=b",
        "near=1,1&cursor=1f",
    ] {
        refused(&page(bad).await, 400, "invalid-request", &[]);
    }
    let long = format!("q={}", "x".repeat(101));
    refused(&page(&long).await, 400, "invalid-request", &[]);
}

#[tokio::test]
async fn one_store_is_the_same_as_on_the_list() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &located()).await;
    let list = gateway.get(STORES).await;
    for store in list.json["stores"].as_array().unwrap() {
        let one = gateway.get(&format!("{STORES}/{}", store["id"].as_str().unwrap())).await;
        assert_eq!((one.status, &one.json), (200, store));
        assert_eq!(one.header("cache-control"), "public, max-age=1");
    }
    let path = format!("{STORES}/gz-1");
    let tag = gateway.get(&path).await.header("etag").to_owned();
    let ask = async || send(gateway.request(Method::GET, &path).header("if-none-match", &tag)).await.status;
    assert_eq!(ask().await, 304);
    let taken = gateway.reserve("a", "k", &json!({"model": "white", "store": "gz-1"})).await;
    assert_eq!(taken.status, 201, "{}", taken.text);
    settled(&gateway).await;
    assert_eq!(ask().await, 200);
    for none in ["gz-9", "GZ-1", "%20", "gz-1%20", "-", ""] {
        refused(&gateway.get(&format!("{STORES}/{none}")).await, 404, "store-not-found", &[]);
    }
    refused(&gateway.get("/v1/sales/none/stores/gz-1").await, 404, "sale-not-found", &[]);
}

#[tokio::test]
async fn cities_have_their_stores_and_the_best_availability() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &located()).await;
    let cities = async || gateway.get(CITIES).await;
    let city = |province: Value, city: &str, stores: usize, availability: &str| json!({"province": province, "city": city, "stores": stores, "availability": availability});
    let first = cities().await;
    assert_eq!(first.header("cache-control"), "public, max-age=1");
    assert_eq!(
        first.json,
        json!({"cities": [
            city(json!("Guangdong"), "Guangzhou", 3, "in_stock"),
            city(json!("Guangdong"), "Shenzhen", 1, "in_stock"),
            city(json!("Shanghai"), "Shanghai", 1, "in_stock"),
            city(json!(null), "Shanghai", 1, "in_stock"),
        ]})
    );
    let tag = first.header("etag").to_owned();
    let ask =
        async |method: Method| send(gateway.request(method, CITIES).header("if-none-match", &tag)).await;
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(ask(method).await.status, 304);
    }
    // One of three stores is full, then the only one.
    for (buyer, store) in [("a", "gz-1"), ("b", "sz-1")] {
        let reply = gateway.reserve(buyer, "k", &json!({"model": "white", "store": store})).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
    }
    settled(&gateway).await;
    let changed = ask(Method::GET).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.json["cities"][0], city(json!("Guangdong"), "Guangzhou", 3, "in_stock"));
    assert_eq!(changed.json["cities"][1], city(json!("Guangdong"), "Shenzhen", 1, "sold_out"));
    refused(&gateway.get("/v1/sales/none/cities").await, 404, "sale-not-found", &[]);
    open(&gateway, &with(with(small(), "/sale/id", json!("bare")), "/stores", json!([]))).await;
    assert_eq!(gateway.get("/v1/sales/bare/cities").await.json, json!({"cities": []}));
}

#[tokio::test]
async fn a_page_has_a_tag_that_changes_with_what_it_shows() {
    let redis = Redis::start();
    let (one, two) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    open(&one, &located()).await;
    testkit::definition::known(&two, "small").await;
    let ask = async |gateway: &Gateway, query: &str, tag: &str| {
        send(gateway.request(Method::GET, &format!("{STORES}?{query}")).header("if-none-match", tag)).await
    };
    let (near, shenzhen) = ("near=23.1,113.3&limit=2", "city=shenzhen");
    let tag = ask(&one, near, "").await.header("etag").to_owned();
    let other = ask(&one, shenzhen, "").await.header("etag").to_owned();
    assert!(tag.starts_with("W/\"") && tag != other, "{tag} {other}");
    for gateway in [&one, &two] {
        assert_eq!(ask(gateway, near, &tag).await.status, 304);
        assert_eq!(ask(gateway, near, tag.trim_start_matches("W/")).await.status, 304);
    }
    let taken = one.reserve("a", "k", &json!({"model": "white", "store": "gz-2"})).await;
    assert_eq!(taken.status, 201, "{}", taken.text);
    settled(&one).await;
    let changed = ask(&one, near, &tag).await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.header("etag"), tag);
    // Pages without that store stay as they are, until the definition changes.
    assert_eq!(ask(&one, shenzhen, &other).await.status, 304);
    open(&one, &with(located(), "/stores/3/name", json!("Nanshan"))).await;
    eventually("the new name shows", || async {
        (ask(&one, shenzhen, &other).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn pages_are_compressed_for_who_accepts_it() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let stores: Vec<Value> = (0..60)
        .map(|n| json!({"id": format!("s{n:03}"), "name": format!("Store {n}"), "city": format!("City {n}"), "capacity": 1}))
        .collect();
    open(&gateway, &with(small(), "/stores", json!(stores))).await;
    let client = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
    let get = async |path: &str, accepts: &str| {
        let request = client.get(format!("{}{path}", gateway.url)).header("accept-encoding", accepts);
        let response = request.send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        let headers = ["content-encoding", "vary", "etag"].map(header);
        (headers, response.bytes().await.unwrap())
    };
    for path in [STORES, CITIES] {
        let ([none, vary, tag], plain) = get(path, "identity").await;
        assert_eq!((none, vary.as_deref()), (None, Some("Accept-Encoding")), "{path}");
        // Made, then kept.
        for _ in 0..2 {
            let ([coding, vary, same], bytes) = get(path, "br, gzip;q=0.8").await;
            assert_eq!(
                (coding.as_deref(), vary.as_deref()),
                (Some("gzip"), Some("Accept-Encoding")),
                "{path}"
            );
            assert_eq!(same, tag);
            assert!(bytes.len() * 3 < plain.len(), "{} of {}", bytes.len(), plain.len());
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
            assert_eq!(text, plain);
        }
        let ([refused, ..], _) = get(path, "gzip;q=0").await;
        assert_eq!(refused, None);
    }
    let ([short, ..], _) = get(&format!("{STORES}?limit=1"), "gzip").await;
    assert_eq!(short, None);
}

/// Long enough to be indexed in another thread, where other sales go on.
#[tokio::test]
async fn a_new_definition_of_many_stores_is_followed_beside_other_sales() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let wide = |name: &str| {
        let store = |n: usize| {
            json!({"id": format!("s{n}"), "name": format!("{name} {n}"), "city": format!("City {}", n % 50),
                "address": "x".repeat(100), "capacity": 10})
        };
        let stores = (0..4_000).map(store).collect::<Vec<_>>();
        with(with(small(), "/sale/id", json!("wide")), "/stores", json!(stores))
    };
    open(&gateway, &wide("Old")).await;
    // A gateway that starts reads it whole before it is ready.
    let other = Gateway::start(&redis).await;
    assert_eq!(other.get("/v1/sales/wide/stores/s7").await.json["name"], "Old 7");
    let tap = async |sale: &str, n: usize, store: &str| {
        let body = json!({"model": "white", "store": store});
        let reply = send(gateway.tap_at(sale, &format!("buyer-{n}"), "k", &body)).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
    };
    let taps = async {
        for n in 0..10 {
            tap("small", n, "gz-1").await;
            tap("wide", n, "s7").await;
        }
    };
    let new = wide("New");
    let (applied, ()) = tokio::join!(testkit::definition::apply(&gateway, &new), taps);
    assert_eq!(applied.json["outcome"], "updated", "{}", applied.text);
    // Once it is answered, the same gateway serves it; the other follows.
    assert_eq!(gateway.get("/v1/sales/wide/stores/s7").await.json["name"], "New 7");
    settled(&gateway).await;
    for gateway in [&gateway, &other] {
        eventually("all is followed", || async {
            let store = gateway.get("/v1/sales/wide/stores/s7").await.json;
            (store["name"] == "New 7" && store["availability"] == "sold_out").then_some(())
        })
        .await;
        let cities = gateway.get("/v1/sales/wide/cities").await.json;
        assert_eq!(cities["cities"][7]["availability"], "in_stock");
    }
    let audit = gateway.ops_get("/admin/v1/sales/wide/audit").await;
    assert_eq!(audit.json["verdict"], "balanced", "{}", audit.text);
}
