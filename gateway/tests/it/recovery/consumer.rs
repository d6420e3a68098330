//! Tests the journal consumer when a journal goes back, and when a definition is ahead of the
//! journal.

use gateway::domain::decision::Decision;
use gateway::domain::definition::Store;
use gateway::manage::admin::OperatorAction;
use gateway::store::keys::Keys;
use testkit::{PATIENCE, eventually};

use crate::model::{Tap, World, simple, tap};
use crate::recovery::confirmed_count::whole;
use crate::recovery::replaced::applied;

/// As after a failover to a replica that was behind, while the consumer had no connection.
#[test]
fn a_journal_that_went_back_and_on_in_another_way_is_read_anew() {
    let world = World::start();
    world.run(async {
        let (ledger, id) = applied(&world).await;
        let keys = Keys::of(&id);
        let instance = ledger.following_instance(0, &id).await;
        let mut before = Vec::new();
        for key in keys.all() {
            before.push((key, ledger.command::<Option<Vec<u8>>>(&["DUMP", key]).await));
        }
        assert!(matches!(instance.reserve(&[tap("ada", "k")], false).await[..], [Decision::Won(..)]));
        eventually("it is read", || async { (instance.sale.read_model().sequence == 2).then_some(()) }).await;

        let reads_again = world.stop_reading().await;
        for (key, dump) in before {
            ledger.command::<i64>(&["DEL", key]).await;
            if let Some(dump) = dump {
                ledger.restore(key, &dump).await;
            }
        }
        let other = ledger.instance(1, &id).await;
        let bob = Tap { model: "m2", store: Some("s2"), ..tap("bob", "k") };
        assert!(matches!(other.reserve(&[bob], false).await[..], [Decision::Won(..)]));
        reads_again();
        let anew = ledger.load(&id).await.read_model();
        assert_eq!((anew.sequence, anew.counts[0]), (2, 1));
        eventually("the read model equals the ledger", || async {
            (whole(&instance.sale.read_model()) == whole(&anew)).then_some(())
        })
        .await;
    });
}

/// A definition may be newer than the entries read with it; these must not set the read model back.
#[test]
fn the_read_model_continues_from_a_definition_read_ahead_of_the_journal() {
    continues_from_a_definition_with(0);
}

/// One with so many more stores is indexed in another thread, while its journal waits.
#[test]
fn the_read_model_continues_from_a_definition_that_takes_long_to_index() {
    continues_from_a_definition_with(5_000);
}

fn continues_from_a_definition_with(stores: usize) {
    /// More than one read takes.
    const ACTIONS: u64 = 600;
    let world = World::start();
    world.run(async {
        let (ledger, id) = applied(&world).await;
        let instance = ledger.following_instance(0, &id).await;
        let reads_again = world.stop_reading().await;
        let mut definition = simple(&id);
        definition.sale.name = "Renamed".to_owned();
        for n in 0..stores {
            let (id, address) = (format!("more-{n}"), Some("x".repeat(100)));
            definition.stores.push(Store { id, address, ..definition.stores[0].clone() });
        }
        ledger.apply(&definition).await;
        let other = ledger.instance(1, &id).await;
        assert!(matches!(other.reserve(&[tap("ada", "k")], false).await[..], [Decision::Won(..)]));
        for n in 0..ACTIONS {
            ledger
                .perform(&id, if n % 2 == 0 { OperatorAction::Pause } else { OperatorAction::Resume })
                .await;
        }
        assert!(matches!(other.reserve(&[tap("bob", "k")], false).await[..], [Decision::Won(..)]));
        reads_again();
        let (mut seen, last) = (vec![1], 4 + ACTIONS);
        let reads = async {
            // All is on one thread: nothing is passed over.
            while seen.last() != Some(&last) {
                seen.push(instance.sale.read_model().sequence);
                seen.dedup();
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, reads).await.expect("all is read");
        assert_eq!(seen, [1, last]);
        assert_eq!(whole(&instance.sale.read_model()), whole(&ledger.load(&id).await.read_model()));
    });
}
