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

    let against = stage.merge(&[one, two], &["--baseline", half.dir.to_str().unwrap()]);
    assert_eq!(against.code, 2, "{}", against.text);
    assert!(against.text.contains("is not a whole run: only 1 of 2 parts are here"), "{}", against.text);

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
    let part = |seed: &'static str, shard: &'static str, more: [&'static str; 2]| {
        let stage = &stage;
        move || stage.spike(&[&["--buyers", "6", "--seed", seed, "--shard", shard][..], &more].concat())
    };
    let same = ["--set", "buyers.twice=5"];
    let [one, other, changed, later] = std::thread::scope(|scope| {
        [
            ("1", "1/2", same),
            ("2", "2/2", same),
            ("1", "2/2", ["--set", "buyers.twice=50"]),
            ("1", "2/2", ["--arrivals", "constant:7/s"]),
        ]
        .map(|(seed, shard, more)| scope.spawn(part(seed, shard, more)))
        .map(|running| running.join().unwrap())
    });
    let arrivals = stage.merge(&[&one, &later], &[]);
    assert_eq!(arrivals.code, 2, "{}", arrivals.text);
    let words = "the parts were run with different arrivals: 1/2 and 2/2: run all with the same --arrivals";
    assert!(arrivals.text.contains(words), "{}", arrivals.text);
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
