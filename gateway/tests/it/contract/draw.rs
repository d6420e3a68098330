//! Tests draws: entrants that are fixed, one seed, holds and queues in order of rank, the published file and its verification.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, stream};
use jiff::{Timestamp, ToSpan};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::check::{balanced, refused, settled};
use testkit::cli::{Ended, run};
use testkit::definition::{apply, known, open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Client, Gateway, Reply, send};
use testkit::redis::Redis;

const SIGNUP: &str = "/v1/sales/small/signup";
const STANDBY: &str = "/v1/sales/small/standby";
const REVEAL: &[u8] = b"a reveal of some thirty-two bytes";
/// Their SHA-256, as `sha256sum` prints it.
const COMMITMENT: &str = "ba985c938ff302375999a2fabbffa99529d58c4856b1697861bc00a0cb7eb400";

/// So many seconds from now, to the second.
pub fn from_now(seconds: i64) -> Value {
    json!(Timestamp::from_second(Timestamp::now().as_second() + seconds).unwrap().to_string())
}

/// `small`, which sells by a draw: 3 white and 2 black cars, sign-up opens at once and ends with a test's word.
pub fn drawn() -> Value {
    let mut definition = with(small(), "/model/0/stock", json!(3));
    definition = with(definition, "/model/1/stock", json!(2));
    definition = with(definition, "/package/0/stock", json!(2));
    definition["sale"]["opens_at"] = json!("2099-06-01T00:00:00Z");
    definition["sale"]["sells"] = json!("draw");
    definition["sale"]["standby"] = json!(true);
    definition["signup"] = json!({"opens_at": from_now(2), "closes_at": "2099-01-01T00:00:00Z"});
    definition["draw"] = json!({"commitment": COMMITMENT, "beacon": "six digits of a notary"});
    definition
}

/// The same with sign-up over, a second after it opened.
pub fn over(mut definition: Value) -> Value {
    let opened: Timestamp = definition["signup"]["opens_at"].as_str().unwrap().parse().unwrap();
    definition["signup"]["closes_at"] = json!((opened + 1.seconds()).to_string());
    definition
}

pub async fn sign_up(gateway: &Client, sub: &str, choices: &Value) -> Reply {
    let body = json!({"choices": choices});
    let request = || gateway.request(Method::PUT, SIGNUP).bearer_auth(gateway.token(sub)).json(&body);
    eventually("sign-up is open", || async {
        let reply = send(request()).await;
        (reply.problem() != "signup-not-open").then_some(reply)
    })
    .await
}

async fn mine(gateway: &Client, sub: &str) -> Value {
    let reply = gateway.get_as(sub, SIGNUP).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json
}

async fn public(gateway: &Client) -> Value {
    let reply = gateway.get("/v1/sales/small/draw").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json
}

pub async fn stage(gateway: &Client, stage: &str) -> Value {
    eventually(stage, || async {
        let draw = public(gateway).await;
        (draw["stage"] == stage).then_some(draw)
    })
    .await
}

/// A folder with the reveal, and the command line.
pub struct Operator<'a> {
    redis: &'a Redis,
    folder: TempDir,
}

