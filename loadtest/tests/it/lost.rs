//! Tests runs without a valid result: a lost ledger, expiring tokens, sales in which no tap can
//! win.

use testkit::wait_for;

use crate::stage::{Stage, definition};

#[test]
fn a_ledger_that_is_lost_during_the_run_fails_it() {
    let stage = Stage::set(1);
    stage.apply(&definition(3, true));
    let run = std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            stage.spike(&[
                "--buyers",
                "60",
                "--set",
                "buyers.think=[\"3s\",\"4s\"]",
                "--set",
                "verdict.thresholds=[\"won < 100\"]",
            ])
        });
        // The first buyers have won; none has paid yet.
        wait_for("reservations are taken", || (stage.journal_entries() > 1).then_some(())).unwrap();
        for key in ["state", "stock", "records", "journal", "taken", "totals", "definition"] {
            stage.redis::<()>(&["DEL", &format!("lg:{{small}}:{key}")]);
        }
        running.join().unwrap()
    });
    assert_eq!(run.code, 1, "{}", run.text);
    assert!(run.text.contains("FAIL: the ledger has lost the sale"), "{}", run.text);
    let verdict = run.verdict();
    assert_eq!((&verdict["verdict"], &verdict["is_proved"]), (&"FAIL".into(), &false.into()));
    assert_eq!(verdict["thresholds"][0]["met"], true, "{verdict}");
    assert!(run.report("report.html").contains("the ledger has lost the sale"));
    let page = run.report("report.md");
    assert!(
        page.contains("the ledger has lost the sale") && page.contains("No answer was held against the"),
        "{page}"
    );
}

#[test]
fn tokens_that_run_out_before_the_load_are_refused() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let tokens = stage.write("tokens", &stage.tokens("5"));
    let later = ["--tokens", tokens.as_str(), "--arrivals", "constant:0.0005/s:2h"];
    let run = stage.run("soak", &stage.gateways(), &later);
    assert_eq!(run.code, 2, "{}", run.text);
    assert!(run.text.contains("expires at") && run.text.contains("--ttl"), "{}", run.text);
    let wrong = stage.write("service", "one two");
    let run = stage.run("spike", &stage.gateways(), &["--tokens", &tokens, "--service-token-file", &wrong]);
    assert_eq!(run.code, 2, "{}", run.text);
    assert!(run.text.contains("--service-token-file"), "{}", run.text);
    assert_eq!(stage.journal_entries(), 1, "only the definition");
}

#[test]
fn a_sale_without_stores_is_not_stormed() {
    let stage = Stage::set(1);
    let bare = definition(-60, true);
    let bare = bare.split("[stores]").next().unwrap();
    stage.apply(bare);
    let run = stage.spike(&["--buyers", "5"]);
    assert_eq!(run.code, 2, "{}", run.text);
    assert!(run.text.contains("no store"), "{}", run.text);
}

#[test]
fn an_earlier_verdict_does_not_outlive_a_run_that_failed() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let dir = stage.file("earlier");
    let dir = dir.to_str().unwrap();
    stage.run("look", &stage.gateways(), &["--arrivals", "constant:50/s:1s", "--report", dir]);
    assert!(stage.file("earlier/verdict.json").exists());
    let over = stage.run("look", &stage.gateways(), &["--buyers", "1", "--report", dir, "--baseline", dir]);
    assert_eq!(over.code, 2, "{}", over.text);
    assert!(stage.file("earlier/verdict.json").exists(), "a refusal keeps the earlier report");
    let away = stage.run("look", &crate::stage::away(), &["--buyers", "1", "--report", dir]);
    assert_eq!(away.code, 3, "{}", away.text);
    assert!(!stage.file("earlier/verdict.json").exists());
}
