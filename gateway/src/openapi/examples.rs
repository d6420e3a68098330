//! The examples of requests and responses: one launch, as all pages tell it.

use serde_json::{Value, json};

/// The path of the reservation.
pub(crate) const PATH: &str = "/v1/sales/national-good-car/reservations/kq3vX9bN2mZ7aLr0Ty8wFhUcE5dPs1Jo";
/// When a reservation was taken, and what the server's clock shows.
const HELD_AT: &str = "2026-11-09T12:00:00.042Z";
const SERVER_TIME: &str = "2026-11-09T12:00:00.050Z";

pub(crate) fn time() -> Value {
    json!({"server_time": SERVER_TIME})
}

pub(crate) fn open_api() -> Value {
    json!({"openapi": "3.1.0", "info": {"title": "Launchgate", "version": "0.1.0"}, "paths": {}})
}

pub(crate) fn sale() -> Value {
    json!({
        "id": "national-good-car",
        "name": "National Good Car",
        "phase": "open",
        "opens_at": "2026-11-09T12:00:00.000Z",
        "closes_at": "2026-11-11T16:00:00.000Z",
        "hold_seconds": 900.0,
        "grace_seconds": 60.0,
        "per_buyer": 1,
        "attempts": 5,
        "currency": "CNY",
        "deposit": 99_900,
        "clock": "running",
        "poll_after_ms": 2_000,
        "sells": "first-come",
        "signup": {
            "opens_at": "2026-10-14T02:00:00.000Z",
            "closes_at": "2026-11-09T11:00:00.000Z",
            "required": false,
            "count": 150_000,
        },
        "standby": true,
        "models": [
            {"id": "air-400-white", "name": "Air 400, white", "price": 4_999_900, "availability": "in_stock"},
        ],
        "packages": [
            {"id": "cover", "name": "Custom car cover", "price": 29_900, "availability": "low", "models": ["air-400-white"]},
        ],
        "server_time": SERVER_TIME,
    })
}

pub(crate) fn sales() -> Value {
    let sale = json!({
        "id": "national-good-car",
        "name": "National Good Car",
        "phase": "open",
        "opens_at": "2026-11-09T12:00:00.000Z",
        "closes_at": "2026-11-11T16:00:00.000Z",
    });
    json!({"sales": [sale]})
}

pub(crate) fn cities() -> Value {
    json!({"cities": [{"province": "Guangdong", "city": "Guangzhou", "stores": 41, "availability": "in_stock"}]})
}

pub(crate) fn store() -> Value {
    json!({
        "id": "gz-0001",
        "name": "Guangzhou Tianhe",
        "province": "Guangdong",
        "city": "Guangzhou",
        "address": "1 Tianhe Road",
        "lat": 23.1357,
        "lng": 113.3272,
        "availability": "in_stock",
    })
}

pub(crate) fn stores() -> Value {
    let mut nearest = store();
    nearest["distance_m"] = json!(1_240);
    json!({"stores": [nearest], "next": null})
}

pub(crate) fn signup_request() -> Value {
    json!({"choices": [{"model": "air-400-white", "packages": ["cover"], "store": "gz-0001"}]})
}

pub(crate) fn signup() -> Value {
    json!({
        "number": 812,
        "choices": [{"model": "air-400-white", "packages": ["cover"], "store": null}],
        "signed_up_at": "2026-10-14T02:00:00.417Z",
        "withdraw_until": "2026-11-09T11:00:00.000Z",
    })
}

pub(crate) fn draw() -> Value {
    json!({
        "stage": "drawn",
        "commitment": "1ab6a3f2d24ed8e2f6d9d5b5c8a2f0dd6a8b7f4d3c1b4c7f2d8e9a0b1c2d3e4f",
        "beacon_rule": "the six digits drawn before notary X on 2026-11-09 at 19:30",
        "root": "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        "entrants": 150_000,
        "reveal": "6f6e652073656372657420746861742077617320636f6d6d697474656420746f",
        "beacon": "482913",
        "seed": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    })
}

