//! Tests operator actions by hand: each is described first, confirmed at a terminal, and recorded
//! with its author and reason.

use gateway::domain::operator_action::effects;
use gateway::fleet::{LimitChange, set_limits};
use gateway::manage::admin::Actor;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::{balanced, refused};
use testkit::cli::run;
use testkit::definition::{open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Gateway, binary};
use testkit::redis::Redis;
use testkit::terminal::Terminal;

use crate::contract::admin::{SALE, journal};
use crate::contract::cli::{TOML, ended, files, text};

/// The operator actions with their arguments, and the word that confirms each.
const ACTIONS: [(&str, &[&str], &str); 7] = [
    ("pause", &["sale", "pause", "small"], "small"),
    ("resume", &["sale", "resume", "small"], "small"),
    ("freeze", &["sale", "freeze", "small"], "small"),
    ("unfreeze", &["sale", "unfreeze", "small"], "small"),
    ("restock", &["sale", "restock", "small", "model:white", "70", "--was", "60"], "small"),
    ("limits", &["limits", "set", "buyer=7:7"], "limits"),
    ("close", &["sale", "close", "small"], "small"),
];

fn effect(action: &str) -> &'static str {
    effects().into_iter().find(|(word, _)| *word == action).unwrap().1
}

/// The latest entries of the journal and of the limits' log.
async fn written(gateway: &Gateway) -> (Value, Value) {
    let log = gateway.ops_get("/admin/v1/limits/log").await;
    assert_eq!(log.status, 200, "{}", log.text);
    let last = log.json["entries"].as_array().unwrap().last().cloned().unwrap_or_default();
    (journal(gateway).await.pop().unwrap(), last)
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_every_operator_action_shows_its_effect_and_needs_a_reason_and_a_typed_word() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let url = redis.url();
    for (action, args, word) in ACTIONS {
        let args = [args, &["--redis", &url]].concat();
        let before = written(&gateway).await;
        // Another word, or none, changes nothing.
        for typed in ["yes", "", if word == "small" { "limits" } else { "small" }] {
            let mut terminal = Terminal::start(&args);
            terminal.expect(effect(action));
            terminal.expect("Why? It is written down with your name, cli:maja: ");
            terminal.enter("a slip");
            terminal.expect(&format!("Type {word} to confirm, anything else to cancel: "));
            terminal.enter(typed);
            assert_eq!(terminal.end(), 1, "{action}: {}", terminal.seen);
            assert!(terminal.seen.contains("nothing was done"), "{}", terminal.seen);
        }
        assert_eq!(written(&gateway).await, before, "{action}");

        let mut terminal = Terminal::start(&args);
        if word == "small" {
            terminal.expect("Small, ");
            terminal.expect("0 reservations are held, 0 confirmed");
        }
        match action {
            "restock" => terminal.expect("This adds 10: the total goes from 60 to 70."),
            "limits" => {
                let meaning = "buyer: at most 7 units a second, 7 at once, of each buyer at each gateway.";
                terminal.expect(meaning);
            }
            _ => {}
        }
        terminal.expect(effect(action));
        terminal.expect("Why?");
        terminal.enter(&format!("because of {action}"));
        terminal.expect(&format!("Type {word}"));
        terminal.enter(word);
        assert_eq!(terminal.end(), 0, "{action}: {}", terminal.seen);
        let (of_sale, of_limits) = written(&gateway).await;
        let entry = if word == "small" { &of_sale } else { &of_limits };
        assert_eq!(
            (&entry["who"], &entry["reason"]),
            (&json!("cli:maja"), &json!(format!("because of {action}")))
        );
        if word == "small" {
            assert_eq!(entry["kind"], action);
        } else {
            assert_eq!(entry["changes"], json!([{"policy": "buyer", "was": null, "set": "7:7"}]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_given_values_are_not_asked_for_and_a_slip_is_reported_first() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let url = redis.url();
    let before = balanced(&gateway).await;
    // Without the sale the command asks nothing.
    let mut terminal = Terminal::start(&["sale", "close", "smal", "--redis", &url]);
    assert_eq!(terminal.end(), 2, "{}", terminal.seen);
    assert!(terminal.seen.contains("no such sale") && !terminal.seen.contains("Why?"), "{}", terminal.seen);
    // The word of another.
    let mut terminal = Terminal::start(&["sale", "close", "small", "--confirm", "big", "--redis", &url]);
    assert_eq!(terminal.end(), 2, "{}", terminal.seen);
    assert_eq!(balanced(&gateway).await, before);

    let mut terminal = Terminal::start(&["sale", "pause", "small", "--reason", "a fire", "--redis", &url]);
    terminal.expect("Type small");
    assert!(!terminal.seen.contains("Why?"), "{}", terminal.seen);
    terminal.enter("small");
    assert_eq!(terminal.end(), 0, "{}", terminal.seen);
    let done = ["sale", "resume", "small", "--confirm", "small", "--redis", &url];
    let mut terminal = Terminal::start(&done);
    assert_eq!(terminal.end(), 0, "{}", terminal.seen);
    assert!(terminal.seen.contains(effect("resume")), "{}", terminal.seen);
    let answered: Vec<_> = journal(&gateway)
        .await
        .iter()
        .rev()
        .take(2)
        .map(|l| (l["kind"].clone(), l["reason"].clone()))
        .collect();
    assert_eq!(answered, [(json!("resume"), Value::Null), (json!("pause"), json!("a fire"))]);
}

#[tokio::test]
async fn a_script_needs_a_word_for_what_is_final_only_and_one_for_another_sale_stops_it() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let url = redis.url();
    for (action, args, word) in ACTIONS {
        let perform = |more: &[&str]| run(&[args, more, &["--redis", &url]].concat());
        let before = written(&gateway).await;
        ended(&perform(&["--confirm", "another"]), 2, "", "nothing was done");
        ended(&perform(&["--confirm", word, "--reason", &"x".repeat(501)]), 2, "", "500");
        if action == "close" {
            ended(
                &perform(&["--reason", "a script"]),
                2,
                "",
                "--confirm small where standard input is not a terminal",
            );
        }
        assert_eq!(written(&gateway).await, before, "{action}");
        let done = perform(&["--confirm", word, "--reason", "a script"]);
        ended(&done, 0, "", effect(action));
        // Standard output has only the result.
        assert!(done.json().is_object());
        if action != "close" {
            ended(&perform(&[]), 0, "", effect(action));
        }
    }
    // An environment confirms nothing: other commands inherit it.
    let closes = ["sale", "close", "small", "--redis", &url];
    let before = written(&gateway).await;
    let mut command = binary();
    command.args(closes).env("LAUNCHGATE_CONFIRM", "small");
    let done = testkit::cli::end(command);
    ended(&done, 2, "", "LAUNCHGATE_CONFIRM has no effect: it is a flag only");
    ended(&done, 2, "", "--confirm small");
    let mut command = binary();
    command
        .args(["sale", "release", "small", "--confirm", "small", "--redis", &url])
        .env("LAUNCHGATE_ALL", "true");
    ended(&testkit::cli::end(command), 2, "", "<GATEWAY");
    let none = run(&["sale", "release", "none", "--all", "--confirm", "none", "--redis", &url]);
    ended(&none, 2, "", "there is no such sale");
    let idle = run(&["sale", "release", "small", "--all", "--confirm", "small", "--redis", &url]);
    ended(&idle, 1, "", "small is not in recovery");
    assert_eq!(written(&gateway).await, before);
    assert_eq!(gateway.reserve("alice", "k", &white()).await.problem(), "sale-closed");
}

#[tokio::test]
async fn applying_a_definition_records_name_and_reason() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let dir = files(TOML);
    let file = text(dir.path(), "sale.toml");
    let url = redis.url();
    ended(&run(&["sale", "apply", &file, "--reason", "the first", "--redis", &url]), 0, "created", "");
    ended(&run(&["sale", "apply", &file, "--reason", &"x".repeat(501), "--redis", &url]), 2, "", "500");
    let put = gateway.ops(Method::PUT, SALE, &with(small(), "/sale/name", json!("Better"))).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let answered = journal(&gateway).await;
    let answered: Vec<_> = answered.iter().map(|line| [&line["kind"], &line["reason"]]).collect();
    assert_eq!(json!(answered), json!([["define", "the first"], ["define", null]]));
    let role = |line: &Value| line["who"].as_str().unwrap().to_owned();
    let answered: Vec<String> = journal(&gateway).await.iter().map(role).collect();
    assert!(answered[0].starts_with("cli:") && answered[1] == "ops", "{answered:?}");
}

#[tokio::test]
async fn what_was_done_to_the_limits_can_be_read_back() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let url = redis.url();
    let log = async |query: &str| gateway.ops_get(&format!("/admin/v1/limits/log{query}")).await;
    assert_eq!(log("").await.json, json!({"entries": []}));
    let patch = async |body: Value| gateway.ops(Method::PATCH, "/admin/v1/limits", &body).await.status;
    assert_eq!(patch(json!({"buyer": "1:2", "sale": "off", "reason": "bots"})).await, 200);
    ended(&run(&["limits", "set", "buyer=3:4", "--redis", &url]), 0, "", "");
    assert_eq!(patch(json!({"buyer": null, "sale": null, "reason": "over"})).await, 200);
    // What is refused, or changes nothing, was not done.
    assert_eq!(patch(json!({"buyer": "fast"})).await, 400);
    assert_eq!(patch(json!({"reason": "nothing"})).await, 200);

    let entries = log("").await.json["entries"].clone();
    let without_time: Vec<Value> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert!(entry["at"].as_str().unwrap().ends_with('Z'));
            json!([entry["revision"], entry["reason"], entry["changes"]])
        })
        .collect();
    let change = |policy: &str, was: Value, set: Value| json!({"policy": policy, "was": was, "set": set});
    assert_eq!(
        without_time,
        [
            json!([
                1,
                "bots",
                [change("buyer", json!(null), json!("1:2")), change("sale", json!(null), json!("off"))]
            ]),
            json!([2, null, [change("buyer", json!("1:2"), json!("3:4"))]]),
            json!([
                3,
                "over",
                [change("buyer", json!("3:4"), json!(null)), change("sale", json!("off"), json!(null))]
            ]),
        ]
    );
    let role = |n: usize| entries[n]["who"].as_str().unwrap();
    assert_eq!((role(0), role(2)), ("ops", "ops"));
    assert!(role(1).starts_with("cli:"), "{}", role(1));
    assert_eq!(log("?limit=1").await.json["entries"], json!([entries[2]]));
    for wrong in ["?limit=0", "?limit=1001", "?limit=x", "?from=1"] {
        refused(&log(wrong).await, 400, "invalid-request", &[]);
    }
    let post = gateway.ops(Method::POST, "/admin/v1/limits/log", &json!({})).await;
    refused(&post, 405, "method-not-allowed", &[]);
    // The command line reads the same.
    let lines = |args: &[&str]| run(&[&["limits", "log", "--redis", &url], args].concat());
    assert_eq!(json!(lines(&[]).lines()), entries);
    assert_eq!(lines(&["--limit", "2"]).lines(), entries.as_array().unwrap()[1..]);
    for wrong in ["0", "1001", "many"] {
        ended(&lines(&["--limit", wrong]), 2, "", "1000");
    }
    // A foreign entry is damage, and is reported.
    redis.run::<String>("XADD {lg:limits}:log * who me");
    assert_eq!(log("").await.status, 503);
    ended(&lines(&[]), 3, "", "{lg:limits}:log");
}

