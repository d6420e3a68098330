//! Tests `gateway sale`, `audit` and `journal` with their exit codes: 0 done, 1 refused or
//! unbalanced, 2 wrong usage or bad input, 3 something outside failed.

use std::path::Path;

use serde_json::{Value, json};
use testkit::check::{balanced, settled};
use testkit::cli::{Ended, Running, end, run};
use testkit::definition::{known, white};
use testkit::eventually;
use testkit::gateway::{Gateway, binary};
use testkit::redis::Redis;

pub const TOML: &str = r#"
[sale]
id = "small"
name = "Small"
opens_at = 2026-01-01T00:00:00Z
closes_at = 2100-01-01T00:00:00Z
hold = "15m"
currency = "CNY"
deposit = 99900
rehearsal = true

[[model]]
id = "white"
name = "White"
price = 4999900
stock = 60

[[package]]
id = "cover"
name = "Cover"
price = 29900
stock = 20
models = ["white"]

[stores]
file = "stores.csv"
"#;

pub fn files(toml: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sale.toml"), toml).unwrap();
    let stores = "id,name,city,capacity\ngz-1,One,Guangzhou,80\nsh-1,\"Three, east\",上海,\n";
    std::fs::write(dir.path().join("stores.csv"), stores).unwrap();
    dir
}

pub fn text(path: &Path, name: &str) -> String {
    path.join(name).to_str().unwrap().to_owned()
}

pub fn ended(done: &Ended, code: i32, out: &str, err: &str) {
    assert_eq!(done.code, code, "{done:?}");
    assert!(done.out.contains(out), "{out:?} on standard output of {done:?}");
    assert!(done.err.contains(err), "{err:?} on standard error of {done:?}");
}

#[tokio::test]
async fn a_sale_is_defined_and_steered_from_the_command_line() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let url = redis.url();
    let sale = |args: &[&str]| run(&[&["sale"], args, &["--redis", &url]].concat());
    let dir = files(TOML);
    let file = text(dir.path(), "sale.toml");

    ended(&sale(&["list"]), 0, "", "");
    ended(&sale(&["apply", &file]), 0, "small: created", "");
    ended(&sale(&["apply", &file]), 0, "small: unchanged at revision 1", "");
    known(&gateway, "small").await;
    assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 201);
    ended(&sale(&["list"]), 0, "small\topen\t2026-01-01T00:00:00.000Z\tSmall\n", "");
    // The options may also stand before the words, or in the environment; a flag goes before that.
    ended(&run(&["sale", "--redis", &url, "list"]), 0, "small\topen", "");
    for (variable, flags) in [(url.as_str(), &[][..]), ("unix:/nowhere/s", &["--redis", &url])] {
        let mut command = binary();
        command.args(["sale", "list"]).args(flags).env("LAUNCHGATE_REDIS", variable);
        ended(&end(command), 0, "small\topen", "");
    }
    let shown = sale(&["show", "small", "--json"]);
    ended(&shown, 0, "", "");
    assert_eq!(shown.json()["reservations"]["held"], 1);
    assert_eq!(shown.json(), gateway.ops_get("/admin/v1/sales/small").await.json.with_time_of(&shown.json()));

    for (action, field, value) in [
        ("pause", "paused", true),
        ("pause", "paused", true),
        ("resume", "paused", false),
        ("freeze", "frozen", true),
        ("unfreeze", "frozen", false),
    ] {
        let done = sale(&[action, "small", "--reason", "a test"]);
        ended(&done, 0, "", "");
        assert_eq!(done.json()[field], value, "{action}");
    }
    let restock = |total: &str, was: &str| sale(&["restock", "small", "model:white", total, "--was", was]);
    for _ in 0..2 {
        let done = restock("70", "60");
        ended(&done, 0, "", "");
        assert_eq!(done.json(), json!({"item": "model:white", "total": 70, "free": 69}));
    }
    let before = balanced(&gateway).await;
    // The command is refused.
    ended(&restock("90", "60"), 1, "", "stock-changed");
    ended(&restock("0", "70"), 1, "", "stock-taken");
    std::fs::write(&file, TOML.replace("4999900", "1")).unwrap();
    ended(&sale(&["apply", &file]), 1, "", "definition-locked");
    std::fs::write(&file, TOML.replace("\"white\"", "\"red\"")).unwrap();
    ended(&sale(&["apply", &file]), 1, "", "definition-locked");
    // Below what is taken, with the restock of 10 counted in.
    std::fs::write(&file, TOML.replace("stock = 60", "stock = 0")).unwrap();
    let lower = sale(&["restock", "small", "model:white", "60", "--was", "70"]);
    ended(&lower, 0, "", "");
    ended(&sale(&["apply", &file]), 1, "", "stock-taken");
    assert_eq!(balanced(&gateway).await, before + 1);
    // Bad input: every mistake at once, each with its line.
    std::fs::write(&file, TOML.replace("\"15m\"", "\"soon\"").replace("\"CNY\"", "7")).unwrap();
    let bad = sale(&["apply", &file]);
    ended(&bad, 2, "", "sale.toml:7");
    ended(&bad, 2, "", "sale.toml:8");
    ended(&sale(&["apply", "/nowhere/sale.toml"]), 2, "", "/nowhere/sale.toml");
    for wrong in [
        &["show", "none"][..],
        &["pause", "none"],
        &["restock", "none", "model:white", "1", "--was", "2"],
        &["restock", "small", "model:red", "1", "--was", "2"],
        &["restock", "small", "model:white", "1"],
        &["restock", "small", "model:white", "-1", "--was", "2"],
        &["restock", "small", "model:white", "many", "--was", "2"],
        &["explode", "small"],
        &["pause"],
    ] {
        assert_eq!(sale(wrong).code, 2, "{wrong:?}");
    }
    assert_eq!(balanced(&gateway).await, before + 1);
    // It can't be undone: a script names the sale twice.
    ended(&sale(&["close", "small"]), 2, "", "--confirm small");
    assert_eq!(balanced(&gateway).await, before + 1);
    ended(&sale(&["close", "small", "--confirm", "small"]), 0, "\"phase\": \"closed\"", "");
    settled(&gateway).await;
    assert_eq!(gateway.reserve("bob", "k", &white()).await.problem(), "sale-closed");
}