pub(crate) fn standby_request() -> Value {
    json!({"model": "air-400-white", "packages": ["cover"], "store": "gz-0001"})
}

pub(crate) fn waiting() -> Value {
    json!({"model": "air-400-white", "position": 41, "odds": 0.73, "state": "waiting", "reservation": null})
}

pub(crate) fn tap() -> Value {
    json!({"model": "air-400-white", "packages": ["cover"], "store": "gz-0001", "accept_partial": false})
}

pub(crate) fn held() -> Value {
    json!({
        "id": "kq3vX9bN2mZ7aLr0Ty8wFhUcE5dPs1Jo",
        "sale": "national-good-car",
        "number": 17,
        "version": 1,
        "state": "held",
        "model": "air-400-white",
        "packages": ["cover"],
        "store": "gz-0001",
        "unavailable": [],
        "price": {
            "currency": "CNY",
            "total": 5_029_800,
            "deposit": 99_900,
            "balance": 4_929_900,
            "lines": [
                {"item": "model:air-400-white", "amount": 4_999_900},
                {"item": "package:cover", "amount": 29_900},
            ],
        },
        "held_at": HELD_AT,
        "expires_at": "2026-11-09T12:15:00.042Z",
        "server_time": SERVER_TIME,
    })
}

/// The reservation later: in this state, with this version.
pub(crate) fn later(state: &str, version: u64) -> Value {
    let mut reservation = held();
    reservation["state"] = state.into();
    reservation["version"] = version.into();
    if state != "held" {
        reservation["expires_at"] = Value::Null;
    }
    reservation
}

pub(crate) fn own() -> Value {
    json!({"reservations": [held()], "server_time": SERVER_TIME})
}

pub(crate) fn amend() -> Value {
    json!({"store": "sh-0001", "version": 1})
}

pub(crate) fn confirm() -> Value {
    json!({"payment": "pay-20261109-000017", "version": 1})
}

pub(crate) fn limits_request() -> Value {
    json!({"buyer": "10:50", "reason": "a broken client polls too often"})
}

pub(crate) fn limits() -> Value {
    json!({
        "revision": 3,
        "gateways": 4,
        "policies": [{"policy": "buyer", "unit": "units", "scope": "of each buyer at each gateway", "configured": "20:100",
            "set": "10:50", "in_force": "10:50"}],
        "changed": {"at": SERVER_TIME, "who": "alice", "reason": "a broken client polls too often"},
    })
}

pub(crate) fn limits_log() -> Value {
    let change = json!({"policy": "buyer", "was": null, "set": "10:50"});
    json!({"entries": [{"revision": 3, "at": SERVER_TIME, "who": "alice", "reason": null, "changes": [change]}]})
}

pub(crate) fn fleet() -> Value {
    let report = json!({
        "listen": "10.0.0.4:8080",
        "version": "0.1.0",
        "durability": "fsync",
        "workers": 4,
        "token_keys": "jwks",
        "beats": 512,
        "uptime_ms": 512_000,
        "ready": true,
        "reasons": [],
        "draining": false,
        "alarms": [],
        "since_start": {"taps": {"won": 3_000}, "winners": [3_000], "losers": [0]},
        "answers": {"reserve won": 12},
        "winners": [12],
        "losers": [0],
        "others": [0],
    });
    json!({"gateways": {"01jcavn3w5y8": report}})
}

pub(crate) fn sale_state(action: &str) -> Value {
    let phase = match action {
        "pause" => "paused",
        "close" => "closed",
        _ => "open",
    };
    let mut state = json!({
        "sale": "national-good-car",
        "name": "National Good Car",
        "revision": 1,
        "sequence": 4_711,
        "state": phase,
        "phase": phase,
        "rehearsal": false,
        "sells": "first-come",
        "opens_at": "2026-11-09T12:00:00.000Z",
        "closes_at": "2026-11-11T16:00:00.000Z",
        "server_time": SERVER_TIME,
        "paused": action == "pause",
        "frozen": action == "freeze",
        "closed": action == "close",
        "suspended": action == "suspendStandby",
        "reservations": counts(),
    });
    if matches!(action, "pause" | "freeze" | "close") {
        state[action] = json!({"by": "maja", "reason": "the payment provider is down", "at": SERVER_TIME});
    }
    state
}

