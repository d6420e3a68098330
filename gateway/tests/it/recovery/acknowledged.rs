//! Tests what must hold before an acknowledgement: the read model has the winner, and the answering
//! Redis has the present epoch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use futures_util::future::join;
use gateway::domain::decision::Decision;
use gateway::domain::identity::{BuyerHash, buyer_part, reservation_id};
use gateway::fleet::membership::Membership;
use gateway::manage::admin::OperatorAction;
use gateway::manage::audit::AuditVerdict;
use gateway::recovery::failover::{Fence, Recovery};
use gateway::reserve::changes::{self, Amendment, Change, Payment, Requester};
use testkit::redis::Redis;

use crate::model::crash::Past;
use crate::model::instance::Instance;
use crate::model::link::Fault;
use crate::model::sale::Clocks;
use crate::model::world::{Ledger, ops};
use crate::model::{START, World, paid, simple, tap};
use crate::recovery::replaced::applied;

/// A task that sees the sequence of a batch must find its winners in the read model.
#[test]
fn winners_are_known_before_their_sequence() {
    const ROUNDS: u64 = 2_000;
    let world = World::start();
    let ledger = world.ledger.clone();
    world.run(async move {
        let sale = ledger.fresh();
        ledger.set_time(START).await;
        let mut definition = simple(&sale);
        definition.models[0].stock = None;
        definition.stores[0].capacity = None;
        ledger.apply(&definition).await;
        // It consumes no journal: its read model has only its own answers.
        let instance = ledger.instance(0, &sale).await;
        let buyers: Vec<&'static str> = (0..ROUNDS).map(|n| &*format!("buyer-{n}").leak()).collect();
        let marks: Vec<u64> = buyers.iter().map(|buyer| BuyerHash::new(&sale, buyer).mark()).collect();
        let (over, early) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let watching = {
            let (sale, marks) = (instance.sale.clone(), marks.clone());
            let (over, early, first) = (over.clone(), early.clone(), sale.known_sequence() + 1);
            std::thread::spawn(move || {
                let mut next = 0;
                while !over.load(SeqCst) && next < marks.len() {
                    // The winner of each round makes one change.
                    if sale.known_sequence() >= first + next as u64 {
                        early.fetch_add(u64::from(!sale.may_have_won(marks[next])), SeqCst);
                        next += 1;
                    }
                    std::hint::spin_loop();
                }
            })
        };
        for (buyer, mark) in buyers.iter().zip(&marks) {
            let decision = instance.reserve(&[tap(buyer, "k")], false).await.remove(0);
            assert!(matches!(decision, Decision::Won(..)), "{decision:?}");
            assert!(instance.sale.may_have_won(*mark), "{buyer} was acknowledged and is not known here");
        }
        over.store(true, SeqCst);
        watching.join().unwrap();
        assert_eq!(early.load(SeqCst), 0, "sequences that were known before their winners");
    });
}

/// Also if another gateway made it: the read model must not refuse the next tap of a buyer that was
/// just shown one.
#[test]
fn a_buyer_with_a_shown_reservation_counts_as_a_holder() {
    let world = World::start();
    world.run(async {
        let (ledger, sale) = applied(&world).await;
        let (here, elsewhere) = (ledger.instance(0, &sale).await, ledger.instance(1, &sale).await);
        let mark = BuyerHash::new(&sale, "ada").mark();
        assert!(matches!(elsewhere.reserve(&[tap("ada", "k")], false).await[..], [Decision::Won(..)]));
        assert!(!here.sale.may_have_won(mark), "it reads no journal");
        assert!(matches!(here.reserve(&[tap("ada", "k")], false).await[..], [Decision::Replayed(..)]));
        assert!(here.sale.may_have_won(mark));
    });
}

