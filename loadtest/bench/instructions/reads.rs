//! Compares all reads that need no token with a status read: searches, cities, the list of sales, a sale with `meta`.

use std::collections::HashMap;
use std::fs::{read_dir, read_to_string};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::definition::{apply, apply_file, known, with, write};
use testkit::gateway::Gateway;
use testkit::redis::Redis;
use testkit::run_folder::RunFolder;
use testkit::{Failed, Method, block_on, print_line};

use crate::cpus::others_cpus;
use crate::generator::{Generator, Requests};
use crate::instructions::{CONNECTIONS, PATIENCE, searches};
use crate::servers::{gateway, url};

/// What no read may exceed.
pub(super) const STATUS_READS_MAX: f64 = 4.0;
const WARM_UP: usize = 500;
/// The least of some rounds counts: what else runs on the host only adds to a round.
const ROUNDS: usize = 4;
const TRIES: u32 = 15;
/// Before the second try, and longer before each later one: what else runs may end meanwhile.
const PAUSE: Duration = Duration::from_millis(300);
/// Reads of a round.
const COUNT: usize = 3_000;
/// Changes while so many reads are answered, at least: a few dozen new read models.
const CHANGES_MIN: u64 = 50;
/// Sales on the list.
const LISTED: usize = 200;

/// A change that is made and taken back again and again: an item of a sale, and its two totals.
type Toggle = (&'static str, &'static str, [u32; 2]);
/// The only store of its city with slots: the city's level changes each time.
const STORE: Toggle = ("wide", "store:gz-00299", [0, 100]);
/// The same of the sale with a thousand cities.
const CROWDED_STORE: Toggle = ("crowd", "store:gz-00999", [0, 100]);
/// One of many models: its level changes each time.
const MODEL: Toggle = ("rich", "model:m0", [0, 100]);
/// Nothing that a page shows changes.
const UNSEEN: Toggle = ("rich", "package:p0", [100, 101]);
/// The only model of its sale: the phase changes each time.
const PHASE: Toggle = ("listed-0", "model:m0", [0, 100]);

struct Reads<'a> {
    gateway: &'a Gateway,
    /// Makes the changes: its work does not count.
    other: &'a Gateway,
    status_read: f64,
    too_dear: Vec<String>,
}

/// Measures every read, by CPU time of the worker: long answers are copied by one instruction that callgrind counts for
/// each byte. Those that cost too much, in words.
pub(super) fn measure(folder: &RunFolder, redis: &Redis) -> Result<Vec<String>, Failed> {
    for (id, definition) in [("wide", searches::wide()), ("crowd", searches::crowd())] {
        apply_file(&write(&definition, &folder.path(""), id)?, &url(redis))?;
    }
    let gateway_of = |wrapper: &[&str]| gateway(folder, redis.address(), 1, wrapper, &PATIENCE);
    let cpus = others_cpus(1);
    let (gateway, other) = (gateway_of(&[])?, gateway_of(&["taskset", "-c", &cpus])?);
    define(&other, &rich())?;
    ["wide", "crowd", "rich"].into_iter().for_each(|sale| block_on(known(&gateway, sale)));
    let status_read = cost(&gateway, "/wide")?;
    let mut reads = Reads { gateway: &gateway, other: &other, status_read, too_dear: Vec::new() };
    for (name, query) in searches::SEARCHES {
        reads.compare(&format!("stores, {name}"), &format!("/wide/stores?{query}"), None)?;
    }
    for (name, query) in searches::CROWDED {
        reads.compare(&format!("stores, {name}"), &format!("/crowd/stores?{query}"), None)?;
    }
    for (name, path, change) in [
        ("one store", "/wide/stores/gz-00299", None),
        ("cities", "/wide/cities", None),
        ("cities, at every change", "/wide/cities", Some(STORE)),
        ("cities, a thousand", "/crowd/cities", None),
        ("cities, a thousand, at every change", "/crowd/cities", Some(CROWDED_STORE)),
        ("the sale with meta", "/rich", None),
        ("the sale with meta, at every change", "/rich", Some(MODEL)),
        ("the sale with meta, at changes unseen", "/rich", Some(UNSEEN)),
    ] {
        reads.compare(name, path, change)?;
    }
    for n in 0..LISTED {
        define(&other, &with(small(), "/sale/id", json!(format!("listed-{n}"))))?;
    }
    block_on(known(&gateway, &format!("listed-{}", LISTED - 1)));
    reads.compare("the list of sales", "", None)?;
    reads.compare("the list of sales, at every change", "", Some(PHASE))?;
    Ok(reads.too_dear)
}

