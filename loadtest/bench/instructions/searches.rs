//! Compares searches with a status read over 50,000 stores, the most that a sale can have.

use serde_json::json;
use testkit::definition::{apply_file, known, write};
use testkit::gateway::Gateway;
use testkit::redis::Redis;
use testkit::run_folder::RunFolder;
use testkit::{Failed, block_on, print_line};

use crate::generator::{Generator, Requests};
use crate::instructions::CONNECTIONS;
use crate::servers::{gateway, url};

/// What no search may exceed.
pub(super) const STATUS_READS_MAX: f64 = 4.0;
const STORES: u32 = 50_000;
const WARM_UP: usize = 500;
/// Enough for the steps of 10 ms in which a system counts CPU time.
const COUNT: usize = 8_000;
/// The searches that find most, least, or last; and what finds nothing.
const SEARCHES: [(&str, &str); 14] = [
    ("a page", ""),
    ("the longest page", "limit=500"),
    ("a city", "city=City+7&limit=500"),
    ("a province of all", "province=Province&available=true&limit=500"),
    ("a text of some", "q=store+77&limit=500"),
    ("a text of all", "q=guangzhou+store&limit=500"),
    ("a text of none", "q=stou"),
    ("a text of two characters", "q=77&limit=500"),
    ("all sold out", "city=City+299&available=true&limit=500"),
    ("near, in the crowd", "near=30.05,112.55&limit=500"),
    ("near, in the ocean", "near=-50,-140&limit=500"),
    ("near, far on", "near=30.05,112.55&limit=500&cursor=40000000000000.1"),
    ("near, a text of none", "near=-50,-140&q=stou&limit=500"),
    ("everything", "near=30.05,112.55&q=road+1&province=province&city=city+7&available=true&limit=500"),
];

/// Measures every search, by CPU time: long answers are copied by one instruction that callgrind counts for each byte.
/// Those that cost too much, in words.
pub(super) fn measure(folder: &RunFolder, redis: &Redis) -> Result<Vec<String>, Failed> {
    apply(folder, redis)?;
    let gateway = gateway(folder, redis.address(), 1, &[], &[])?;
    block_on(known(&gateway, "wide"));
    let status_read = cost(&gateway, "")?;
    let mut too_long = Vec::new();
    for (name, query) in SEARCHES {
        let ratio = cost(&gateway, &format!("/stores?{query}"))? / status_read;
        print_line(&format!("stores, {name:<25} {ratio:.1} status reads"));
        if ratio > STATUS_READS_MAX {
            too_long.push(format!("{name} ({ratio:.1})"));
        }
    }
    Ok(too_long)
}

/// Seconds of the gateway's CPU for one read of the sale, below its path.
fn cost(gateway: &Gateway, below: &str) -> Result<f64, Failed> {
    let mut requests = Requests::default();
    requests.push(&format!(
        "GET /v1/sales/wide{below} HTTP/1.1\r\nhost: launch.example\r\naccept: application/json\r\n\r\n"
    ));
    let mut generator = Generator::connect(gateway.address(), CONNECTIONS)?;
    generator.run(&requests, 0, WARM_UP, None)?;
    let before = gateway.program.cpu();
    let outcome = generator.run(&requests, WARM_UP, COUNT, None)?;
    let cpu = gateway.program.cpu().saturating_sub(before);
    let statuses = outcome.statuses();
    if statuses.keys().any(|status| *status != 200) {
        return Err(Failed::Wrong(format!("{below}: wrong answers, by status: {statuses:?}")));
    }
    Ok(cpu.as_secs_f64() / COUNT as f64)
}

/// A sale with stores in a grid over China; the last city is sold out.
fn apply(folder: &RunFolder, redis: &Redis) -> Result<(), Failed> {
    let store = |n: u32| {
        let (lat, lng) = (20.0 + f64::from(n / 250) * 0.1, 100.0 + f64::from(n % 250) * 0.1);
        json!({
            "id": format!("gz-{n:05}"), "name": format!("Guangzhou store {n}"), "city": format!("City {}", n % 300),
            "capacity": if n % 300 == 299 { 0 } else { 100 }, "province": "Province",
            "address": format!("{} Tianhe Road {}", n % 977, n % 13), "lat": lat, "lng": lng,
        })
    };
    let definition = json!({
        "sale": {
            "id": "wide", "name": "National Good Car", "opens_at": "2020-01-01T00:00:00Z",
            "closes_at": "2099-01-01T00:00:00Z", "hold": "15m", "currency": "CNY", "rehearsal": true,
        },
        "model": [{"id": "air-400-white", "name": "Air 400, white", "price": 4_999_900, "stock": 1_000}],
        "stores": (0..STORES).map(store).collect::<Vec<_>>(),
    });
    apply_file(&write(&definition, &folder.path(""), "wide")?, &url(redis))
}
