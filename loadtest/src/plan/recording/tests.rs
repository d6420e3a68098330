//! Unit tests of `recording.rs`.

use serde_json::json;

use super::*;

const LEAD: Duration = Duration::from_secs(60);

fn entry(at: &str, method: &str, path: &str, more: Value) -> Value {
    let mut headers = Vec::new();
    for (member, name) in [("bearer", "Authorization"), ("key", "idempotency-key")] {
        headers.extend(more[member].as_str().map(|value| json!({"name": name, "value": value})));
    }
    let mut request =
        json!({"method": method, "url": format!("https://cars.example{path}"), "headers": headers});
    if more["body"].is_object() {
        request["postData"] = json!({"mimeType": "application/json", "text": more["body"].to_string()});
    }
    let text = more["answer"].to_string();
    json!({
        "startedDateTime": format!("2026-11-30T10:00:{at}+08:00"),
        "time": 12.5,
        "request": request,
        "response": {"status": 200, "content": {"size": text.len(), "mimeType": "application/json", "text": text}},
    })
}

fn har(entries: &[Value]) -> String {
    json!({"log": {"version": "1.2", "creator": {"name": "Firefox", "version": "1"}, "entries": entries}})
        .to_string()
}

fn of(text: &str, lead: Duration) -> Recording {
    let read = if request_log::is_one(text) { request_log::read(text) } else { har::read(text) };
    let mut recording = Recording::of(read.unwrap());
    recording.leave_out_before(lead);
    recording
}

fn tap() -> Value {
    json!({"model": "air", "packages": ["cover"], "store": null})
}

fn reservations() -> &'static str {
    "/v1/sales/car/reservations"
}

#[test]
fn a_har_file_becomes_what_each_buyer_did() {
    let text = har(&[
        entry(
            "05.000",
            "POST",
            reservations(),
            json!({"bearer": "a", "key": "1", "body": tap(), "answer": {"id": "r1"}}),
        ),
        entry("03.500", "GET", "/v1/sales/car", json!({"bearer": "a"})),
        entry(
            "05.100",
            "POST",
            reservations(),
            json!({"bearer": "b", "key": "2", "body": tap(), "answer": {"id": "r2"}}),
        ),
        // A retry, and what the page itself loads.
        entry(
            "05.400",
            "POST",
            reservations(),
            json!({"bearer": "a", "key": "1", "body": tap(), "answer": {"id": "r1"}}),
        ),
        entry("05.450", "GET", "/app/17.js", json!({})),
        entry("06.000", "GET", "/v1/sales/car/stores?city=Wuhan&limit=20", json!({"bearer": "a"})),
        entry(
            "07.000",
            "PATCH",
            "/v1/sales/car/reservations/r1",
            json!({"bearer": "a", "body": {"packages": []}}),
        ),
        // The payment service pays for the second buyer.
        entry(
            "08.000",
            "POST",
            "/v1/sales/car/reservations/r2/confirm",
            json!({"bearer": "service", "body": {"payment": "p"}}),
        ),
        entry("09.000", "POST", "/v1/sales/car/reservations/r1/cancel", json!({"bearer": "a"})),
    ]);
    let recording = of(&text, LEAD);
    let selection = Selection { model: "air".into(), packages: vec!["cover".into()], ..Selection::default() };
    let deed = |at_us, what| Deed { at_us, what };
    let expected = [
        vec![
            deed(-1_500_000, What::Look),
            deed(0, What::Tap(selection.clone())),
            deed(1_000_000, What::Stores("city=Wuhan&limit=20".into())),
            deed(2_000_000, What::Amend(json!({"packages": []}))),
            deed(4_000_000, What::Cancel),
        ],
        vec![deed(100_000, What::Tap(selection)), deed(3_000_000, What::Confirm)],
    ];
    assert_eq!(recording.buyers, expected);
    assert_eq!((recording.starts(), recording.last_us()), (vec![-1_500_000, 100_000], 4_000_000));
    let left_out = recording.left_out().unwrap();
    assert!(left_out.ends_with("GET /app/… 1"), "{left_out}");
}