#[tokio::test]
async fn the_log_of_the_limits_does_not_grow_and_nothing_is_set_without_it() {
    // Synced each second: a thousand sets are not what `always` is for.
    let redis = Redis::start_with(&["--appendfsync", "everysec"]);
    let client = redis::Client::open(redis.url()).unwrap();
    let mut conn = client.get_multiplexed_async_connection().await.unwrap();
    let mut change = LimitChange::default();
    change.add("buyer", "1:1").unwrap();
    let by = Actor { who: "me".into(), reason: None };
    for _ in 0..1_002 {
        set_limits(&mut conn, &change, &by).await.unwrap().unwrap();
    }
    let url = redis.url();
    let log = run(&["limits", "log", "--redis", &url]).lines();
    let revisions: Vec<_> = log.iter().map(|entry| entry["revision"].as_u64().unwrap()).collect();
    assert_eq!(revisions, (3..=1_002).collect::<Vec<_>>());

    // A key of another type: refused by name, and nothing is half done.
    let before = redis.run::<Vec<String>>("HGETALL lg:limits");
    redis.run::<i64>("DEL {lg:limits}:log");
    redis.run::<String>("SET {lg:limits}:log x");
    let set = ["limits", "set", "sale=5:5", "--redis", &url];
    ended(&run(&set), 3, "", "{lg:limits}:log is a string");
    assert_eq!(redis.run::<Vec<String>>("HGETALL lg:limits"), before);
    redis.run::<i64>("DEL {lg:limits}:log");
    redis.run::<i64>("HSET lg:limits revision many");
    ended(&run(&set), 3, "", "lg:limits has no number in revision");
    redis.run::<i64>("DEL lg:limits");
    redis.run::<String>("SET lg:limits x");
    ended(&run(&set), 3, "", "lg:limits is a string");
    assert_eq!(redis.run::<i64>("XLEN {lg:limits}:log"), 0);
    redis.run::<i64>("DEL lg:limits");
    ended(&run(&set), 0, "\"revision\": 1", "");
}