fn counts() -> Value {
    json!({"held": 40, "confirmed": 2_948, "cancelled": 7, "expired": 90})
}

pub(crate) fn sale_states() -> Value {
    json!({"sales": [sale_state("")], "unreadable": []})
}

pub(crate) fn sale_detail() -> Value {
    let mut detail = sale_state("");
    detail["items"] = json!([{"item": "model:air-400-white", "total": 3_000, "free": 12}]);
    detail["definition"] = definition();
    detail
}

pub(crate) fn definition() -> Value {
    json!({
        "sale": {
            "id": "national-good-car",
            "name": "National Good Car",
            "opens_at": "2026-11-09T20:00:00+08:00",
            "closes_at": "2026-11-12T00:00:00+08:00",
            "hold": "15m",
            "grace": "60s",
            "per_buyer": 1,
            "attempts": 5,
            "currency": "CNY",
            "deposit": 99_900,
            "rehearsal": false,
        },
        "model": [{"id": "air-400-white", "name": "Air 400, white", "price": 4_999_900, "stock": 3_000}],
        "package": [
            {"id": "cover", "name": "Custom car cover", "price": 29_900, "stock": 5_000, "models": ["air-400-white"]},
        ],
        "stores": [{"id": "gz-0001", "name": "Guangzhou Tianhe", "city": "Guangzhou", "capacity": 200}],
    })
}

pub(crate) fn applied() -> Value {
    json!({"sale": "national-good-car", "revision": 2, "outcome": "updated"})
}

pub(crate) fn restock_request() -> Value {
    json!({"item": "model:air-400-white", "total": 3_500, "was": 3_000, "reason": "500 more from the factory"})
}

pub(crate) fn restocked() -> Value {
    json!({"item": "model:air-400-white", "total": 3_500, "free": 512})
}

pub(crate) fn action_request() -> Value {
    json!({"reason": "the payment provider is down"})
}

pub(crate) fn buyer() -> Value {
    json!({
        "sale": "national-good-car",
        "buyer": "alice",
        "sequence": 4_711,
        "reservations": [held()],
        "signup": signup(),
        "journal": [journal()],
    })
}

/// A line of the journal.
pub(crate) fn journal() -> Value {
    let mut line = held();
    line["reservation"] = line["id"].take();
    for (name, value) in [
        ("cursor", json!("3-0/2~AAECAwQFBgcICQoLDA0ODw")),
        ("id", json!("3-0")),
        ("change", json!(2)),
        ("changes", json!(2)),
        ("kind", json!("reserve")),
        ("at", json!(HELD_AT)),
        ("buyer", json!("alice")),
        ("payment", Value::Null),
    ] {
        line[name] = value;
    }
    if let Value::Object(members) = &mut line {
        members.remove("server_time");
    }
    line
}

pub(crate) fn audit() -> Value {
    let item = json!({
        "item": "model:air-400-white", "total": 3_000, "free": 12, "held": 40, "confirmed": 2_948, "drift": 0,
    });
    json!({
        "sale": "national-good-car",
        "sequence": 4_711,
        "verdict": "balanced",
        "items": [item],
        "reservations": counts(),
        "signed_up": 150_000,
        "problems": [],
    })
}

pub(crate) fn lease_request() -> Value {
    json!({"reader": "orders", "holder": "host-1:4711:3f9a", "ttl_ms": 15_000, "state": {"lag_ms": 40, "parked": 0}})
}

pub(crate) fn lease() -> Value {
    json!({
        "reader": "orders",
        "holder": "host-1:4711:3f9a",
        "fence": 1_764_460_800_000_001_u64,
        "expires_at": "2026-11-09T12:00:15.000Z",
    })
}
