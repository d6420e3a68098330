//! Compares the ledger with a small model over thousands of random histories.

mod call;
pub mod crash;
mod definition;
mod draw;
mod faulty;
pub mod instance;
mod life;
pub mod link;
mod patches;
mod plan;
pub mod sale;
mod sign_ups;
mod standby;
mod together;
pub mod world;

use std::cell::Cell;

use gateway::domain::definition::Definition;
use gateway::domain::identity::{BuyerHash, buyer_part, reservation_id};
use gateway::domain::reservation::State;
use gateway::domain::standby::PlaceState;
use gateway::manage::audit::AuditVerdict;
use gateway::reserve::batch::JoinDecision;
use gateway::reserve::changes::{self, Payment, Requester};
use gateway::reserve::standby::{grant, leave};

use crash::Past;
use instance::plain;
use life::{Met, live_through};
pub use link::Fault;
pub use plan::{History, JoinRequest, START, SignUpRequest, Tap};
use plan::{Troubles, histories};
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestError, TestRunner};
use sale::Clocks;
pub use world::World;

/// Buyers sign up, and what they want is drawn; who gets nothing waits.
const DRAWS: Troubles = Troubles {
    crashes: false,
    faults: false,
    pairs: false,
    sign_ups: true,
    standby: true,
    draws: true,
    grants_go_on: false,
};

type Outcome = Result<(), TestCaseError>;

/// Gateways read the sale only at times, so that their read models are outdated between.
#[test]
fn the_ledger_does_what_the_model_does() {
    property("the-ledger", 1_200, false, Troubles::default());
}

/// Gateways that follow the journal, as real ones do.
#[test]
fn gateways_that_follow_do_what_the_model_does() {
    property("following", 120, true, Troubles::default());
}

/// Redis forgets the last changes, and gets them back from what gateways have read of its journal.
#[test]
fn a_ledger_recovered_from_read_entries_does_what_the_model_does() {
    property("recovered-from-read", 150, true, Troubles { crashes: true, ..Troubles::default() });
}

/// Redis forgets the last changes, and gets them back from nothing but the answers that gateways gave.
#[test]
fn a_ledger_recovered_from_acknowledged_changes_does_what_the_model_does() {
    property("recovered-from-acknowledged", 400, false, Troubles { crashes: true, ..Troubles::default() });
}

/// Calls and answers are lost, late or doubled between gateways and Redis: each change happens
/// once, and a retry shows it.
#[test]
fn a_ledger_whose_answers_are_lost_does_what_the_model_does() {
    property("answers-lost", 400, false, Troubles { faults: true, ..Troubles::default() });
}

/// Both at once: Redis loses unacknowledged changes, and a gateway that had read them replays them.
#[test]
fn a_ledger_recovered_without_unacknowledged_changes_does_what_the_model_does() {
    let troubles = Troubles { crashes: true, faults: true, ..Troubles::default() };
    property("answers-lost-and-recovered", 150, true, troubles);
}

/// Buyers sign up, change their choices and withdraw, among all else.
#[test]
fn sign_ups_are_what_the_model_has() {
    property("sign-ups", 400, false, Troubles { sign_ups: true, ..Troubles::default() });
}

/// Gateways that follow the journal refuse buyers without a sign-up by themselves.
#[test]
fn gateways_that_follow_know_the_sign_ups_that_the_model_has() {
    property("sign-ups-following", 60, true, Troubles { sign_ups: true, ..Troubles::default() });
}

/// Redis forgets the last changes, and gets them back from what gateways have read of its journal.
#[test]
fn sign_ups_recovered_from_read_entries_are_what_the_model_has() {
    let troubles = Troubles { crashes: true, sign_ups: true, ..Troubles::default() };
    property("sign-ups-recovered-from-read", 60, true, troubles);
}

/// And from nothing but the answers that gateways gave.
#[test]
fn sign_ups_recovered_from_acknowledged_changes_are_what_the_model_has() {
    let troubles = Troubles { crashes: true, sign_ups: true, ..Troubles::default() };
    property("sign-ups-recovered-from-acknowledged", 200, false, troubles);
}

/// Calls and answers about sign-ups are lost, late or doubled.
#[test]
fn sign_ups_whose_answers_are_lost_are_what_the_model_has() {
    let troubles = Troubles { faults: true, sign_ups: true, ..Troubles::default() };
    property("sign-ups-answers-lost", 200, false, troubles);
}

