//! Tests whose connection a request uses: a buyer's own, a shared one, or a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::proxy::{Answer, Proxy};
use crate::stage::{Run, Stage, definition};
use crate::together::together;

/// A request of the load, as the proxy saw it.
#[derive(Clone, Debug)]
struct Seen {
    connection: usize,
    /// The buyer's address: the checks before the load have none.
    buyer: String,
    path: String,
}

/// Each buyer shows itself by its address.
const NAMED: [&str; 2] = ["--forwarded-for", "198.18.0.0/15"];
const CROWD: [&str; 2] = ["--set", "crowd={lead=\"3s\",at_opening=100,tail=\"1s\",looks_again=1}"];

/// Runs a scenario, and returns its requests in the order of their arrival.
fn seen(stage: &Stage, scenario: &str, more: &[&str]) -> (Run, Vec<Seen>) {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let log = Arc::clone(&seen);
    let proxy = Proxy::before(&stage.gateways(), move |request, gateway| {
        if let Some(buyer) = request.headers.get("x-forwarded-for") {
            let (buyer, path) = (buyer.to_owned(), request.path.clone());
            log.lock().unwrap().push(Seen { connection: request.connection, buyer, path });
        }
        gateway.answer(request)
    });
    let run = stage.run(
        scenario,
        &proxy.url(),
        &[&NAMED, &["--set", "buyers.think=[\"0s\",\"50ms\"]"], more].concat(),
    );
    let seen = seen.lock().unwrap().clone();
    (run, seen)
}

fn connections(seen: &[Seen]) -> BTreeSet<usize> {
    seen.iter().map(|request| request.connection).collect()
}

fn stage(opens_in_s: i64) -> Stage {
    let stage = Stage::set(1);
    stage.apply(&definition(opens_in_s, true));
    stage
}

#[test]
fn each_request_uses_the_connection_that_was_asked_for() {
    together!(
        a_crowd_has_a_connection_a_buyer_from_the_arrival_on,
        a_spike_has_two_for_buyers_that_tap_twice,
        connections_are_shared_by_as_many_as_asked,
        a_cold_connection_has_one_request,
        a_connection_that_the_server_closed_is_opened_again,
        readers_share_by_themselves,
        more_buyers_than_descriptors_share_or_are_refused,
    );
}

fn a_crowd_has_a_connection_a_buyer_from_the_arrival_on() {
    let stage = stage(8);
    let (run, seen) =
        seen(&stage, "crowd", &[&CROWD[..], &["--buyers", "40", "--set", "buyers.twice=0"]].concat());
    run.assert_passed();
    let mut of_buyer: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    seen.iter().for_each(|request| of_buyer.entry(&request.buyer).or_default().push(request));
    assert_eq!((of_buyer.len(), connections(&seen).len()), (40, 40), "{}", run.text);
    for (buyer, requests) in of_buyer {
        let own: BTreeSet<usize> = requests.iter().map(|request| request.connection).collect();
        assert_eq!(own.len(), 1, "{buyer}: {requests:?}");
        assert!(
            requests[0].path.ends_with("/sales/small"),
            "it is open from the first look on: {requests:?}"
        );
        assert!(requests.iter().any(|request| request.path.ends_with("/reservations")), "{requests:?}");
    }
    assert!(run.text.contains("a connection for each buyer,"), "{}", run.text);
}

fn a_spike_has_two_for_buyers_that_tap_twice() {
    let stage = stage(-60);
    let (run, seen) = seen(&stage, "spike", &["--buyers", "10", "--set", "buyers.twice=100"]);
    run.assert_passed();
    assert_eq!(connections(&seen).len(), 20, "{}", run.text);
}

fn connections_are_shared_by_as_many_as_asked() {
    let stage = stage(-60);
    for asked in ["shared:3", "3"] {
        let (run, seen) = seen(&stage, "spike", &["--buyers", "30", "--connections", asked]);
        run.assert_passed();
        assert!((1..=3).contains(&connections(&seen).len()), "{}", run.text);
        assert!(run.text.contains("at most 3 requests in flight"), "{}", run.text);
    }
}

fn a_cold_connection_has_one_request() {
    let stage = stage(-60);
    let (run, seen) = seen(&stage, "spike", &["--buyers", "10", "--connections", "cold"]);
    run.assert_passed();
    assert!(seen.len() > 30, "{}", run.text);
    assert_eq!(connections(&seen).len(), seen.len(), "{}", run.text);
}

fn a_connection_that_the_server_closed_is_opened_again() {
    let stage = stage(-60);
    let log = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&log);
    // Each connection is closed after one answer, as the answer announces.
    let proxy = Proxy::before(&stage.gateways(), move |request, gateway| {
        seen.lock().unwrap().insert(request.connection);
        let answer = gateway.answer(request)?;
        Some(Answer { headers: answer.headers.with("connection", "close"), ..answer })
    });
    let run = stage.run("spike", &proxy.url(), &["--buyers", "5"]);
    run.assert_passed();
    assert_eq!(run.verdict()["lost"], serde_json::json!({}), "{}", run.text);
    assert!(log.lock().unwrap().len() > 20, "{}", run.text);
}

fn readers_share_by_themselves() {
    let stage = stage(-60);
    let (run, seen) = seen(&stage, "look", &["--arrivals", "constant:50/s:2s"]);
    run.assert_passed();
    assert_eq!(seen.len(), 100, "{}", run.text);
    assert!(connections(&seen).len() < 100, "{}", run.text);
}

fn more_buyers_than_descriptors_share_or_are_refused() {
    let stage = stage(-60);
    // Also a privileged process can't have more than the kernel allows a process.
    let mut under = vec!["prlimit", "--nofile=1000:1000"];
    if rustix::process::geteuid().is_root() {
        under.extend(["setpriv", "--bounding-set=-sys_resource"]);
    }
    let more = ["--buyers", "2000", "--set", "buyers.twice=0"];
    let run = stage.run_under(&under, "spike", &stage.gateways(), &more);
    assert_eq!(run.code, 0, "{}", run.text);
    let words = ["2000 buyers with a connection each need 2200 descriptors", "this process may have 1000"];
    assert!(words.iter().all(|words| run.notes().contains(words)), "{}", run.text);
    assert!(run.notes().contains("all buyers shared 400 connections"), "{}", run.text);
    let own = [&more[..], &["--connections", "own"]].concat();
    let run = stage.run_under(&under, "spike", &stage.gateways(), &own);
    assert_eq!(run.code, 2, "{}", run.text);
    assert!(words.iter().all(|words| run.text.contains(words)), "{}", run.text);
    let shared = [&more[..], &["--connections", "shared:100"]].concat();
    assert_eq!(stage.run_under(&under, "spike", &stage.gateways(), &shared).code, 0);
}
