//! Tests what requests have besides their call: header fields, addresses, traces, HTTP/2.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::proxy::{Count, Proxy};
use crate::stage::{Run, Stage, definition};
use crate::together::together;

const LOOKS: [&str; 2] = ["--arrivals", "constant:100/s:2s"];

fn plenty() -> Stage {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    stage
}

fn limited(run: &Run) -> u64 {
    run.verdict()["requests"]["look"]["limited"].as_u64().unwrap()
}

#[test]
fn requests_have_the_transport_that_was_asked_for() {
    together!(
        header_fields_are_in_every_request,
        what_requests_have_themselves_can_t_be_set,
        a_name_is_reached_at_another_address,
        buyers_behind_a_trusted_proxy_are_limited_each,
        every_try_has_a_trace_and_the_gateway_s_id,
        http2_is_spoken_in_tls,
        http2_that_a_gateway_lacks_is_refused_before_the_load,
    );
}

fn header_fields_are_in_every_request() {
    let stage = plenty();
    let (all, with) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let (every, some) = (Arc::clone(&all), Arc::clone(&with));
    let proxy = Proxy::before(&stage.gateways(), move |request, gateway| {
        every.next();
        let headers = &request.headers;
        if headers.get("x-rehearsal") == Some("7: b") && headers.get("user-agent") == Some("app/7") {
            some.next();
        }
        gateway.answer(request)
    });
    let fields = ["--header", "X-Rehearsal: 7: b", "--header", "User-Agent:app/7"];
    stage.run("spike", &proxy.url(), &[&fields[..], &["--buyers", "5"]].concat()).assert_passed();
    let (all, with) = (all.next(), with.next());
    assert!(all > 20 && all == with, "{with} of {all}");
}

fn what_requests_have_themselves_can_t_be_set() {
    let stage = plenty();
    for (option, value, reason) in [
        ("--header", "Authorization: Bearer x", "each buyer's token is in it"),
        ("--header", "X-Forwarded-For: 10.0.0.1", "use --forwarded-for CIDR"),
        ("--header", "nothing", "expected NAME:VALUE"),
        ("--resolve", "gate.test:1", "expected HOST:PORT:ADDR"),
        ("--resolve", "gate.test:1:127.0.0.1", "no --gateway has this name and port"),
        ("--forwarded-for", "10.0.0.0/40", "expected a network"),
        ("--connections", "none", "expected own, cold, or shared:N"),
    ] {
        let run = stage.run("look", &stage.gateways(), &[&LOOKS[..], &[option, value]].concat());
        assert_eq!(run.code, 2, "{option} {value}: {}", run.text);
        assert!(run.text.contains(reason), "{option} {value}: {}", run.text);
    }
}

fn a_name_is_reached_at_another_address() {
    let stage = plenty();
    let port = stage.gateways().rsplit_once(':').unwrap().1.to_owned();
    let (gateway, resolve) = (format!("http://gate.test:{port}"), format!("gate.test:{port}:127.0.0.1"));
    let run = stage.run("look", &gateway, &LOOKS);
    assert_eq!(run.code, 3, "{}", run.text);
    assert!(run.text.contains("look up gate.test"), "{}", run.text);
    stage.run("look", &gateway, &[&LOOKS[..], &["--resolve", &resolve]].concat()).assert_passed();
}

fn buyers_behind_a_trusted_proxy_are_limited_each() {
    // Enough for the checks before the load, and for no load from one address.
    let stage = Stage::set_with(1, &["--trusted-proxies", "127.0.0.1", "--limit-address", "1:60"]);
    stage.apply(&definition(-60, true));
    let run =
        stage.run("look", &stage.gateways(), &[&LOOKS[..], &["--forwarded-for", "198.18.0.0/15"]].concat());
    run.assert_passed();
    assert_eq!((limited(&run), run.answered("look")), (0, 200), "{}", run.text);
    let run =
        stage.run("look", &stage.gateways(), &[&LOOKS[..], &["--forwarded-for", "198.19.0.1"]].concat());
    assert!(limited(&run) > 0, "{}", run.text);
    assert!(run.notes().contains("200 buyers came from 1 addresses"), "{}", run.text);
}

fn every_try_has_a_trace_and_the_gateway_s_id() {
    let stage = plenty();
    let (taps, traces) = (Count::default(), Arc::new(Mutex::new(BTreeMap::new())));
    let seen = Arc::clone(&traces);
    // The first answer to each tap is lost.
    let proxy = Proxy::before(&stage.gateways(), move |request, gateway| {
        let answer = gateway.answer(request);
        let trace = request.headers.get("traceparent").unwrap().to_owned();
        assert_eq!((trace.len(), &trace[..3], &trace[52..]), (55, "00-", "-01"), "{trace}");
        if !request.is_tap() {
            return answer;
        }
        let mut traces = seen.lock().unwrap();
        let of_key: &mut Vec<String> = traces.entry(request.key().to_owned()).or_default();
        of_key.push(trace);
        if of_key.len() == 1 && taps.next() < 4 { None } else { answer }
    });
    let more = ["--buyers", "6", "--set", "buyers.twice=0", "--trace-sampled"];
    let run = stage.run("spike", &proxy.url(), &more);
    run.assert_passed();
    let record: serde_json::Value = serde_json::from_str(&run.report("run-record.json")).unwrap();
    let (mut ids, mut retried) = (BTreeSet::new(), 0);
    for history in record["history"].as_array().unwrap() {
        let sent = &traces.lock().unwrap()[history["key"].as_str().unwrap()];
        let exchanges = history["log"]["exchanges"].as_array().unwrap();
        let taps = exchanges
            .iter()
            .filter(|exchange| exchange["request"].as_str().unwrap().contains("/reservations "));
        let recorded: Vec<&str> = taps.map(|exchange| exchange["trace"].as_str().unwrap()).collect();
        assert_eq!(&recorded, sent);
        let [trace_ids, spans] =
            [3..35, 36..52].map(|part| sent.iter().map(|one| &one[part.clone()]).collect::<BTreeSet<_>>());
        assert_eq!((trace_ids.len(), spans.len()), (1, sent.len()), "{sent:?}");
        retried += usize::from(sent.len() > 1);
        for exchange in exchanges {
            let is_answered = !exchange["answer"].as_str().unwrap().starts_with("none");
            let id = exchange.get("request_id").map(|id| id.as_str().unwrap());
            assert_eq!(id.is_some(), is_answered, "{exchange}");
            assert!(id.is_none_or(|id| id.len() == 16 && ids.insert(id.to_owned())), "{exchange}");
        }
    }
    assert_eq!(retried, 4, "{}", run.text);
}

fn http2_is_spoken_in_tls() {
    let mut stage = Stage::set(0);
    stage.add_gateway_in_tls();
    stage.apply(&definition(-60, true));
    let cert = stage.file("tls-cert");
    let over = ["--http2", "--ca-file", cert.to_str().unwrap()];
    for more in [
        &["--buyers", "20"][..],
        &["--buyers", "20", "--connections", "shared:2"],
        &["--buyers", "5", "--connections", "cold"],
    ] {
        let run = stage.run("spike", &stage.gateways(), &[&over[..], more].concat());
        run.assert_passed();
        assert!(run.outcome("won") > 0, "{}", run.text);
    }
}

fn http2_that_a_gateway_lacks_is_refused_before_the_load() {
    let stage = plenty();
    let run = stage.run("look", &stage.gateways(), &[&LOOKS[..], &["--http2"]].concat());
    assert_eq!(run.code, 3, "{}", run.text);
    assert!(run.text.contains("HTTP/2 by prior knowledge"), "{}", run.text);
}
