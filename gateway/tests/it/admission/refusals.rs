//! Refusals from the read model: only if it has everything that was decided before the request arrived.

use std::sync::Arc;

use gateway::admit::{AdmissionRequest, TapAdmission};
use gateway::domain::decision::Decision;
use gateway::manage::admin::OperatorAction;
use gateway::projection::read_model::{Sale, Sales};
use gateway::reserve::rounds::make_round;
use serde_json::{Value, json};
use testkit::definition::{known, open, small, with};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::redis::Redis;

use crate::launch::spike::balanced;
use crate::model::instance::Instance;
use crate::model::world::ops;
use crate::model::{Fault, START, World, simple, tap};

/// Buyers that win at one gateway and tap at the other at once.
const BUYERS: usize = 150;

fn black() -> Value {
    json!({"model": "black", "store": "sh-1"})
}

fn white() -> Value {
    json!({"model": "white", "store": "sh-1"})
}

async fn sold_out(gateway: &Gateway, sub: &str) {
    eventually("all is sold out", || async {
        let reply = gateway.reserve(sub, "k", &white()).await;
        (reply.problem() == "sold-out").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_buyer_is_never_refused_at_another_gateway() {
    let redis = Redis::start();
    let a = Gateway::start(&redis).await;
    let b = Gateway::start(&redis).await;
    open(&a, &with(small(), "/model/0/stock", json!(1))).await;
    known(&b, "small").await;
    let a = Arc::new(a);
    // Other buyers change the sale meanwhile, so that every read model lags a little.
    let changing = tokio::spawn({
        let a = a.clone();
        async move {
            for n in 0.. {
                let sub = format!("other-{n}");
                let won = a.reserve(&sub, "k", &black()).await;
                assert_eq!(a.cancel(&sub, &won.id()).await.status, 200);
            }
        }
    });
    for n in 0..BUYERS {
        let sub = format!("buyer-{n}");
        let won = a.reserve(&sub, "k", &white()).await;
        assert_eq!(won.status, 201, "buyer {n}: {}", won.text);
        let again = b.reserve(&sub, "k", &white()).await;
        assert_eq!((again.status, again.id()), (200, won.id()), "buyer {n}: {}", again.text);
        // The car comes back for the next buyer.
        assert_eq!(a.cancel(&sub, &won.id()).await.status, 200);
    }
    changing.abort();
    balanced(&a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_back_before_the_request_is_had_at_another_gateway() {
    let redis = Redis::start();
    let a = Gateway::start(&redis).await;
    let b = Gateway::start(&redis).await;
    open(&a, &with(small(), "/model/0/stock", json!(1))).await;
    known(&b, "small").await;
    let mut won = a.reserve("buyer-0", "k", &white()).await;
    sold_out(&b, "stranger").await;
    for n in 1..40 {
        assert_eq!(a.cancel(&format!("buyer-{}", n - 1), &won.id()).await.status, 200);
        won = b.reserve(&format!("buyer-{n}"), "k", &white()).await;
        assert_eq!(won.status, 201, "buyer {n}: {}", won.text);
    }
    // An operator action, too, holds from its answer on.
    assert_eq!(a.action("pause", &json!({})).await.status, 200);
    assert_eq!(b.reserve("late", "k", &black()).await.problem(), "sale-paused");
    assert_eq!(a.action("resume", &json!({})).await.status, 200);
    assert_eq!(b.reserve("late", "k", &black()).await.status, 201);
    balanced(&a).await;
}

#[tokio::test]
async fn a_refusal_costs_the_ledger_no_decision() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--workers", "1"]).await;
    open(&gateway, &with(small(), "/model/0/stock", json!(1))).await;
    assert_eq!(gateway.reserve("winner", "k", &white()).await.status, 201);
    let count = async || {
        let metrics = gateway.metrics().await;
        (metrics.of("batch_taps_count"), metrics.of("stage_duration_seconds_count{stage=\"round\"}"))
    };
    // On a busy machine a round may be late, and then the ledger is asked.
    eventually("a refusal without a decision of the ledger", || async {
        let (batches, waits) = count().await;
        assert_eq!(gateway.reserve("stranger", "k", &white()).await.problem(), "sold-out");
        let after = count().await;
        (after.0 == batches && after.1 > waits).then_some(())
    })
    .await;
}

#[tokio::test]
async fn while_a_sale_is_fenced_nothing_is_refused_from_the_read_model() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let mut gone = Gateway::start(&redis).await;
    open(&gateway, &with(small(), "/model/0/stock", json!(1))).await;
    known(&gone, "small").await;
    assert_eq!(gateway.reserve("winner", "k", &white()).await.status, 201);
    sold_out(&gateway, "stranger").await;
    // The fleet has both; recovery waits for the one that is gone, since only it may have acknowledged something.
    eventually("the gateways see each other", || async {
        (gateway.metrics().await.of("fleet_gateways") >= 2.0).then_some(())
    })
    .await;
    gone.kill();
    // As if another Redis served by now: the very next request meets it, before any tick has.
    redis.run::<i64>("HSET lg:{small}:state epoch another");
    for n in 0..20 {
        let reply = gateway.reserve(&format!("late-{n}"), "k", &white()).await;
        assert_eq!((reply.status, reply.problem()), (503, "temporary-reduced-capacity"), "{}", reply.text);
    }
}

/// The read model's decision on a tap of a buyer without a reservation.
fn refusal(sale: &Arc<Sale>, arrived: std::time::Instant) -> Option<Decision> {
    let request =
        AdmissionRequest { model: "m1", packages: &[] as &[&str], store: Some("s1"), accept_partial: false };
    let sub = "eve".into();
    TapAdmission::new(sale, &sub, "k", request, arrived)
        .admit(std::time::Instant::now())
        .err()
        .map(|(refusal, _)| refusal)
}

#[test]
fn a_round_is_complete_as_of_its_start_not_its_answer() {
    let world = World::start();
    let ledger = world.ledger.clone();
    world.run(async move {
        let sale = ledger.fresh();
        // Well past the opening, outside of the margin of the clock.
        ledger.set_time(START + 60_000).await;
        ledger.apply(&simple(&sale)).await;
        let here = ledger.instance(0, &sale).await;
        for (buyer, key) in [("ada", "k0"), ("bob", "k0"), ("cyd", "k0")] {
            here.reserve(&[tap(buyer, key)], false).await;
        }
        // A gateway with the present sale and no journal consumer.
        let (here, there) = (ledger.instance(0, &sale).await, ledger.instance(1, &sale).await);
        here.read_clock().await;
        let sales = Sales::default();
        let round = |instance: &Instance| {
            let (redis_connection, sale) = (instance.redis_connection.clone(), instance.sale.clone());
            let sales = &sales;
            async move { make_round(&redis_connection, sales, &sale).await }
        };

        let before = std::time::Instant::now();
        round(&here).await;
        let gone =
            Some(Decision::SoldOut { items: vec!["model:m1".into(), "store:s1".into()], is_final: false });
        assert_eq!(refusal(&here.sale, before), gone);
        assert_eq!(refusal(&here.sale, std::time::Instant::now()), None, "that round was begun before");

        // A ledger that is served by another Redis, is another sale of this name, or is older than what was read of it.
        for (field, other) in [("epoch", "another"), ("incarnation", "0"), ("sequence", "1")] {
            let state = here.sale.keys.state();
            let found: String = ledger.command(&["HGET", state, field]).await;
            ledger.command::<i64>(&["HSET", state, field, other]).await;
            let arrived = std::time::Instant::now();
            round(&here).await;
            assert_eq!(refusal(&here.sale, arrived), None, "{field}");
            ledger.command::<i64>(&["HSET", state, field, &found]).await;
            round(&here).await;
            assert_eq!(refusal(&here.sale, arrived), gone, "{field} is as it was");
        }

        // The answer of a round is under way when something changes, and a request arrives.
        here.link.arm(Fault::AnswerLate, 0);
        let under_way = round(&here);
        let meanwhile = async {
            here.link.held().await;
            ledger.admin_of(&there).perform(&sale, OperatorAction::Pause, &ops()).await.unwrap();
            let arrived = std::time::Instant::now();
            here.link.let_go().await;
            arrived
        };
        let ((), arrived) = futures_util::future::join(under_way, meanwhile).await;
        assert_eq!(
            refusal(&here.sale, arrived),
            None,
            "what has changed before it arrived is not in the model"
        );
        // And the next round finds the model older than the ledger.
        round(&here).await;
        assert_eq!(refusal(&here.sale, arrived), None);
    });
}