trait WithTimeOf {
    fn with_time_of(self, other: &Value) -> Value;
}

impl WithTimeOf for Value {
    /// The server's clock goes on between two looks.
    fn with_time_of(mut self, other: &Value) -> Value {
        self["server_time"] = other["server_time"].clone();
        self
    }
}

#[tokio::test]
async fn the_exit_code_of_an_audit_shows_whether_it_balances() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let url = redis.url();
    let dir = files(TOML);
    ended(&run(&["sale", "apply", &text(dir.path(), "sale.toml"), "--redis", &url]), 0, "", "");
    known(&gateway, "small").await;
    assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 201);
    let audit = |args: &[&str]| run(&[&["audit"], args, &["--redis", &url]].concat());
    ended(&audit(&["small"]), 0, "small: balanced at sequence 2", "");
    let report = audit(&["small", "--json"]);
    ended(&report, 0, "", "");
    assert_eq!(report.json(), gateway.audit().await);
    ended(&audit(&["none"]), 2, "", "no such sale");
    // A counter that was edited by hand.
    redis.run::<i64>("HINCRBY lg:{small}:stock model:white 1");
    let drift = audit(&["small", "--json"]);
    ended(&drift, 1, "", "model:white");
    assert_eq!(drift.json()["verdict"], "drift");
    let items = drift.json()["items"].as_array().unwrap().clone();
    let item = items.iter().find(|i| i["item"] == "model:white").unwrap().clone();
    assert_eq!(item["drift"], 1);
    ended(&audit(&["small"]), 1, "DRIFT", "model:white");
}

#[tokio::test]
async fn the_journal_can_be_read_on_from_any_place() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let url = redis.url();
    let dir = files(TOML);
    ended(&run(&["sale", "apply", &text(dir.path(), "sale.toml"), "--redis", &url]), 0, "", "");
    known(&gateway, "small").await;
    let taps = (0..20).map(|n| {
        let gateway = &gateway;
        async move { gateway.reserve(&format!("b{n}"), "k", &white()).await.status }
    });
    let statuses = futures_util::future::join_all(taps).await;
    assert_eq!(statuses, [201; 20]);
    let journal = |args: &[&str]| run(&[&["journal", "small", "--redis", &url], args].concat());
    let all = journal(&[]);
    ended(&all, 0, "", "");
    let all = all.lines();
    assert_eq!(all.len(), 21);
    assert_eq!((&all[0]["id"], &all[0]["kind"]), (&json!("1-0"), &json!("define")));
    let mut numbers: Vec<u64> = all[1..].iter().map(|l| l["number"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted());
    numbers.dedup();
    assert_eq!(numbers.len(), 20);
    // From every cursor exactly the rest comes; from an id, what follows its entry.
    for (n, line) in all.iter().enumerate() {
        let rest = journal(&["--from", line["cursor"].as_str().unwrap()]);
        assert_eq!(rest.lines(), all[n + 1..], "{line}");
    }
    let id = all[1]["id"].as_str().unwrap();
    let after: Vec<Value> = all.iter().filter(|l| l["id"] != "1-0" && l["id"] != id).cloned().collect();
    assert_eq!(journal(&["--from", id]).lines(), after);
    for (args, code) in
        [(&["--from", "yesterday"][..], 2), (&["--from", "1-7-8"], 2), (&["--from", "999-0"], 0)]
    {
        assert_eq!(journal(args).code, code, "{args:?}");
    }
    ended(&run(&["journal", "none", "--redis", &url]), 2, "", "no such sale");

    // `--follow` continues at `--from`, and prints new entries.
    let last = all[20]["cursor"].as_str().unwrap();
    let middle = all[18]["cursor"].as_str().unwrap();
    let follower = Running::start(&["journal", "small", "--follow", "--from", middle, "--redis", &url]);
    let lines = tokio::task::spawn_blocking(move || (follower.line(), follower.line(), follower)).await;
    let (first, second, follower) = lines.unwrap();
    assert_eq!([&first, &second], [&all[19], &all[20]]);
    assert_eq!(gateway.reserve("late", "k", &white()).await.status, 201);
    let news = tokio::task::spawn_blocking(move || follower.line()).await.unwrap();
    assert_eq!(news["buyer"], "late");
    assert_eq!(journal(&["--from", last]).lines(), [news]);
}