#[tokio::test]
async fn what_the_command_line_does_is_in_the_log_of_each_gateway_once() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let logs = ["one", "two", "late"].map(|name| dir.path().join(name));
    let start = async |log| {
        let gateway = Gateway::spawn_logging(&redis.url(), &["--log-format", "json"], log);
        gateway.ready().await;
        gateway
    };
    let (one, two) = (start(&logs[0]).await, start(&logs[1]).await);
    for gateway in [&one, &two] {
        open(gateway, &small()).await;
    }
    let url = redis.url();
    let sale = |args: &[&str]| ended(&run(&[&["sale"], args, &["--redis", &url]].concat()), 0, "", "");
    sale(&["pause", "small", "--reason", "a fire"]);
    // Repeated, it does nothing.
    sale(&["pause", "small", "--reason", "a fire"]);
    sale(&["restock", "small", "model:white", "70", "--was", "60"]);
    // Over the API: its gateway logs it, with the id of the request.
    assert_eq!(one.action("resume", &json!({"reason": "out"})).await.status, 200);
    let logged = |log: &std::path::Path| -> Vec<Value> {
        let text = std::fs::read_to_string(log).unwrap();
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["fields"].clone());
        lines.filter(|line| line["message"] == "operator action by the command line").collect()
    };
    for log in &logs[..2] {
        let lines =
            eventually("both are logged", || async { Some(logged(log)).filter(|lines| lines.len() >= 2) })
                .await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        for line in &lines {
            assert!(line["actor"].as_str().unwrap().starts_with("cli:"), "{line}");
        }
        assert_eq!((&lines[0]["action"], &lines[0]["reason"]), (&json!("pause"), &json!("a fire")));
        let restock = ["action", "item", "was", "total"].map(|name| lines[1][name].clone());
        assert_eq!(json!(restock), json!(["restock", "model:white", "60", "70"]));
    }
    // A gateway that starts later reads them, and logs none: they are not new.
    let late = start(&logs[2]).await;
    sale(&["freeze", "small"]);
    let lines = eventually("the next one is logged", || async {
        Some(logged(&logs[2])).filter(|lines| !lines.is_empty())
    })
    .await;
    assert_eq!((lines.len(), &lines[0]["action"]), (1, &json!("freeze")), "{lines:?}");
    drop((one, two, late));
}
