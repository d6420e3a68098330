//! Answers to taps when Redis is late, or when the definition is outdated: true, and still true later.

use futures_util::future::join;
use gateway::domain::decision::Decision;
use testkit::{PATIENCE, eventually};

use crate::model::link::Fault;
use crate::model::{START, World, simple, tap};
use crate::recovery::replaced::applied;

const SOON: std::time::Duration = std::time::Duration::from_millis(5);

#[test]
fn a_sent_tap_is_unknown_when_its_answer_is_late_and_a_queued_one_was_not_taken() {
    let world = World::start();
    world.run(async {
        let (ledger, id) = applied(&world).await;
        let instance = ledger.instance(0, &id).await;
        instance.link.arm(Fault::AnswerLate, 0);
        let (ada, bob) = ([tap("ada", "k")], [tap("bob", "k")]);
        let behind = async {
            instance.link.held().await;
            instance.reserve_within(&bob, SOON).await
        };
        let (sent, waited) = join(instance.reserve_within(&ada, SOON), behind).await;
        assert_eq!(sent, [Decision::Unknown]);
        assert!(matches!(waited[..], [Decision::NotTaken(_)]), "{waited:?}");
        instance.link.let_go().await;
        // So it was: ada has a reservation, and bob has none.
        let again = instance.reserve(&ada, false).await;
        assert!(matches!(again[..], [Decision::Replayed(..)]), "{again:?}");
        assert_eq!(ledger.audit(&id).await.reservations.held, 1);
    });
}

#[test]
fn a_tap_that_waited_for_a_definition_in_vain_is_not_sent_when_it_comes() {
    let world = World::start();
    world.run(async {
        let (ledger, id) = applied(&world).await;
        let instance = ledger.following_instance(0, &id).await;
        let reads_again = world.stop_reading().await;
        ledger.set_time(START).await;
        let mut definition = simple(&id);
        definition.sale.name = "Renamed".to_owned();
        ledger.apply(&definition).await;
        // One batch, which the ledger refuses: it is of the definition before.
        let (ada, bob) = ([tap("ada", "k")], [tap("bob", "k")]);
        let hasty = async {
            let answer = instance.reserve_within(&ada, SOON).await;
            reads_again();
            answer
        };
        let (patient, hasty) = join(instance.reserve_within(&bob, PATIENCE), hasty).await;
        assert!(matches!(hasty[..], [Decision::NotTaken(_)]), "{hasty:?}");
        assert!(matches!(patient[..], [Decision::Won(..)]), "{patient:?}");
        assert_eq!(
            ledger.audit(&id).await.reservations.held,
            1,
            "the answer to ada was that nothing was reserved"
        );
        eventually("bob is in the read model", || async {
            (instance.sale.read_model().sequence == 3).then_some(())
        })
        .await;
    });
}
