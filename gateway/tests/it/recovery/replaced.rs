//! Tests a gateway whose sale is replaced, step by step.

use std::rc::Rc;

use futures_util::future::join;
use gateway::domain::decision::Decision;
use gateway::domain::identity::{buyer_part, reservation_id};
use gateway::manage::admin::OperatorAction;
use gateway::reserve::changes::{Change, confirm, read};
use gateway::store::keys::Keys;
use gateway::store::scripts::{Failure, Refusal, Script};
use testkit::eventually;

use crate::model::instance::Instance;
use crate::model::link::Fault;
use crate::model::world::Ledger;
use crate::model::{START, World, paid, simple, tap};

/// A ledger, and a sale in it.
pub async fn applied(world: &World) -> (Rc<Ledger>, String) {
    let (ledger, id) = (world.ledger.clone(), world.ledger.fresh());
    ledger.set_time(START).await;
    ledger.apply(&simple(&id)).await;
    (ledger, id)
}

/// Another sale takes the name: its keys are deleted, and it is applied anew.
async fn replace(ledger: &Ledger, id: &str) {
    ledger.forget(id).await;
    let mut definition = simple(id);
    definition.sale.name = "Another".to_owned();
    ledger.apply(&definition).await;
}

/// The refusal of a caller that means another incarnation than the ledger has.
async fn refuses(ledger: &Ledger, instance: &Instance) -> Refusal {
    let keys = Keys::of(&instance.sale.id);
    let incarnation: String = ledger.command(&["HGET", keys.state(), "incarnation"]).await;
    let epoch: String = ledger.command(&["HGET", keys.state(), "epoch"]).await;
    Refusal::Incarnation { incarnation, epoch }
}

#[test]
fn the_journal_consumer_takes_nothing_of_another_sale_into_the_one_that_it_follows() {
    let world = World::start();
    world.run(async {
        let (ledger, id) = applied(&world).await;
        let instance = ledger.following_instance(0, &id).await;
        assert!(matches!(instance.reserve(&[tap("ada", "k")], false).await[..], [Decision::Won(..)]));
        eventually("it is read", || async { (instance.sale.read_model().sequence == 2).then_some(()) }).await;

        replace(&ledger, &id).await;
        // It passes the sequence of the one before; nothing but the consumer meets it.
        for _ in 0..3 {
            ledger.perform(&id, OperatorAction::Pause).await;
            ledger.perform(&id, OperatorAction::Resume).await;
        }
        eventually("it is found", || async { instance.sale.is_replaced().then_some(()) }).await;
        let read_model = instance.sale.read_model();
        assert_eq!(
            (read_model.sequence, &*read_model.catalogue.definition.sale.name),
            (2, &*simple(&id).sale.name)
        );
        let found = ledger.following_instance(1, &id).await;
        assert_eq!(found.sale.read_model().catalogue.definition.sale.name, "Another");
        assert!(found.sale.incarnation() > instance.sale.incarnation());
    });
}

#[test]
fn an_answer_about_an_earlier_sale_is_not_acknowledged() {
    let world = World::start();
    world.run(async {
        let (ledger, id) = applied(&world).await;
        let instance = ledger.instance(0, &id).await;
        instance.link.arm(Fault::AnswerLate, 0);
        // It wins, and before the answer comes the sale is another.
        let taps = [tap("ada", "k")];
        let meanwhile = async {
            instance.link.held().await;
            replace(&ledger, &id).await;
            let refused = read(&instance.redis_connection, &instance.sale, &buyer_part(&id, "ada")).await;
            assert_eq!(refused.unwrap_err(), Failure::Refused(refuses(&ledger, &instance).await));
            assert!(instance.sale.is_replaced());
            instance.link.let_go().await;
        };
        let (answered, ()) = join(instance.reserve(&taps, false), meanwhile).await;
        assert_eq!(answered, [Decision::Unknown]);
        // Nor is anything else taken for it.
        assert!(matches!(instance.reserve(&[tap("bob", "k")], false).await[..], [Decision::NotTaken(_)]));
        let paid =
            confirm(&instance.redis_connection, &instance.sale, &reservation_id(&id, "ada", "k"), paid(1))
                .await;
        assert!(matches!(paid, Change::NotTaken(_)), "{paid:?}");
        let report = ledger.audit(&id).await;
        assert_eq!((report.sequence, report.reservations.held), (1, 0));
    });
}

#[test]
fn another_incarnation_is_refused_before_anything_else_is_judged() {
    let world = World::start();
    world.run(async {
        let (ledger, id) = applied(&world).await;
        let instance = ledger.instance(0, &id).await;
        let live = instance.redis_connection.live().unwrap();
        let keys = Keys::of(&id);
        replace(&ledger, &id).await;
        let expected = refuses(&ledger, &instance).await;
        // Of another Redis, older than known, damaged: what is known is of another sale.
        ledger.command::<i64>(&["DEL", keys.stock()]).await;
        let identity = instance.sale.ledger_identity("another");
        let part = buyer_part(&id, "ada");
        let calls: [(Script, &[&str]); 12] = [
            (Script::Reserve, &[&identity, "7", "1", "0", "0", "", "", "", ""]),
            (Script::Amend, &[&identity, "7", "id", "1", "1", "buyer", "m1", "-", "s1", "-", "-"]),
            (Script::Confirm, &[&identity, "7", "id", "pay", "1"]),
            (Script::Cancel, &[&identity, "7", "id", "service"]),
            (Script::Tick, &[&identity, "7"]),
            (Script::Expire, &[&identity, "7", "64"]),
            (Script::Apply, &[&identity, "7", "1", "{}", "1", "2", "3", "4", "5", "6", "-", "ops", "-"]),
            (Script::Restock, &[&identity, "7", "model:m1", "30", "5", "ops", "-"]),
            (Script::OperatorAction, &[&identity, "7", "pause", "ops", "-"]),
            (Script::Replay, &[&identity]),
            (Script::Purge, &[&identity, "7", "7"]),
            (Script::Reservations, &[&part, &identity, "7"]),
        ];
        for (script, args) in calls {
            let answer = instance.redis_connection.call(&live, script, &keys, args).await;
            assert_eq!(answer, Err(Failure::Refused(expected.clone())), "{script:?}");
        }
        let adopt = [&live.epoch, "7", &identity, "gateway", "0", "0"];
        let answer = instance.redis_connection.call(&live, Script::Adopt, &keys, &adopt[..]).await;
        assert_eq!(answer, Err(Failure::Refused(expected)));
    });
}