#[tokio::test]
async fn a_sale_is_shown_as_a_table_that_fits_a_screen() {
    let mut redis = Redis::start();
    let mut gateway = Gateway::start(&redis).await;
    let url = redis.url();
    let sale = |args: &[&str]| run(&[&["sale"], args, &["--redis", &url]].concat());
    let show = |args: &[&str]| -> Vec<String> {
        let mut command = binary();
        command.args(["sale", "show", "small", "--redis", &url]).args(args).env("TZ", "Asia/Shanghai");
        let done = end(command);
        ended(&done, 0, "", "");
        assert!(done.out.lines().count() < 24, "{}", done.out);
        done.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let dir = files(TOML);
    ended(&sale(&["apply", &text(dir.path(), "sale.toml")]), 0, "", "");
    known(&gateway, "small").await;
    let won = gateway
        .reserve("alice", "k", &json!({"model": "white", "packages": ["cover"], "store": "gz-1"}))
        .await;
    assert_eq!(won.status, 201, "{}", won.text);
    assert_eq!(gateway.reserve("bob", "k", &white()).await.status, 201);
    assert_eq!(gateway.confirm(&won.id(), "pay", 1).await.status, 200);
    settled(&gateway).await;
    let has =
        |lines: &[String], line: &str| assert!(lines.iter().any(|shown| shown == line), "{line}: {lines:#?}");
    // Its first report to the fleet is from before it was ready.
    eventually("the gateway is shown as ready", || async {
        show(&[]).iter().any(|line| line.ends_with("all ready")).then_some(())
    })
    .await;
    let lines = show(&[]);
    for line in [
        "Small (small, a rehearsal)",
        "state open",
        // The time of the user's zone stands beside UTC.
        "opens 2026-01-01T00:00:00.000Z (2026-01-01 08:00:00 +08:00)",
        "reservations 1 held, 1 confirmed, 0 cancelled, 0 expired",
        "ledger revision 1, sequence 4; balanced",
        "gateways 1 live, all ready",
        "item total free held confirmed",
        "model:white 60 58 1 1",
        "package:cover 20 19 0 1",
        "1 stores together 80 78 1 1",
        "1 stores without a limit - - 0 0",
    ] {
        has(&lines, line);
    }
    // Who stopped what, and why.
    for action in ["pause", "freeze"] {
        ended(&sale(&[action, "small", "--reason", "a fire"]), 0, "", "");
    }
    let lines = show(&[]);
    has(&lines, "state paused");
    for what in ["paused by cli:", "the sale clock is frozen by cli:"] {
        let line =
            lines.iter().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("{what}: {lines:#?}"));
        assert!(line.contains(" since 20") && line.ends_with("+08:00): a fire"), "{line}");
    }
    ended(&sale(&["list"]), 0, "small\tpaused (frozen)\t2026-01-01T00:00:00.000Z", "");
    ended(&sale(&["unfreeze", "small"]), 0, "", "");
    let done = sale(&["close", "small", "--confirm", "small", "--reason", "all sold\n\u{1b}[2Jstate open"]);
    ended(&done, 0, "", "");
    assert!(done.json()["close"]["by"].as_str().unwrap().starts_with("cli:"), "{}", done.out);
    let lines = show(&[]);
    has(&lines, "state closed");
    // A reason adds no line, and nothing to a terminal.
    let closed = lines.iter().find(|line| line.starts_with("closed by cli:"));
    assert!(closed.is_some_and(|line| line.ends_with("): all sold [2Jstate open")), "{lines:#?}");
    // After a restart of Redis it is fenced, until a gateway adopts the new epoch.
    gateway.kill();
    redis.kill();
    redis.start_again().unwrap();
    let lines = show(&[]);
    has(&lines, "state fenced: buyers can't reserve until recovery has adopted the new epoch of Redis");
    assert!(lines.iter().any(|line| line.starts_with("paused by cli:")), "{lines:#?}");
    ended(&sale(&["list"]), 0, "small\tfenced\t", "");
    // A damaged sale is halted, and hides no other.
    redis.run::<i64>("DEL lg:{small}:definition");
    ended(&sale(&["list"]), 0, "small\thalted\t-\t", "");
}