impl Reads<'_> {
    /// Compares one read, also while a sale changes.
    fn compare(&mut self, name: &str, path: &str, change: Option<Toggle>) -> Result<(), Failed> {
        let mut ratio = f64::INFINITY;
        for n in 0..TRIES {
            // What else runs on the host makes everything dearer: a ratio that is too high is measured again, with a
            // status read just before it.
            if n > 0 {
                std::thread::sleep(PAUSE * n);
                self.status_read = cost(self.gateway, "/wide")?;
            }
            let cost = match change {
                None => cost(self.gateway, path)?,
                Some(change) => self.cost_during(path, change)?,
            };
            ratio = ratio.min(cost / self.status_read);
            if ratio <= STATUS_READS_MAX {
                break;
            }
        }
        print_line(&format!("{name:<40} {ratio:.1} status reads"));
        if ratio > STATUS_READS_MAX {
            self.too_dear.push(format!("{name} ({ratio:.1})"));
        }
        Ok(())
    }

    /// The least cost until there were enough changes, which takes longer on a busy host.
    fn cost_during(&self, path: &str, change: Toggle) -> Result<f64, Failed> {
        let (is_over, changes) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let maker = scope.spawn(|| keep_changing(self.other, change, &changes, &is_over));
            let mut least = Ok(f64::INFINITY);
            while changes.load(Ordering::Relaxed) < CHANGES_MIN && !maker.is_finished() {
                match (least, cost(self.gateway, path)) {
                    (Ok(before), Ok(cost)) => least = Ok(cost.min(before)),
                    (_, failed) => {
                        least = failed;
                        break;
                    }
                }
            }
            is_over.store(true, Ordering::Relaxed);
            let made = maker.join().map_err(|_| Failed::Outside("the changes have failed".into()));
            made.flatten().and(least)
        })
    }
}

/// Makes a change and takes it back until it is over; afterwards all is as before.
fn keep_changing(
    other: &Gateway,
    (sale, item, [first, second]): Toggle,
    changes: &AtomicU64,
    is_over: &AtomicBool,
) -> Result<(), Failed> {
    let path = format!("/admin/v1/sales/{sale}/restock");
    while !is_over.load(Ordering::Relaxed) {
        for (was, total) in [(first, second), (second, first)] {
            let body = json!({"item": item, "total": total, "was": was});
            let reply = block_on(other.ops(Method::POST, &path, &body));
            if reply.status != 200 {
                return Err(Failed::Wrong(format!("restock of {item}: {}", reply.text)));
            }
            changes.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Nanoseconds of the worker for one read below the list of sales.
fn cost(gateway: &Gateway, path: &str) -> Result<f64, Failed> {
    let mut requests = Requests::default();
    requests.push(&format!(
        "GET /v1/sales{path} HTTP/1.1\r\nhost: launch.example\r\naccept: application/json\r\n\r\n"
    ));
    let mut generator = Generator::connect(gateway.address(), CONNECTIONS)?;
    generator.run(&requests, 0, WARM_UP, None)?;
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let before = threads(gateway)?;
        let outcome = generator.run(&requests, 0, COUNT, None)?;
        let statuses = outcome.statuses();
        if statuses.keys().any(|status| *status != 200) {
            return Err(Failed::Wrong(format!("{path}: wrong answers, by status: {statuses:?}")));
        }
        let did = threads(gateway)?.into_iter();
        let did = did.map(|(thread, ns)| ns - before.get(&thread).copied().unwrap_or_default());
        // The worker is the thread that did most.
        least = least.min(did.max().unwrap_or_default() as f64 / COUNT as f64);
    }
    Ok(least)
}

/// The CPU time of each thread in nanoseconds: a system counts that of a process in steps of 10 ms only.
fn threads(gateway: &Gateway) -> Result<HashMap<String, u64>, Failed> {
    let folder = format!("/proc/{}/task", gateway.pid());
    let tasks = read_dir(&folder).map_err(Failed::to("list the gateway's threads"))?;
    let times = tasks.filter_map(|task| {
        let thread = task.ok()?.file_name().into_string().ok()?;
        let text = read_to_string(format!("{folder}/{thread}/schedstat")).ok()?;
        Some((thread, text.split(' ').next()?.parse().ok()?))
    });
    Ok(times.collect())
}

fn define(gateway: &Gateway, definition: &Value) -> Result<(), Failed> {
    match block_on(apply(gateway, definition)) {
        reply if reply.status == 200 => Ok(()),
        reply => Err(Failed::Outside(format!("a sale can't be defined: {}", reply.text))),
    }
}

/// A sale on the list.
fn small() -> Value {
    json!({
        "sale": {
            "id": "", "name": "National Good Car", "opens_at": "2020-01-01T00:00:00Z",
            "closes_at": "2099-01-01T00:00:00Z", "hold": "15m", "currency": "CNY", "rehearsal": true,
        },
        "model": [{"id": "m0", "name": "Air 400, white", "price": 4_999_900, "stock": 0}],
        "package": [],
        "stores": [],
    })
}

/// A sale whose page has 124 KB: as much `meta` as it may have, of the sale and of 30 models and packages.
fn rich() -> Value {
    let meta = || json!({"text": "x".repeat(4_000), "tags": ["new", 1, 2.5, null]});
    let product = |kind: &str, n: usize| json!({"id": format!("{kind}{n}"), "name": format!("Product {n}"), "price": 100, "stock": 100, "meta": meta()});
    let mut sale = with(small(), "/sale/id", json!("rich"));
    sale["sale"]["meta"] = meta();
    sale["model"] = (0..10).map(|n| product("m", n)).collect();
    sale["model"][0]["stock"] = json!(0);
    sale["package"] = (0..20).map(|n| product("p", n)).collect();
    sale
}
