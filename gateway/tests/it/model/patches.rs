//! Tests PATCHes whose item or version changes while they are on their way.

use futures_util::future::join;
use gateway::domain::definition::Package;
use gateway::domain::identity::reservation_id;
use gateway::manage::admin::ApplyOutcome;
use gateway::reserve::changes::{self, Amendment, Change, Requester};

use super::instance::Instance;
use super::link::Fault;
use super::plan::START;
use super::world::World;
use super::{simple, tap};

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
        let instance = ledger.following_instance(0, &sale).await;
        instance.reserve(&[tap("ada", "k0")], false).await;
        let id = reservation_id(&sale, "ada", "k0");
        for n in 0..20 {
            let new = format!("new-{n}");
            let package = definition.packages[1].clone();
            definition.packages.push(Package { id: new.clone(), ..package });
            assert_eq!(ledger.apply(&definition).await, ApplyOutcome::Updated(n + 2));
            let wanted = Amendment { packages: Some(vec![new.clone()]), ..Amendment::default() };
            match changes::amend(&instance.redis_connection, &instance.sale, &id, Requester::Service, &wanted)
                .await
            {
                Change::Done(r, _) => assert_eq!(r.packages, [new]),
                other => panic!("{other:?}"),
            }
        }
    });
}

/// The version that a PATCH is for comes between its read and its change.
#[test]
fn a_patch_for_a_version_that_comes_meanwhile_is_made() {
    let world = World::start();
    let ledger = world.ledger.clone();
    world.run(async move {
        let sale = ledger.fresh();
        ledger.set_time(START).await;
        ledger.apply(&simple(&sale)).await;
        let (here, elsewhere) = (ledger.instance(0, &sale).await, ledger.instance(1, &sale).await);
        here.reserve(&[tap("ada", "k0")], false).await;
        let id = reservation_id(&sale, "ada", "k0");
        let amend = async |instance: &Instance, packages: &[&str], version| {
            let packages = Some(packages.iter().map(ToString::to_string).collect());
            let wanted = Amendment { packages, version, ..Amendment::default() };
            let by = Requester::Service;
            match changes::amend(&instance.redis_connection, &instance.sale, &id, by, &wanted).await {
                Change::Done(r, _) => (r.version, r.packages),
                other => panic!("{other:?}"),
            }
        };
        here.link.arm(Fault::AnswerLate, 0);
        let meanwhile = async {
            here.link.held().await;
            assert_eq!(amend(&elsewhere, &["p1"], None).await.0, 2);
            here.link.let_go().await;
        };
        let (answered, ()) = join(amend(&here, &["p2"], Some(2)), meanwhile).await;
        assert_eq!(answered, (3, vec!["p2".to_owned()]));
    });
}

/// The version that a PATCH is for is outdated between its read and its change: no item matters any more.
#[test]
fn a_patch_for_a_version_that_goes_meanwhile_is_outdated() {
    let world = World::start();
    let ledger = world.ledger.clone();
    world.run(async move {
        let sale = ledger.fresh();
        ledger.set_time(START).await;
        ledger.apply(&simple(&sale)).await;
        let (here, elsewhere) = (ledger.instance(0, &sale).await, ledger.instance(1, &sale).await);
        here.reserve(&[tap("ada", "k0")], false).await;
        let id = reservation_id(&sale, "ada", "k0");
        let amend = async |instance: &Instance, package: &str, version| {
            let wanted =
                Amendment { packages: Some(vec![package.to_owned()]), version, ..Amendment::default() };
            changes::amend(&instance.redis_connection, &instance.sale, &id, Requester::Service, &wanted).await
        };
        here.link.arm(Fault::AnswerLate, 0);
        let meanwhile = async {
            here.link.held().await;
            let made = amend(&elsewhere, "p1", None).await;
            assert!(matches!(&made, Change::Done(r, _) if r.version == 2), "{made:?}");
            here.link.let_go().await;
        };
        let (answered, ()) = join(amend(&here, "none", Some(1)), meanwhile).await;
        assert!(matches!(&answered, Change::Changed(r) if r.version == 2), "{answered:?}");
        let unknown = Change::UnknownItem(vec!["package:none".to_owned()]);
        assert_eq!(
            [amend(&here, "none", Some(2)).await, amend(&here, "none", None).await],
            [unknown.clone(), unknown]
        );
    });
}