/// What a gateway answers to a call of each kind that Redis has carried out, or answered.
async fn every_call(instance: &Instance, ledger: &Ledger, new: &'static str) -> Vec<(&'static str, bool)> {
    let (redis_connection, sale) = (&instance.redis_connection, &instance.sale);
    let (ada, part) = (reservation_id(&sale.id, "ada", "k"), buyer_part(&sale.id, "ada"));
    let absent = reservation_id(&sale.id, "absent", "k");
    let wanted = Amendment { store: Some("s2".into()), ..Amendment::default() };
    let is_silent = |change: &Change| matches!(change, Change::Unknown | Change::NotTaken(_));
    let taps = instance.reserve(&[tap(new, "k"), tap("ada", "k"), tap("ada", "other")], false).await;
    let taps = taps.iter().all(|d| matches!(d, Decision::Unknown | Decision::NotTaken(_)));
    vec![
        ("taps", taps),
        ("read", changes::read(redis_connection, sale, &part).await.is_err()),
        (
            "read without a reservation",
            changes::read(redis_connection, sale, &buyer_part(&sale.id, "absent")).await.is_err(),
        ),
        ("get", is_silent(&changes::get(redis_connection, sale, &ada, Requester::Service).await)),
        ("confirm of none", is_silent(&changes::confirm(redis_connection, sale, &absent, paid(1)).await)),
        (
            "confirm at another version",
            is_silent(&changes::confirm(redis_connection, sale, &ada, paid(9)).await),
        ),
        (
            "amend",
            is_silent(&changes::amend(redis_connection, sale, &ada, Requester::Service, &wanted).await),
        ),
        ("confirm", is_silent(&changes::confirm(redis_connection, sale, &ada, paid(1)).await)),
        ("cancel", is_silent(&changes::cancel(redis_connection, sale, &ada, Requester::Service).await)),
        ("pause", ledger.admin_of(instance).perform(&sale.id, OperatorAction::Pause, &ops()).await.is_err()),
        (
            "resume",
            ledger.admin_of(instance).perform(&sale.id, OperatorAction::Resume, &ops()).await.is_err(),
        ),
    ]
}

/// Two primaries: the former one still answers, and lacks this gateway's recovery report, which the
/// new one has.
#[test]
fn a_former_primary_acknowledges_nothing_once_this_gateway_has_reported() {
    let world = World::start();
    let former = world.ledger.clone();
    let other = Redis::start_with(&["--appendonly", "no", "--appendfsync", "no"]);
    world.run(async move {
        let new = Ledger::new(&other.url()).await;
        let sale = former.fresh();
        for ledger in [&*former, &new] {
            ledger.set_time(START).await;
        }
        former.apply(&simple(&sale)).await;
        let instance = former.instance(0, &sale).await;
        instance.reserve(&[tap("ada", "k")], false).await;
        for key in instance.sale.keys.all() {
            if let Some(dump) = former.command::<Option<Vec<u8>>>(&["DUMP", key]).await {
                new.restore(key, &dump).await;
            }
        }
        let known = instance.sale.known_sequence();

        let recovery = Recovery {
            pool: new.pool.clone(),
            scripts: new.scripts.clone(),
            membership: Arc::new(Membership::new("here".into())),
            acknowledged_survives: false,
        };
        let (redis_connection, live) =
            (new.redis_connections[0].clone(), new.redis_connections[0].live().unwrap());
        let was = instance.redis_connection.live().unwrap().epoch;
        let recover_all = async |with: &[&str]| {
            let here = [recovery.membership.id.as_str()];
            let members = here.iter().chain(with).map(|id| ((*id).to_owned(), "here".to_owned()));
            let mut fence = Fence::new(&was, &live.epoch, members.collect::<BTreeMap<_, _>>());
            recovery.recover(&redis_connection, &live, &instance.sale, &mut fence).await
        };
        let silent = async |new: &'static str| {
            for (call, is_silent) in every_call(&instance, &former, new).await {
                assert!(is_silent, "{call} was acknowledged by the former primary");
            }
            assert_eq!(instance.sale.known_sequence(), known, "its sequences are not acknowledged");
        };
        // It has reported, and another gateway is waited for: nothing is acknowledged by any Redis.
        assert!(recover_all(&["another"]).await.is_err());
        silent("bob").await;
        // The new epoch is adopted: no answer of the former Redis counts.
        assert_eq!(recover_all(&[]).await, Ok(()));
        silent("cyd").await;
        // It has carried out each call: what nothing was acknowledged of.
        let report = former.audit(&sale).await;
        assert_eq!((report.reservations.held, report.reservations.cancelled), (3, 1));
    });
}

/// After a failover the gateway that showed a change may be the only one that has it.
#[test]
fn what_was_only_shown_here_is_replayed_from_here() {
    let world = World::start();
    world.run(async {
        let (ledger, sale) = applied(&world).await;
        let mut past = Past::new(&ledger, 1);
        past.note(&ledger, &sale, Clocks::default(), false).await;
        let (here, elsewhere) = (ledger.instance(0, &sale).await, ledger.instance(1, &sale).await);
        let taps = [tap("ada", "k"), tap("bob", "k")];
        elsewhere.reserve(&taps[..1], false).await;
        elsewhere.reserve(&taps[1..], false).await;
        // One to a tap, one in a list.
        assert!(matches!(here.reserve(&taps[..1], false).await[..], [Decision::Replayed(..)]));
        let list = changes::read(&here.redis_connection, &here.sale, &buyer_part(&sale, "bob")).await;
        assert_eq!(list.map(|(list, _)| list.len()), Ok(1));
        past.crash(&ledger, std::slice::from_ref(&here), 0).await;
        assert_eq!(ledger.audit(&sale).await.reservations.held, 2);
        let again = here.reserve(&taps, false).await;
        assert!(again.iter().all(|again| matches!(again, Decision::Replayed(..))), "{again:?}");
    });
}

