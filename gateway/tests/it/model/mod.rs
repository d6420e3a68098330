//! The property: over thousands of random histories the ledger answers, counts and audits as a small model does.

mod crash;
mod life;
mod plan;
mod sale;
pub mod world;

use std::cell::Cell;

use gateway::domain::definition::{Definition, Package};
use gateway::domain::identity::reservation_id;
use gateway::ledger::admin::Applied;
use gateway::ledger::changes::{self, Amendment, By, Change};
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestError, TestRunner};

use life::live_through;
use plan::histories;
pub use plan::{History, START, Tap};
pub use world::World;

type Outcome = Result<(), TestCaseError>;

/// Gateways that read the sale now and then, so that what they know is outdated between.
#[test]
fn the_ledger_does_what_the_model_does() {
    property("the-ledger", 2_000, 5..40, Gateways::Outdated);
}

/// Gateways that follow the journal, as real ones do.
#[test]
fn gateways_that_follow_do_what_the_model_does() {
    property("following", 120, 5..40, Gateways::Following);
}

/// Redis forgets the last changes, and gets them back from what gateways have read of its journal.
#[test]
fn a_ledger_that_is_healed_from_what_was_read_does_what_the_model_does() {
    property("healed-from-read", 150, 5..40, Gateways::FollowingCrashes);
}

/// Redis forgets the last changes, and gets them back from nothing but the answers that gateways gave.
#[test]
fn a_ledger_that_is_healed_from_what_was_told_does_what_the_model_does() {
    property("healed-from-told", 600, 5..40, Gateways::OutdatedCrashes);
}

/// An item is known to no gateway before its definition has come to it through the journal.
#[test]
fn a_patch_to_an_item_that_is_newer_than_the_gateway_waits_for_it() {
    let world = World::start();
    let ledger = world.ledger.clone();
    world.run(async move {
        let sale = ledger.fresh();
        let mut definition = simple(&sale);
        ledger.set_time(START).await;
        ledger.apply(&definition).await;
        let gate = ledger.following_gate(0, &sale).await;
        gate.reserve(&[tap("ada", "k0")], false).await;
        let id = reservation_id(&sale, "ada", "k0");
        for n in 0..20 {
            let new = format!("new-{n}");
            let package = definition.packages[1].clone();
            definition.packages.push(Package { id: new.clone(), ..package });
            assert_eq!(ledger.apply(&definition).await, Applied::Updated(n + 2));
            let wanted = Amendment { packages: Some(vec![new.clone()]), ..Amendment::default() };
            match changes::amend(&gate.lane, &gate.sale, &id, By::Service, &wanted).await {
                Change::Done(r, _) => assert_eq!(r.packages, [new]),
                other => panic!("{other:?}"),
            }
        }
    });
}

/// A sale that is open, with a few of everything: `m1`, `m2`, `p1` for `m1`, `p2`, `s1`, `s2`.
pub fn simple(sale: &str) -> Definition {
    let (stocks, ops) = (vec![Some(3); 6], Vec::new());
    History { per_buyer: 1, attempts: 3, opens_in: 0, stocks, ops }.definition(sale)
}

/// For `m1` at `s1`.
pub fn tap(buyer: &'static str, key: &'static str) -> Tap {
    Tap { buyer, key, model: "m1", packages: Vec::new(), store: "s1", partial: false }
}

/// What gateways know of a sale, and what becomes of it.
#[derive(Clone, Copy, PartialEq)]
enum Gateways {
    Outdated,
    Following,
    OutdatedCrashes,
    FollowingCrashes,
}

impl Gateways {
    fn follow(self) -> bool {
        matches!(self, Self::Following | Self::FollowingCrashes)
    }

    fn crash(self) -> bool {
        matches!(self, Self::OutdatedCrashes | Self::FollowingCrashes)
    }
}

/// `PROPTEST_CASES` sets the number of histories; what fails is shrunk, and its seed kept in `regressions-*.txt`.
fn property(name: &str, cases: u32, ops: std::ops::Range<usize>, gateways: Gateways) {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config.max_shrink_iters = 3_000;
    let kept: &'static str =
        format!("{}/tests/it/model/regressions-{name}.txt", env!("CARGO_MANIFEST_DIR")).leak();
    config.failure_persistence = Some(Box::new(FileFailurePersistence::Direct(kept)));
    let world = World::start();
    let (lived, crashes) = (Cell::new(0_u64), Cell::new(0));
    let outcome = TestRunner::new(config).run(&histories(ops, gateways.crash()), |history| {
        let sale = world.ledger.fresh();
        let outcome = world.run(live_through(&world.ledger, &sale, &history, gateways.follow(), &crashes));
        lived.set(lived.get() + 1);
        world.run(world.ledger.forget(&sale));
        outcome
    });
    if let Err(TestError::Fail(reason, history)) = outcome {
        panic!("{reason}\n{history:?}");
    }
    println!("{name}: {} histories, {} crashes of Redis", lived.get(), crashes.get());
    assert_eq!(crashes.get() > 0, gateways.crash());
}