impl<'a> Operator<'a> {
    pub fn new(redis: &'a Redis) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("reveal"), REVEAL).unwrap();
        std::fs::write(folder.path().join("another"), b"another reveal of many bytes").unwrap();
        Self { redis, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn draw(&self, reveal: &str, beacon: &str) -> Ended {
        let reveal = self.path(reveal);
        let args = ["--reveal", reveal.to_str().unwrap(), "--beacon", beacon, "--reason", "the day"];
        run(&[&["draw", "small", "--redis", &self.redis.url()][..], &args].concat())
    }

    fn publish(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let written =
            run(&["draw", "small", "--redis", &self.redis.url(), "--publish", path.to_str().unwrap()]);
        assert_eq!(written.code, 0, "{written:?}");
        path
    }
}

fn verify(path: &Path) -> Ended {
    run(&["draw", "--verify", path.to_str().unwrap()])
}

fn subs(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("buyer {n}")).collect()
}

/// One changed word: the verification names its line.
fn every_change_of_a_file_shows(operator: &Operator<'_>, published: &Path) {
    let path = operator.path("changed");
    let check = |text: &str, code: i32, named: &str| {
        std::fs::write(&path, text).unwrap();
        let ended = verify(&path);
        assert!(ended.code == code && ended.err.contains(named), "{named}: {ended:?}");
    };
    let text = std::fs::read_to_string(published).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for line in [1, 2, 5, 12] {
        let words: Vec<&str> = lines[line].split(' ').collect();
        let others = ["0".repeat(32), "white//gz-2".into(), "13".into(), "pink".into()];
        for (word, other) in others.iter().enumerate() {
            let mut changed = words.clone();
            changed[word] = other;
            let changed = changed.join(" ");
            let mut all = lines.clone();
            all[line] = &changed;
            let named = if word < 2 { "line ".to_owned() } else { format!("line {}:", line + 1) };
            check(&all.join("\n"), 1, &named);
        }
    }
    let head: Value = serde_json::from_str(lines[0]).unwrap();
    for (from, to) in [
        ("\"entrants\":12", "\"entrants\":13"),
        ("482913", "482914"),
        (COMMITMENT, &"1".repeat(64)),
        (&head["seed"].to_string(), "null"),
        (&format!(",\"stock\":{}", head["stock"]), ""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        check(&changed, 1, "line ");
    }
    check(&lines[..12].join("\n"), 1, "12 entrants");
    check("rubbish\n", 2, "not a published file");
}

#[tokio::test]
async fn entrants_are_served_in_an_order_that_anybody_can_repeat() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    refused(&gateway.get("/v1/sales/small/draw").await, 404, "sale-not-found", &[]);
    open(&gateway, &small()).await;
    refused(&gateway.get("/v1/sales/small/draw").await, 404, "not-found", &[]);
    let definition = drawn();
    open(&gateway, &definition).await;
    assert_eq!(redis.run::<String>("HGET lg:{small}:state format"), "4");
    let operator = Operator::new(&redis);
    let announced = public(&gateway).await;
    let expected = json!({"stage": "announced", "commitment": COMMITMENT, "beacon_rule": "six digits of a notary",
        "root": null, "entrants": null, "reveal": null, "beacon": null, "seed": null});
    assert_eq!(announced, expected);
    let page = gateway.get("/v1/sales/small").await.json;
    assert_eq!((&page["sells"], &page["phase"]), (&json!("draw"), &json!("upcoming")));

    // Twelve entrants for five cars: some want white only, some take black, too. One has other choices in the end, one
    // withdraws.
    let buyers = subs(13);
    let wants = |n: usize| match n % 3 {
        0 => json!([{"model": "white", "packages": ["cover"], "store": "gz-1"}]),
        1 => json!([{"model": "white"}, {"model": "black", "packages": ["care"]}]),
        _ => json!([{"model": "black"}, {"model": "white", "packages": ["cover"]}]),
    };
    for (n, sub) in buyers.iter().enumerate() {
        let first = if n == 4 { json!([{"model": "black"}]) } else { wants(n) };
        assert_eq!(sign_up(&gateway, sub, &first).await.status, 201, "{sub}");
    }
    assert_eq!(sign_up(&gateway, &buyers[4], &wants(4)).await.status, 200);
    let gone = send(gateway.request(Method::DELETE, SIGNUP).bearer_auth(gateway.token(&buyers[12]))).await;
    assert_eq!(gone.status, 204);
    let pseudonyms: Vec<Value> = stream::iter(&buyers[..12])
        .then(|sub| async { mine(&gateway, sub).await["pseudonym"].clone() })
        .collect()
        .await;
    let first = mine(&gateway, &buyers[0]).await;
    assert_eq!((first.get("rank"), first.get("reservation")), (None, None));
    assert_eq!(operator.draw("reveal", "482913").code, 1, "the entrants are not fixed");

    // What those rely on who sign up can't change any more; the end of sign-up can.
    let other = with(definition.clone(), "/draw/commitment", json!("0".repeat(64)));
    let locked = apply(&gateway, &other).await;
    assert_eq!(refused(&locked, 409, "definition-locked", &["fields"])["fields"], json!(["draw"]));
    let later = with(definition.clone(), "/signup/opens_at", json!("2098-01-01T00:00:00Z"));
    let locked = apply(&gateway, &later).await;
    assert_eq!(refused(&locked, 409, "definition-locked", &["fields"])["fields"], json!(["signup.opens_at"]));
    let ended = over(definition);
    open(&gateway, &ended).await;
    let fixed = stage(&gateway, "fixed").await;
    assert_eq!(fixed["entrants"], 12);
    let locked =
        apply(&gateway, &with(ended.clone(), "/signup/closes_at", json!("2099-01-01T00:00:00Z"))).await;
    assert_eq!(refused(&locked, 409, "definition-locked", &["fields"])["fields"], json!(["signup"]));
    let before = operator.publish("before");
    let verified = verify(&before);
    assert!(verified.code == 0 && verified.out.contains("nothing was drawn yet"), "{verified:?}");

    // Only what was committed to draws, and once.
    for (reveal, beacon, code, what) in [
        ("another", "482913", 1, "committed to"),
        ("reveal", "48291", 2, "two a byte"),
        ("missing", "482913", 2, "can't read"),
        ("reveal", "482913", 0, "drawn, with the seed"),
        ("reveal", "482913", 0, "drawn before"),
        ("reveal", "482914", 1, "there is no second draw"),
    ] {
        let ended = operator.draw(reveal, beacon);
        assert!(ended.code == code && (ended.out + &ended.err).contains(what), "{reveal} {beacon}: {what}");
    }
    let public = stage(&gateway, "drawn").await;
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!((&public["reveal"], &public["beacon"]), (&json!(hex(REVEAL)), &json!("482913")));
    let shown = run(&["draw", "small", "--redis", &redis.url()]);
    assert!(shown.out.contains(public["seed"].as_str().unwrap()), "{shown:?}");
    eventually("the ranks are known", || async { mine(&gateway, &buyers[0]).await.get("rank").cloned() })
        .await;
    // Before the opening nothing is allocated, and nobody can reserve.
    refused(
        &gateway.reserve(&buyers[0], "k", &white()).await,
        409,
        "sale-not-open",
        &["opens_at", "server_time", "retry_after_ms"],
    );

    let mut opened = ended.clone();
    opened["sale"]["opens_at"] = ended["signup"]["closes_at"].clone();
    open(&gateway, &opened).await;
    stage(&gateway, "allocated").await;
    settled(&gateway).await;
    let published = operator.publish("after");
    let verified = verify(&published);
    assert!(verified.code == 0 && verified.out.contains("5 entrants got a hold at once"), "{verified:?}");

    // Each rank once; in its order a hold of the first choice that is there, then the first choice's queue.
    let mut by_rank = Vec::new();
    for (n, sub) in buyers[..12].iter().enumerate() {
        let signup = mine(&gateway, sub).await;
        assert_eq!(signup["pseudonym"], pseudonyms[n]);
        by_rank.push((signup["rank"].as_u64().unwrap(), n, signup["reservation"].clone()));
    }
    by_rank.sort_by_key(|(rank, ..)| *rank);
    assert!(by_rank.iter().map(|(rank, ..)| *rank).eq(1..=12));
    let mut left = HashMap::from([("white", 3), ("black", 2)]);
    let mut queues: HashMap<String, u64> = HashMap::new();
    let mut number = 0;
    for (_, n, reservation) in &by_rank {
        let choices = wants(*n);
        let choices = choices.as_array().unwrap();
        let model = |choice: &Value| choice["model"].as_str().unwrap().to_owned();
        let given = choices.iter().find(|choice| left[model(choice).as_str()] > 0);
        let Some(given) = given else {
            assert_eq!(*reservation, Value::Null, "{n}");
            let first = model(&choices[0]);
            let position = queues.entry(first.clone()).or_default();
            *position += 1;
            let place = gateway.get_as(&buyers[*n], STANDBY).await.json;
            assert_eq!((&place["model"], &place["position"]), (&json!(first), &json!(*position)), "{place}");
            continue;
        };
        *left.get_mut(model(given).as_str()).unwrap() -= 1;
        number += 1;
        let path = format!("/v1/sales/small/reservations/{}", reservation.as_str().unwrap());
        let held = gateway.get_as(&buyers[*n], &path).await.json;
        assert_eq!(
            (&held["model"], &held["number"], &held["state"]),
            (&given["model"], &json!(number), &json!("held")),
            "{held}"
        );
    }
    assert_eq!(left.into_values().sum::<i32>(), 0);
    balanced(&gateway).await;

    // Who did not sign up finds it sold out, and waits behind all who did.
    refused(&gateway.reserve("late", "k", &white()).await, 409, "sold-out", &["items", "final", "standby"]);
    let join = gateway
        .request(Method::PUT, STANDBY)
        .bearer_auth(gateway.token("late"))
        .json(&json!({"model": "white"}));
    assert_eq!(send(join).await.json["position"], queues["white"] + 1);
    // What comes back goes to the queue in order of rank.
    let (_, winner, reservation) = &by_rank[0];
    assert_eq!(gateway.cancel(&buyers[*winner], reservation.as_str().unwrap()).await.status, 200);
    let returned = wants(*winner)[0]["model"].clone();
    let (_, next, _) =
        by_rank.iter().find(|(_, n, r)| r.is_null() && wants(*n)[0]["model"] == returned).unwrap();
    let granted = eventually("it is granted", || async {
        mine(&gateway, &buyers[*next]).await.get("reservation").cloned()
    })
    .await;
    assert_eq!(gateway.get_as(&buyers[*next], STANDBY).await.json["reservation"], granted);
    balanced(&gateway).await;

    every_change_of_a_file_shows(&operator, &published);
}

/// Two gateways allocate, and one is killed on the way: the result is the one that anybody can repeat.
#[tokio::test(flavor = "multi_thread")]
async fn a_draw_goes_on_where_a_killed_gateway_has_left_it() {
    const ENTRANTS: usize = 1_500;
    let redis = Redis::start();
    let (mut first, second) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    let mut definition = with(drawn(), "/model/0/stock", json!(300));
    definition["sale"]["standby_max"] = json!(500);
    open(&first, &definition).await;
    known(&second, "small").await;
    let choices =
        [json!([{"model": "white"}]), json!([{"model": "black"}, {"model": "white", "store": "gz-2"}])];
    let buyers = subs(ENTRANTS);
    let signed = stream::iter(buyers.iter().enumerate())
        .map(|(n, sub)| {
            let gateway = if n % 2 == 0 { &first } else { &second };
            sign_up(gateway, sub, &choices[n % 2])
        })
        .buffer_unordered(32);
    signed.for_each(async |reply| assert_eq!(reply.status, 201, "{}", reply.text)).await;

    let mut ended = over(definition);
    open(&second, &ended).await;
    stage(&second, "fixed").await;
    assert_eq!(Operator::new(&redis).draw("reveal", "00").code, 0);
    ended["sale"]["opens_at"] = ended["signup"]["closes_at"].clone();
    open(&second, &ended).await;
    eventually("the allocation has begun", || async {
        let allocated: u64 = redis.run("HGET lg:{small}:state allocated");
        (allocated > 0).then_some(())
    })
    .await;
    first.kill();
    stage(&second, "allocated").await;
    settled(&second).await;
    balanced(&second).await;
    let verified = verify(&Operator::new(&redis).publish("result"));
    assert!(verified.code == 0 && verified.out.contains("302 entrants got a hold at once"), "{verified:?}");

    // Some 600 of each first choice have no hold, and there are 500 places in each queue.
    let sale = second.ops_get("/admin/v1/sales/small").await.json;
    assert_eq!(sale["draw"], json!({"stage": "allocated", "entrants": ENTRANTS, "allocated": ENTRANTS}));
    let held = second.audit().await;
    assert_eq!((&held["reservations"]["held"], &held["waiting"]), (&json!(302), &json!(1_000)), "{held}");
}