/// A gateway that shows a change knows the state after it, and the replay finds out what led to it.
#[test]
fn what_was_only_shown_here_is_replayed_as_what_it_was() {
    let world = World::start();
    world.run(async {
        let (ledger, sale) = applied(&world).await;
        let (here, elsewhere) = (ledger.instance(0, &sale).await, ledger.instance(1, &sale).await);
        here.reserve(&[tap("ada", "k")], false).await;
        let (ada, part) = (reservation_id(&sale, "ada", "k"), buyer_part(&sale, "ada"));
        let mut past = Past::new(&ledger, 1);
        let wanted = |model: &str| Amendment { model: Some(model.into()), ..Amendment::default() };
        let (redis, at) = (&elsewhere.redis_connection, &elsewhere.sale);
        let late = Payment { accepts_late: true, ..paid(2) };
        let mut kinds = Vec::new();
        for step in 0..6 {
            past.note(&ledger, &sale, Clocks::default(), true).await;
            let change = match step {
                0 => changes::amend(redis, at, &ada, Requester::Service, &wanted("m2")).await,
                1 | 4 => changes::cancel(redis, at, &ada, Requester::Service).await,
                2 => changes::confirm(redis, at, &ada, late).await,
                3 => changes::amend(redis, at, &ada, Requester::Service, &wanted("m1")).await,
                _ => break,
            };
            let Change::Done(made, _) = change else { panic!("{step}: {change:?}") };
            let shown = changes::read(&here.redis_connection, &here.sale, &part).await.unwrap().0;
            assert_eq!(shown[0].state, made.state);
            past.crash(&ledger, std::slice::from_ref(&here), 0).await;
            // The last entry is that of the adopted epoch.
            let last: Vec<(String, Vec<String>)> =
                ledger.command(&["XREVRANGE", here.sale.keys.journal(), "+", "-", "COUNT", "2"]).await;
            let kind = last[1].1.iter().skip_while(|word| *word != "kind").nth(1);
            kinds.extend(kind.cloned());
            assert_eq!(ledger.audit(&sale).await.verdict, AuditVerdict::Balanced);
        }
        assert_eq!(kinds, ["amend", "cancel", "confirm", "amend", "cancel"]);
    });
}

/// Sentinels, or a cluster, name another primary while a call is on its way.
#[test]
fn an_answer_that_comes_after_another_primary_was_named_is_not_acknowledged() {
    let world = World::start();
    let ledger = world.ledger.clone();
    world.run(async move {
        let sale = ledger.fresh();
        ledger.set_time(START).await;
        ledger.apply(&simple(&sale)).await;
        let instance = ledger.instance(0, &sale).await;
        instance.reserve(&[tap("ada", "k")], false).await;
        let (ada, part) = (reservation_id(&sale, "ada", "k"), buyer_part(&sale, "ada"));
        let moves = async || {
            instance.link.held().await;
            instance.link.another_is_primary();
            instance.link.let_go().await;
        };
        instance.link.arm(Fault::AnswerLate, 0);
        let (taps, ()) = join(instance.reserve(&[tap("bob", "k")], false), moves()).await;
        assert_eq!(taps, [Decision::Unknown]);
        instance.connected().await;
        instance.link.arm(Fault::AnswerLate, 0);
        let (change, ()) =
            join(changes::confirm(&instance.redis_connection, &instance.sale, &ada, paid(1)), moves()).await;
        assert_eq!(change, Change::Unknown);
        instance.connected().await;
        instance.link.arm(Fault::AnswerLate, 0);
        let (list, ()) =
            join(changes::read(&instance.redis_connection, &instance.sale, &part), moves()).await;
        assert!(list.is_err(), "{list:?}");
        instance.connected().await;
        // Each change happened, and a retry at the serving Redis shows it.
        assert!(matches!(&instance.reserve(&[tap("bob", "k")], false).await[..], [Decision::Replayed(..)]));
        let again = changes::confirm(&instance.redis_connection, &instance.sale, &ada, paid(1)).await;
        assert!(matches!(again, Change::Done(..)), "{again:?}");
    });
}