#[test]
fn what_comes_long_before_the_opening_is_left_out() {
    let text = har(&[
        entry("01.000", "GET", "/v1/sales/car", json!({})),
        entry("08.000", "GET", "/v1/sales/car", json!({})),
        entry("09.000", "POST", reservations(), json!({"key": "1", "body": tap()})),
    ]);
    let recording = of(&text, Duration::from_secs(5));
    // Without a client or a connection, each read is a buyer's of its own.
    assert_eq!(recording.starts(), [-1_000_000, 0]);
    assert!(recording.left_out().unwrap().contains("too long before the opening 1"));
    assert_eq!(of(&text, LEAD).starts(), [-8_000_000, -1_000_000, 0]);
}

#[test]
fn a_change_back_is_none_of_the_retries_and_a_refund_no_cancel() {
    let change = |packages: &str| json!({"bearer": "a", "body": {"packages": [packages]}});
    let reservation = "/v1/sales/car/reservations/r1";
    let cancel = "/v1/sales/car/reservations/r1/cancel";
    let confirm = "/v1/sales/car/reservations/r1/confirm";
    let service = || json!({"bearer": "service", "body": {}});
    let text = har(&[
        entry(
            "01.000",
            "POST",
            reservations(),
            json!({"bearer": "a", "key": "1", "body": tap(), "answer": {"id": "r1"}}),
        ),
        entry("02.000", "PATCH", reservation, change("cover")),
        entry("02.100", "PATCH", reservation, change("cover")),
        entry("03.000", "PATCH", reservation, change("mats")),
        entry("04.000", "PATCH", reservation, change("cover")),
        entry("05.000", "POST", confirm, service()),
        entry("06.000", "POST", cancel, service()),
    ]);
    let recording = of(&text, LEAD);
    let [deeds] = &recording.buyers[..] else { panic!("{recording:?}") };
    let amends = deeds.iter().filter(|deed| matches!(deed.what, What::Amend(_))).count();
    assert_eq!(amends, 3, "a retry is none, the way back is one: {deeds:?}");
    assert_eq!(deeds.last().map(|deed| &deed.what), Some(&What::Refund));
}

#[test]
fn a_request_log_becomes_what_each_buyer_did() {
    let line = |at_us: i64,
                buyer: usize,
                method: &str,
                path: &str,
                key: Option<&str>,
                body: Option<Value>| {
        json!({"at_us": at_us, "buyer": buyer, "scenario": "spike", "name": "reserve", "method": method, "path": path,
            "key": key, "body": body.map(|body| body.to_string()), "status": 201, "took_us": 900})
        .to_string()
    };
    let text = [
        line(250, 7, "POST", reservations(), Some("lt-1-7"), Some(tap())),
        line(1_250, 7, "POST", reservations(), Some("lt-1-7"), Some(tap())),
        line(500, 8, "GET", "/v1/time", None, None),
    ]
    .join("\n");
    let recording = of(&text, LEAD);
    let places: Vec<(i64, usize)> =
        recording.buyers.iter().map(|deeds| (deeds[0].at_us, deeds.len())).collect();
    assert_eq!(places, [(0, 1), (250, 1)], "a retry is none of the recording's");
    assert_eq!(recording.buyers[1][0].what, What::Time);
}

#[test]
fn what_is_no_recording_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recording");
    for (text, words) in [
        ("", "not a HAR file, nor requests.ndjson"),
        ("{\"log\": {\"entries\": []}}", "found no request of the public API"),
        (&har(&[entry("01.000", "GET", "/index.html", json!({}))]), "found no request of the public API"),
        ("{\"at_us\": 1, \"buyer\": 1, \"method\": \"GET\", \"path\": \"/v1/time\"}\nrubbish", "line 2: "),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = Recording::read(&file).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let error = Recording::read(&dir.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("--replay") && error.contains("No such file"), "{error}");
}
