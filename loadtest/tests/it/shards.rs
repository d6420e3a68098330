//! Several processes that share one run, what `merge` makes of their parts, and the comparison with an earlier run.

use crate::stage::{Run, Stage, definition};

const PARTS: [&str; 2] = ["1/2", "2/2"];

#[test]
fn two_processes_are_judged_as_one() {
    let stage = Stage::set(2);
    stage.apply(&definition(8, true));
    let gateways = stage.gateways();
    let part = |shard: &'static str| {
        let more = ["--seed", "7", "--buyers", "240", "--shard", shard, "--set", "buyers.twice=50"];
        stage.run("spike", &gateways, &more)
    };
    let parts: Vec<Run> = std::thread::scope(|scope| {
        let running = PARTS.map(|shard| scope.spawn(move || part(shard)));
        running.into_iter().map(|running| running.join().unwrap()).collect()
    });
    let [one, two] = [&parts[0], &parts[1]];
    one.assert_passed();
    two.assert_passed();

    let whole = stage.merge(&[one, two], &[]);
    whole.assert_passed();
    let verdict = whole.verdict();
    assert_eq!((verdict["buyers"].as_u64(), &verdict["shards"]), (Some(240), &serde_json::json!(PARTS)));
    for outcome in ["won", "replayed", "resolved", "sold_out", "purchase_limit", "unknown"] {
        let sum = one.outcome(outcome) + two.outcome(outcome);
        assert_eq!(whole.outcome(outcome), sum, "{outcome}: {}", whole.text);
    }
    assert!(
        one.outcome("won") > 0 && two.outcome("won") > 0 && whole.outcome("sold_out") > 0,
        "{}",
        whole.text
    );

    let half = stage.merge(&[two], &[]);
    assert_eq!(half.code, 4, "the other part's answers are not proved: {}", half.text);
    assert!(half.text.contains("INVALID: only 1 of 2 parts are here"), "{}", half.text);

    let twice = stage.merge(&[one, two, one], &[]);
    assert_eq!(twice.code, 2, "{}", twice.text);
    assert!(twice.text.contains("1/2 is there twice"), "{}", twice.text);
    // Nor is a part of another whole one of this.
    let again = stage.merge(&[&whole, two], &[]);
    assert_eq!(again.code, 2, "{}", again.text);
    let over = stage.merge(&[one, two], &["--report", one.dir.to_str().unwrap()]);
    assert_eq!(over.code, 2, "{}", over.text);
    assert!(over.text.contains("is one of the parts"), "{}", over.text);

    // Compared with itself, nothing got worse.
    let same = stage.merge(&[one, two], &["--baseline", whole.dir.to_str().unwrap()]);
    same.assert_passed();
    let verdict = same.verdict();
    let compared = verdict["baseline"].as_array().unwrap();
    assert!(compared.iter().any(|difference| difference["what"] == "winners.p50"), "{}", same.text);
    for difference in compared {
        let direction = difference["direction"].as_str().unwrap();
        assert!(["same", "too_few"].contains(&direction), "{difference}");
    }
    assert!(!same.text.contains("WORSE"), "{}", same.text);
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let stage = Stage::set(1);
    stage.apply(&definition(6, true));
    let part = |seed: &'static str, shard: &'static str, set: &'static str| {
        let stage = &stage;
        move || stage.spike(&["--buyers", "6", "--seed", seed, "--shard", shard, "--set", set])
    };
    let [one, other, changed] = std::thread::scope(|scope| {
        [("1", "1/2", "buyers.twice=5"), ("2", "2/2", "buyers.twice=5"), ("1", "2/2", "buyers.twice=50")]
            .map(|(seed, shard, set)| scope.spawn(part(seed, shard, set)))
            .map(|running| running.join().unwrap())
    });
    let different = stage.merge(&[&one, &changed], &[]);
    assert_eq!(different.code, 2, "{}", different.text);
    let words = "the parts were run with different profiles: 1/2 has buyers.twice: 5 and 50 in 2/2";
    assert!(different.text.contains(words), "{}", different.text);
    for (parts, words) in
        [(vec![&one, &other], "not parts of one run"), (vec![&one], "--sale names another one")]
    {
        let more: &[&str] = if parts.len() == 1 { &["--sale", "other"] } else { &[] };
        let refused = stage.merge(&parts, more);
        assert_eq!(refused.code, 2, "{}", refused.text);
        assert!(refused.text.contains(words), "{}", refused.text);
    }
    let nothing = stage.spike(&["--buyers", "6", "--baseline", stage.file("nowhere").to_str().unwrap()]);
    assert_eq!(nothing.code, 2, "{}", nothing.text);
    assert!(nothing.text.contains("run-record.json"), "{}", nothing.text);
}