/// Buyers wait for what comes back, among all else.
#[test]
fn standby_queues_are_what_the_model_has() {
    property("standby", 400, false, Troubles { standby: true, ..Troubles::default() });
}

/// Gateways that follow the journal know every place and position.
#[test]
fn gateways_that_follow_know_the_queues_that_the_model_has() {
    property("standby-following", 60, true, Troubles { standby: true, ..Troubles::default() });
}

/// Redis forgets the last changes, and gets them back from what gateways have read of its journal.
#[test]
fn queues_recovered_from_read_entries_are_what_the_model_has() {
    let troubles = Troubles { crashes: true, standby: true, ..Troubles::default() };
    property("standby-recovered-from-read", 80, true, troubles);
}

/// And from nothing but the answers that gateways gave: a grant is one, once its buyer was shown it.
#[test]
fn queues_recovered_from_acknowledged_changes_are_what_the_model_has() {
    let troubles = Troubles { crashes: true, standby: true, grants_go_on: true, ..Troubles::default() };
    property("standby-recovered-from-acknowledged", 100, false, troubles);
}

/// Calls and answers about places are lost, late or doubled.
#[test]
fn queues_whose_answers_are_lost_are_what_the_model_has() {
    let troubles = Troubles { faults: true, standby: true, ..Troubles::default() };
    property("standby-answers-lost", 200, false, troubles);
}

/// A sale that sells by a draw, with all that may happen meanwhile.
#[test]
fn draws_are_what_the_model_has() {
    property("draws", 300, false, DRAWS);
}

/// Gateways that follow the journal refuse all taps until a draw is over.
#[test]
fn gateways_that_follow_know_the_draws_that_the_model_has() {
    property("draws-following", 60, true, DRAWS);
}

/// Redis forgets the last changes, also in the middle of an allocation: the result is the same.
#[test]
fn draws_recovered_from_read_entries_are_what_the_model_has() {
    property("draws-recovered-from-read", 80, true, Troubles { crashes: true, ..DRAWS });
}

/// Calls and answers of buyers and gateways are lost, late or doubled meanwhile.
#[test]
fn draws_whose_answers_are_lost_are_what_the_model_has() {
    property("draws-answers-lost", 150, false, Troubles { faults: true, ..DRAWS });
}

/// Whatever two gateways do at once, it is as if one had been first.
#[test]
fn calls_at_once_do_what_the_model_does_one_by_one() {
    property("at-once", 400, false, Troubles { pairs: true, ..Troubles::default() });
}

/// Redis loses places and a grant that no gateway has read: they come back from the answers that showed them.
#[test]
fn places_and_grants_that_were_only_shown_are_recovered() {
    let world = World::start();
    let ledger = world.ledger.clone();
    world.run(async move {
        let sale = ledger.fresh();
        let mut definition = simple(&sale);
        (definition.models[0].stock, definition.sale.standby) = (Some(1), true);
        ledger.set_time(START).await;
        ledger.apply(&definition).await;
        let instances = [ledger.instance(0, &sale).await, ledger.instance(1, &sale).await];
        let mut past = Past::new(&ledger, instances.len());
        past.note(&ledger, &sale, Clocks::default(), true).await;

        let [here, elsewhere] = &instances;
        here.reserve(&[tap("ada", "k0")], false).await;
        let join = |buyer| JoinRequest { buyer, model: "m1", packages: vec!["p1"], store: Some("s1") };
        let joined = here.join(&[join("bob"), join("cyd"), join("dan")]).await;
        assert_eq!(joined, [1, 2, 3].map(JoinDecision::Joined));
        leave(&elsewhere.redis_connection, &elsewhere.sale, "cyd").await;
        let ada = reservation_id(&sale, "ada", "k0");
        changes::cancel(&here.redis_connection, &here.sale, &ada, Requester::Service).await;
        let read = async || {
            let part = buyer_part(&sale, "bob");
            let (list, _) = changes::read(&elsewhere.redis_connection, &elsewhere.sale, &part).await.unwrap();
            list.into_iter().map(plain).collect::<Vec<_>>()
        };
        let shown = read().await;
        assert_eq!((shown.len(), &shown[0].packages), (1, &vec!["p1".to_owned()]));

        past.crash(&ledger, &instances, 0).await;
        assert_eq!(read().await, shown);
        let report = ledger.audit(&sale).await;
        assert_eq!(
            (report.verdict, report.problems, report.waiting),
            (AuditVerdict::Balanced, Vec::new(), Some(1))
        );
        let loaded = ledger.load(&sale).await;
        let place =
            |buyer| loaded.place(&BuyerHash::new(&sale, buyer)).map(|place| (place.state, place.position));
        assert_eq!(place("bob"), Some((PlaceState::Granted, 0)));
        assert_eq!((place("cyd"), place("dan")), (None, Some((PlaceState::Waiting, 1))));

        // The sweep that ends Bob's hold is known as the change that it is, and not as the grant that follows in its step.
        past.note(&ledger, &sale, Clocks::default(), true).await;
        for step in 1..=4 {
            ledger.set_time(START + step * 2_000).await;
            elsewhere.tick().await;
        }
        assert_eq!(elsewhere.sweep_all(64).await, (1, 1));
        past.crash(&ledger, &instances, 0).await;
        assert_eq!(read().await[0].state, State::Expired);
        let live = here.redis_connection.live().unwrap();
        let granted = grant(&here.redis_connection, &live, &ledger.scripts, &here.sale, &["model:m1"]).await;
        assert_eq!(granted, Ok(1), "what no gateway has read is granted again");
        let report = ledger.audit(&sale).await;
        assert_eq!(
            (report.verdict, report.problems, report.waiting),
            (AuditVerdict::Balanced, Vec::new(), Some(0))
        );
    });
}

