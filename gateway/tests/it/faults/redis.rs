//! Tests a redis-server that is killed, stopped, flushed or full in mid-spike.

use reqwest::Method;
use serde_json::json;
use testkit::Signal;
use testkit::definition::{known, open, with};
use testkit::eventually;
use testkit::gateway::{Gateway, send, token};
use testkit::redis::Redis;

use crate::faults::callers::{brief, far, stock};
use crate::launch::spike::{
    Answer, Spike, SpikeOutcome, balanced, changes, fault, ready, reserve_until_answered, wins,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_killed_in_mid_spike_is_adopted_once_and_nothing_acknowledged_is_lost() {
    let mut redis = Redis::start();
    let (one, two) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    open(&one, &stock(200)).await;
    known(&two, "small").await;

    let spike = Spike::start(&[&one, &two], "b", 300, &far());
    spike.won(40).await;
    redis.kill();
    ready(&one, false).await;
    ready(&two, false).await;
    redis.start_again().unwrap();
    let outcome = spike.end().await;
    ready(&one, true).await;
    ready(&two, true).await;

    assert_eq!((outcome.winners.len(), outcome.refused.len()), (200, 100));
    assert!(!outcome.put_off.is_empty());
    outcome.reconcile(&one).await;
    assert_eq!(changes(&two, "adopt").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_hangs_every_call_is_answered_and_a_retry_is_decided() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--redis-answer-timeout-ms", "500"]).await;
    open(&gateway, &stock(200)).await;
    let spike = Spike::start(&[&gateway], "b", 300, &far());
    spike.won(40).await;

    redis.stop();
    let taps = (0..100).map(|n| {
        let tap = gateway.tap(&format!("s-{n}"), "the-one", &far());
        async move { (format!("s-{n}"), Answer::of(&send(tap).await)) }
    });
    // Their answers come while Redis is stopped: it continues only after the last.
    let answers = futures_util::future::join_all(taps).await;
    let (mut unknown, mut stopped) = (0, SpikeOutcome::default());
    for (sub, answer) in answers {
        match &answer {
            Answer::Later(problem) => unknown += usize::from(problem == "outcome-unknown"),
            other => panic!("{sub} was answered {other:?} by a stopped Redis"),
        }
        stopped.add(sub, answer);
    }
    spike.put_off(24).await;
    ready(&gateway, false).await;
    redis.signal(Signal::CONT);

    let mut outcome = spike.end().await;
    for n in 0..100 {
        let sub = format!("s-{n}");
        let answer = Answer::of(&reserve_until_answered(&gateway, &sub, "the-one", &far()).await);
        outcome.add(sub, answer);
    }
    ready(&gateway, true).await;
    let on_the_way = unknown + outcome.put_off.get("outcome-unknown").copied().unwrap_or(0);
    assert!(on_the_way > 0, "{:?} {:?}", stopped.put_off, outcome.put_off);
    assert_eq!(outcome.winners.len(), 200);
    outcome.reconcile(&gateway).await;
    assert_eq!(changes(&gateway, "adopt").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_at_once_and_memory_stays_bounded() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--queue-max", "50"]).await;
    open(&gateway, &stock(3000)).await;
    let before = resident_kib(gateway.pid());

    redis.stop();
    let mut kinds = SpikeOutcome::default();
    let mut winners = Vec::new();
    // Two waves, each once the last answer of the one before has come.
    for wave in 0..2 {
        let taps = (0..1000).map(|n| {
            let sub = format!("b-{wave}-{n}");
            let tap = gateway.tap(&sub, "k", &far());
            async move { (sub, Answer::of(&send(tap).await)) }
        });
        for (sub, answer) in futures_util::future::join_all(taps).await {
            if answer == Answer::Later("outcome-unknown".into()) {
                winners.push(sub.clone());
            }
            kinds.add(sub, answer);
        }
    }
    let grown = resident_kib(gateway.pid()).saturating_sub(before);
    redis.signal(Signal::CONT);

    // At most a full queue and what was on its way, for each of the two workers.
    assert!(kinds.winners.is_empty() && kinds.refused.is_empty());
    assert!(kinds.put_off["temporary-reduced-capacity"] >= 1700, "{:?}", kinds.put_off);

    assert!(grown < 64 * 1024, "{grown} KiB more");
    // Each that is unknown is decided once.
    for sub in winners {
        let first = reserve_until_answered(&gateway, &sub, "k", &far()).await;
        let again = reserve_until_answered(&gateway, &sub, "k", &far()).await;
        assert_eq!(first.id(), again.id());
    }
    balanced(&gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_flushed_again_and_again_are_loaded_again() {
    let redis = Redis::start();
    let (one, two) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    open(&one, &stock(200)).await;
    known(&two, "small").await;

    let spike = Spike::start(&[&one, &two], "b", 300, &far());
    eventually("the spike is over", || async {
        redis.run::<()>("SCRIPT FLUSH SYNC");
        spike.is_over().then_some(())
    })
    .await;
    let outcome = spike.end().await;
    assert_eq!((outcome.winners.len(), outcome.refused.len()), (200, 100));
    assert!(!outcome.put_off.contains_key("outcome-unknown"), "{:?}", outcome.put_off);
    outcome.reconcile(&two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_takes_no_holds_and_lets_all_else_go_on() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &stock(300)).await;
    open(&gateway, &with(brief(), "/sale/id", json!("other"))).await;
    let (paid, left) =
        (gateway.reserve("paid", "k", &far()).await.id(), gateway.reserve("left", "k", &far()).await.id());
    let hold = gateway
        .request(Method::POST, "/v1/sales/other/reservations")
        .bearer_auth(token("brief"))
        .header("idempotency-key", "k");
    assert_eq!(send(hold.json(&far())).await.status, 201);

    // In the middle of the spike nothing fits any more. (A limit a little above what is in use may never be reached:
    // Redis frees buffers in between.) What was sent before is decided by the time of the next answers.
    let spike = Spike::start(&[&gateway], "b", 400, &far());
    spike.won(20).await;
    redis.run::<()>("CONFIG SET maxmemory 1");
    spike.put_off(50).await;
    let made = changes(&gateway, "reserve").await;
    spike.put_off(50).await;
    let refused = gateway.reserve("late", "k", &far()).await;
    assert_eq!((refused.status, refused.problem()), (503, "temporary-reduced-capacity"));
    assert_eq!(changes(&gateway, "reserve").await, made);
    let confirmed = gateway.confirm(&paid, "pay-1", 1).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let cancelled = gateway.cancel("left", &left).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    eventually("a hold expires", || async {
        let audit = gateway.ops_get("/admin/v1/sales/other/audit").await.json;
        (audit["reservations"]["expired"] == 1).then_some(())
    })
    .await;
    balanced(&gateway).await;

    redis.run::<()>("CONFIG SET maxmemory 0");
    let outcome = spike.end().await;
    assert_eq!((outcome.winners.len(), outcome.refused.len()), (299, 101));
    assert!(!outcome.put_off.contains_key("outcome-unknown"), "{:?}", outcome.put_off);
    outcome.reconcile(&gateway).await;
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_is_seen_as_a_fault_and_recovers() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &stock(2)).await;
    let first = reserve_until_answered(&gateway, "first", "k", &far()).await;

    redis.run::<()>("CONFIG SET min-replicas-to-write 1");
    for sub in ["first", "second"] {
        let tap = gateway.reserve(sub, "k", &far()).await;
        assert_eq!((tap.status, tap.problem()), (503, "temporary-reduced-capacity"), "{}", tap.text);
    }
    eventually("the fault is visible", || async { fault(&gateway).await.then_some(()) }).await;
    // Acknowledged reservations are still readable.
    let path = format!("/v1/sales/small/reservations/{}", first.id());
    let read = gateway.get_as("first", &path).await;
    assert_eq!(read.status, 200, "{}", read.text);

    redis.run::<()>("CONFIG SET min-replicas-to-write 0");
    wins(&gateway, "second", "k", &far()).await;
    eventually("the fault is over", || async { (!fault(&gateway).await).then_some(()) }).await;
    balanced(&gateway).await;
}

/// `VmRSS` of a process.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
