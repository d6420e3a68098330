//! Each of a sale's ten keys of another type, or gone: nothing is written, the key is named, and the sale
//! goes on once it is fixed.

use gateway::manage::audit::AuditVerdict;
use gateway::store::scripts::{Failure, Refusal};

use super::{DamagedSale, five};
use crate::model::World;
use crate::model::world::ops;

/// Where a key is put aside.
const ASIDE: &str = "aside";

/// One key after the other is put aside, `spoil` puts something in its place (or nothing), and back it comes.
fn each_key_damaged(spoil: fn(key: &str, kind: &str) -> Option<Vec<String>>) {
    let world = World::start();
    world.run(async {
        for at in 0..10 {
            let sale = DamagedSale::open(&world).await;
            let key = &sale.keys.all()[at];
            let kind: String = sale.ledger.command(&["TYPE", key]).await;
            sale.ledger.command::<()>(&["RENAME", key, ASIDE]).await;
            if let Some(words) = spoil(key, &kind) {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                sale.ledger.command::<redis::Value>(&words).await;
            }
            let before = sale.dump().await;
            for (name, answer) in sale.every_operation().await {
                let answered = answer.expect_err(&format!("{name} was done without {key}"));
                assert!(answered.is_empty() || answered.contains(key), "{name} without {key}: {answered}");
                assert_eq!(sale.dump().await, before, "{name} wrote without {key}");
            }
            assert_eq!(sale.dump().await, before, "a tap or a change wrote without {key}");
            let (verdict, problems) = sale.problems().await;
            assert_eq!(verdict, AuditVerdict::Drift);
            assert!(problems.contains(key), "{key}: {problems}");

            sale.ledger.command::<()>(&["RENAME", ASIDE, key]).await;
            sale.works().await;
        }
    });
}

#[test]
fn a_key_of_another_type_stops_everything_and_nothing_is_written() {
    each_key_damaged(|key, kind| {
        let words = if kind == "string" { ["RPUSH", key, "x"] } else { ["SET", key, "x"] };
        Some(words.map(str::to_owned).to_vec())
    });
}

#[test]
fn a_key_that_is_gone_stops_everything_and_is_not_made_anew() {
    each_key_damaged(|_, _| None);
}

#[test]
fn a_sale_without_state_and_journal_is_not_started_again() {
    let world = World::start();
    world.run(async {
        let sale = DamagedSale::open(&world).await;
        let (state, journal) = (&sale.keys.all()[0], sale.keys.journal());
        sale.ledger.command::<i64>(&["DEL", state, journal]).await;
        let before = sale.dump().await;
        let applied = sale.ledger.admin.apply(&five(&sale.id), &ops()).await;
        assert!(matches!(applied, Err(Failure::Refused(Refusal::Damaged(_)))), "{applied:?}");
        for (name, answer) in sale.every_operation().await {
            assert!(answer.is_err(), "{name}");
        }
        assert_eq!(sale.dump().await, before);
    });
}