/// A sale that is open, with a few of everything: `m1`, `m2`, `p1` for `m1`, `p2`, `s1`, `s2`.
pub fn simple(sale: &str) -> Definition {
    let (stocks, ops) = (vec![Some(3); 6], Vec::new());
    History {
        per_buyer: 1,
        attempts: 3,
        opens_in: 0,
        configure_in: None,
        signup: None,
        queues: None,
        draws: false,
        stocks,
        ops,
    }
    .definition(sale)
}

/// For `m1` at `s1`.
pub fn tap(buyer: &'static str, key: &'static str) -> Tap {
    Tap { buyer, key, model: "m1", packages: Vec::new(), store: Some("s1"), partial: false }
}

/// A payment in time.
pub fn paid(version: u64) -> Payment<'static> {
    Payment { reference: "pay", version, accepts_late: false }
}

/// Gateways consume the journal, or read the sale at times. `PROPTEST_CASES` sets the number of
/// histories; a failing one is shrunk, and its seed stored in `regressions-*.txt`.
fn property(name: &str, cases: u32, following: bool, troubles: Troubles) {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config.max_shrink_iters = 3_000;
    let retained: &'static str =
        format!("{}/tests/it/model/regressions-{name}.txt", env!("CARGO_MANIFEST_DIR")).leak();
    config.failure_persistence = Some(Box::new(FileFailurePersistence::Direct(retained)));
    let world = World::start();
    let (lived, met) = (Cell::new(0_u64), Met::default());
    let outcome = TestRunner::new(config).run(
        &histories(if troubles.standby { 15..60 } else { 5..40 }, troubles),
        |history| {
            let sale = world.ledger.fresh();
            let outcome = world.run(live_through(&world.ledger, &sale, &history, following, &met));
            lived.set(lived.get() + 1);
            world.run(world.ledger.forget(&sale));
            outcome
        },
    );
    if let Err(TestError::Fail(reason, history)) = outcome {
        panic!("{reason}\n{history:?}");
    }
    let [crashes, faults, pairs, refused] =
        [met.crashes, met.faults, met.pairs, met.refused].map(Cell::into_inner);
    println!(
        "{name}: {} histories, {crashes} crashes of Redis, {faults} calls that went wrong, {pairs} pairs of calls at once, \
         {refused} refusals from the read model, {} grants, {} served in draws",
        lived.get(),
        met.granted.get(),
        met.drawn.get()
    );
    let sign_ups = met.sign_ups.into_inner() > 0;
    let standby = met.granted.into_inner() > 0;
    let draws = met.drawn.into_inner() > 0;
    let grants_go_on = troubles.grants_go_on;
    let had = Troubles {
        crashes: crashes > 0,
        faults: faults > 0,
        pairs: pairs > 0,
        sign_ups,
        standby,
        draws,
        grants_go_on,
    };
    assert_eq!(had, troubles);
    assert!(refused == 0 || following);
    assert!(refused > 0 || !following || troubles.crashes);
}
