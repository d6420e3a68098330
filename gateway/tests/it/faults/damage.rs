//! Damage in Redis: a key, a record, a counter, the journal. Nothing is written, it is named, and the sale goes on once it is fixed.

mod keys;

use std::rc::Rc;

use gateway::domain::choice::Choice;
use gateway::domain::decision::{Decision, Shed};
use gateway::domain::definition::{Definition, SignupTerms};
use gateway::domain::identity::{BUYER_CHARS, buyer_part, reservation_id};
use gateway::domain::reservation::State;
use gateway::manage::admin::{ApplyOutcome, OperatorAction};
use gateway::manage::audit::AuditVerdict;
use gateway::reserve::batch::{JoinDecision, SignUpDecision};
use gateway::reserve::changes::{Amendment, Change, Requester, amend, cancel, confirm, read};
use gateway::store::keys::Keys;
use gateway::store::scripts::{Failure, Refusal, Script};

use crate::model::instance::Instance;
use crate::model::world::{Ledger, ops};
use crate::model::{JoinRequest, START, SignUpRequest, World, paid, simple, tap};

/// Five of `m1` and five slots at `s1`.
fn five(sale: &str) -> Definition {
    let mut definition = simple(sale);
    (definition.models[0].stock, definition.stores[0].capacity) = (Some(5), Some(5));
    let instant = |ms| jiff::Timestamp::from_millisecond(START + ms).unwrap();
    definition.signup =
        Some(SignupTerms { opens_at: instant(0), closes_at: instant(86_400_000), required: false });
    // Of `m2` there is none, so that it can be waited for.
    (definition.sale.standby, definition.models[1].stock) = (true, Some(0));
    definition
}

/// A sale with a hold of `ada`, one of `bob` that is due, a car that `cyd` has paid, a sign-up of `ada`, and `fay` waiting for `m2`.
struct DamagedSale {
    ledger: Rc<Ledger>,
    id: String,
    keys: Keys,
    instance: Instance,
}

impl DamagedSale {
    async fn open(world: &World) -> Self {
        let ledger = world.ledger.clone();
        let id = ledger.fresh();
        ledger.set_time(START).await;
        ledger.apply(&five(&id)).await;
        let instance = ledger.instance(0, &id).await;
        let sale = Self { ledger, keys: Keys::of(&id), id, instance };
        sale.instance.reserve(&[tap("bob", "k"), tap("cyd", "k")], false).await;
        assert!(matches!(sale.confirm("cyd").await, Change::Done(..)));
        for step in 1..=4 {
            sale.ledger.set_time(START + step * 2_000).await;
            sale.instance.tick().await;
        }
        assert!(matches!(sale.tap("ada").await, Decision::Won(..)));
        assert!(matches!(sale.sign_up("ada").await, SignUpDecision::New(_)));
        assert_eq!(sale.join("fay").await, JoinDecision::Joined(1));
        sale
    }

    fn of(&self, sub: &str) -> String {
        reservation_id(&self.id, sub, "k")
    }

    async fn tap(&self, sub: &'static str) -> Decision {
        self.instance.reserve(&[tap(sub, "k")], false).await.remove(0)
    }

    async fn sign_up(&self, buyer: &'static str) -> SignUpDecision {
        let choice = Choice { model: "m1".to_owned(), packages: Vec::new(), store: None };
        self.instance.sign_up(&[SignUpRequest { buyer, choices: vec![choice] }]).await.remove(0)
    }

    async fn join(&self, buyer: &'static str) -> JoinDecision {
        let request = JoinRequest { buyer, model: "m2", packages: Vec::new(), store: None };
        self.instance.join(&[request]).await.remove(0)
    }

    async fn confirm(&self, sub: &str) -> Change {
        confirm(&self.instance.redis_connection, &self.instance.sale, &self.of(sub), paid(1)).await
    }

    async fn cancel(&self, sub: &str) -> Change {
        cancel(&self.instance.redis_connection, &self.instance.sale, &self.of(sub), Requester::Service).await
    }

    async fn amend(&self, sub: &str) -> Change {
        let wanted = Amendment { store: Some("s2".into()), ..Amendment::default() };
        amend(
            &self.instance.redis_connection,
            &self.instance.sale,
            &self.of(sub),
            Requester::Service,
            &wanted,
        )
        .await
    }

    /// All of the sale's keys as they are, byte for byte.
    async fn dump(&self) -> Vec<Option<Vec<u8>>> {
        let mut dumps = Vec::new();
        for key in self.keys.all() {
            dumps.push(self.ledger.command(&["DUMP", key]).await);
        }
        dumps
    }

    /// What each operation that writes answers: a refusal, in words, or that it was done.
    async fn every_operation(&self) -> Vec<(&'static str, Result<(), String>)> {
        let change = |change: Change| match change {
            Change::NotTaken(_) => Err(String::new()),
            other => panic!("{other:?}"),
        };
        let mut answers = vec![
            ("amend", change(self.amend("ada").await)),
            ("confirm", change(self.confirm("ada").await)),
            ("cancel", change(self.cancel("ada").await)),
        ];
        for (name, sub) in [("a tap", "dan"), ("a replay", "ada")] {
            match self.tap(sub).await {
                Decision::NotTaken(_) => answers.push((name, Err(String::new()))),
                other => panic!("{name}: {other:?}"),
            }
        }
        for (name, sub) in [("a sign-up", "dan"), ("a sign-up again", "ada")] {
            match self.sign_up(sub).await {
                SignUpDecision::NotTaken(_) => answers.push((name, Err(String::new()))),
                other => panic!("{name}: {other:?}"),
            }
        }
        for (name, sub) in [("joining", "dan"), ("joining again", "fay")] {
            match self.join(sub).await {
                JoinDecision::Refused(Decision::NotTaken(_)) => answers.push((name, Err(String::new()))),
                other => panic!("{name}: {other:?}"),
            }
        }
        let identity =
            self.instance.sale.ledger_identity(&self.instance.redis_connection.live().unwrap().epoch);
        let mut definition = five(&self.id);
        definition.models[0].stock = Some(30);
        let json = definition.to_json();
        let (opens, closes) = (START.to_string(), (START + 86_400_000).to_string());
        let apply = [
            "1", &json, &opens, &closes, "5000", "2000", "1", "3", "-", "ops", "-", &opens, &closes, "0",
            "1", "5000", "0", "0", "-", "-", "model:m1", "5", "30",
        ];
        let (bob, ada) = (self.of("bob"), self.of("ada"));
        let fay = buyer_part(&self.id, "fay");
        let calls: [(&str, Script, &[&str]); 17] = [
            ("tick", Script::Tick, &[]),
            ("expire", Script::Expire, &["64"]),
            ("confirm", Script::Confirm, &[&ada, "pay", "1"]),
            ("cancel", Script::Cancel, &[&ada, "buyer"]),
            ("cancel of what is over", Script::Cancel, &[&bob, "service"]),
            ("withdraw", Script::Withdraw, &[&ada[..BUYER_CHARS], "ada"]),
            ("leave", Script::Leave, &[&fay, "fay"]),
            ("grant", Script::Grant, &["64", "model:m1", "model:m2"]),
            ("suspend", Script::OperatorAction, &["standby-suspend", "ops", "-"]),
            ("restock", Script::Restock, &["model:m1", "30", "5", "ops", "-"]),
            ("apply", Script::Apply, &apply),
            ("adopt", Script::Adopt, &[&identity, "gateway"]),
            ("pause", Script::OperatorAction, &["pause", "ops", "-"]),
            ("resume", Script::OperatorAction, &["resume", "ops", "-"]),
            ("freeze", Script::OperatorAction, &["freeze", "ops", "-"]),
            ("unfreeze", Script::OperatorAction, &["unfreeze", "ops", "-"]),
            ("close", Script::OperatorAction, &["close", "ops", "-"]),
        ];
        for (name, script, args) in calls {
            let answer = self.instance.call(script, args).await;
            answers.push((name, answer.map(drop).map_err(|failure| failure.to_string())));
        }
        let applied = self.ledger.admin.apply(&definition, &ops()).await;
        answers.push(("apply by ops", applied.map(drop).map_err(|failure| failure.to_string())));
        answers
    }

    async fn problems(&self) -> (AuditVerdict, String) {
        let report = self.ledger.audit(&self.id).await;
        (report.verdict, report.problems.join("\n"))
    }

    /// All is well, and everything can be done.
    async fn works(&self) {
        assert_eq!(self.problems().await, (AuditVerdict::Balanced, String::new()));
        assert!(matches!(self.tap("dan").await, Decision::Won(..)));
        assert!(matches!(self.amend("dan").await, Change::Done(..)));
        assert!(matches!(self.cancel("dan").await, Change::Done(..)));
        assert!(matches!(self.confirm("ada").await, Change::Done(..)));
        assert_eq!(self.instance.sweep_all(64).await, (1, 1));
        assert!(self.ledger.perform(&self.id, OperatorAction::Freeze).await);
        let restocked = self.ledger.admin.restock(&self.id, "model:m1", 9, 5, &ops()).await;
        assert!(restocked.is_ok(), "{restocked:?}");
        let mut definition = five(&self.id);
        definition.models[0].stock = Some(4);
        assert_eq!(self.ledger.apply(&definition).await, ApplyOutcome::Updated(2));
        let report = self.ledger.audit(&self.id).await;
        assert_eq!((report.verdict, report.problems), (AuditVerdict::Balanced, Vec::new()));
        let m1 = report.items.iter().find(|i| i.item == "model:m1").unwrap();
        assert_eq!((m1.total, m1.free, m1.held, m1.confirmed), (Some(8), Some(6), 0, 2));
    }
}

#[test]
fn a_damaged_record_refuses_only_its_buyers_calls() {
    let world = World::start();
    world.run(async {
        for rubbish in ["", "rubbish", "ada", "ada key fingerprint m1 - s1 - 1 1", "ada \u{1}\u{2}"] {
            let sale = DamagedSale::open(&world).await;
            let (records, field) = (sale.keys.records(), buyer_part(&sale.id, "ada"));
            let text: String = sale.ledger.command(&["HGET", records, &field]).await;
            sale.ledger.command::<i64>(&["HSET", records, &field, rubbish]).await;

            let before = sale.dump().await;
            let both = [tap("ada", "k"), tap("ada", "new")];
            assert_eq!(
                sale.instance.reserve(&both, false).await,
                [Decision::NotTaken(Shed::Ledger), Decision::NotTaken(Shed::Ledger)]
            );
            for change in [sale.amend("ada").await, sale.confirm("ada").await, sale.cancel("ada").await] {
                assert_eq!(change, Change::NotTaken(Shed::Ledger), "{rubbish:?}");
            }
            assert_eq!(sale.dump().await, before);

            // In one batch with the others.
            let taps = [tap("dan", "k"), tap("ada", "k"), tap("bob", "k")];
            let decisions = sale.instance.reserve(&taps, false).await;
            assert!(
                matches!(&decisions[..], [Decision::Won(..), Decision::NotTaken(_), Decision::Replayed(..)]),
                "{decisions:?}"
            );
            assert!(matches!(sale.confirm("dan").await, Change::Done(..)));
            let (verdict, problems) = sale.problems().await;
            assert_eq!(verdict, AuditVerdict::Drift);
            assert!(problems.contains(&field), "{problems}");

            sale.ledger.command::<i64>(&["HSET", records, &field, &text]).await;
            assert_eq!(sale.problems().await, (AuditVerdict::Balanced, String::new()));
            assert!(matches!(sale.tap("ada").await, Decision::Replayed(..)));
        }
    });
}

/// What comes back while its queue is damaged stays set aside; the tick's grants and the audit name the damage.
#[test]
fn a_damaged_place_keeps_what_comes_back_set_aside() {
    let world = World::start();
    world.run(async {
        let sale = DamagedSale::open(&world).await;
        let (standby, field) = (sale.keys.standby(), buyer_part(&sale.id, "fay"));
        let row: String = sale.ledger.command(&["HGET", standby, &field]).await;
        sale.ledger.command::<i64>(&["HSET", standby, &field, "rubbish"]).await;
        assert!(matches!(sale.join("fay").await, JoinDecision::Refused(Decision::NotTaken(_))));
        let restocked = sale.ledger.admin.restock(&sale.id, "model:m2", 1, 0, &ops()).await;
        assert!(restocked.is_ok(), "{restocked:?}");
        let granted = sale.instance.call(Script::Grant, &["64", "model:m2"]).await;
        assert!(
            matches!(&granted, Err(Failure::Refused(Refusal::Damaged(d))) if d.contains(&field)),
            "{granted:?}"
        );
        let (verdict, problems) = sale.problems().await;
        assert_eq!(verdict, AuditVerdict::Drift);
        assert!(problems.contains(&field), "{problems}");
        let aside: i64 = sale.ledger.command(&["HGET", sale.keys.stock(), "aside:m2"]).await;
        assert_eq!(aside, 1, "nobody else gets it");

        sale.ledger.command::<i64>(&["HSET", standby, &field, &row]).await;
        sale.instance.call(Script::Grant, &["64", "model:m2"]).await.unwrap();
        assert_eq!(sale.problems().await, (AuditVerdict::Balanced, String::new()));
        let row: String = sale.ledger.command(&["HGET", standby, &field]).await;
        assert!(row.starts_with("fay granted "), "{row}");
    });
}

#[test]
fn a_damaged_counter_refuses_what_needs_it() {
    let world = World::start();
    world.run(async {
        let sale = DamagedSale::open(&world).await;
        let stock = &sale.keys.all()[1];
        sale.ledger.command::<i64>(&["HSET", stock, "model:m1", "many"]).await;
        let before = sale.dump().await;
        assert_eq!(sale.tap("dan").await, Decision::NotTaken(Shed::Ledger));
        assert_eq!(sale.cancel("ada").await, Change::NotTaken(Shed::Ledger));
        let swept = sale.instance.call(Script::Expire, &["64"]).await;
        assert!(
            matches!(&swept, Err(Failure::Refused(Refusal::Damaged(d))) if d.contains(stock)),
            "{swept:?}"
        );
        assert_eq!(sale.dump().await, before);
        let (verdict, problems) = sale.problems().await;
        assert_eq!(verdict, AuditVerdict::Drift);
        assert!(problems.contains(stock), "{problems}");
        // A payment needs no counter.
        assert!(matches!(sale.confirm("ada").await, Change::Done(..)));
    });
}

/// The write that can fail comes first: an id that is not larger than the journal's last is refused.
#[test]
fn a_journal_that_is_ahead_makes_nothing_be_written() {
    let world = World::start();
    world.run(async {
        let sale = DamagedSale::open(&world).await;
        let journal = sale.keys.journal();
        let entry: Vec<(String, Vec<String>)> =
            sale.ledger.command(&["XREVRANGE", journal, "+", "-", "COUNT", "1"]).await;
        let (last, fields) = &entry[0];
        let ahead: Vec<&str> =
            ["XADD", journal, "900000-0"].into_iter().chain(fields.iter().map(String::as_str)).collect();
        sale.ledger.command::<String>(&ahead).await;

        let before = sale.dump().await;
        assert_eq!(sale.tap("dan").await, Decision::NotTaken(Shed::Redis));
        assert_eq!(sale.amend("ada").await, Change::NotTaken(Shed::Redis));
        assert_eq!(sale.confirm("ada").await, Change::NotTaken(Shed::Redis));
        assert_eq!(sale.cancel("ada").await, Change::NotTaken(Shed::Redis));
        let identity =
            sale.instance.sale.ledger_identity(&sale.instance.redis_connection.live().unwrap().epoch);
        let calls: [(Script, &[&str]); 4] = [
            (Script::Expire, &["64"]),
            (Script::Restock, &["model:m1", "30", "5", "ops", "-"]),
            (Script::OperatorAction, &["pause", "ops", "-"]),
            (Script::Adopt, &[&identity, "gateway"]),
        ];
        for (script, args) in calls {
            let answer = sale.instance.call(script, args).await;
            assert!(answer.is_err(), "{script:?}: {answer:?}");
        }
        let mut definition = five(&sale.id);
        definition.models[0].stock = Some(30);
        let applied = sale.ledger.admin.apply(&definition, &ops()).await;
        assert!(matches!(applied, Err(Failure::NotDone(_))), "{applied:?}");
        assert_eq!(sale.dump().await, before);
        let (verdict, problems) = sale.problems().await;
        assert_eq!(verdict, AuditVerdict::Drift);
        assert!(problems.contains(journal), "{problems}");

        sale.ledger.command::<i64>(&["XDEL", journal, "900000-0"]).await;
        sale.ledger.command::<()>(&["XSETID", journal, last]).await;
        sale.works().await;
    });
}

#[test]
fn scripts_that_redis_forgot_are_loaded_again() {
    let world = World::start();
    world.run(async {
        let sale = DamagedSale::open(&world).await;
        let flush = || async { sale.ledger.command::<()>(&["SCRIPT", "FLUSH"]).await };
        flush().await;
        assert!(matches!(sale.tap("eve").await, Decision::Won(..)));
        flush().await;
        assert!(matches!(sale.amend("eve").await, Change::Done(..)));
        flush().await;
        assert!(matches!(sale.cancel("eve").await, Change::Done(..)));
        flush().await;
        let part = buyer_part(&sale.id, "eve");
        let (list, _) = read(&sale.instance.redis_connection, &sale.instance.sale, &part).await.unwrap();
        assert_eq!(list.iter().map(|r| r.state).collect::<Vec<_>>(), [State::Cancelled]);
        flush().await;
        sale.works().await;
    });
}

#[test]
fn another_redis_and_a_ledger_that_is_too_old_are_refused() {
    let world = World::start();
    world.run(async {
        let sale = DamagedSale::open(&world).await;
        let before = sale.dump().await;
        let live = sale.instance.redis_connection.live().unwrap();
        let known = sale.instance.sale.known_sequence();
        let scripts = [
            Script::Tick,
            Script::Expire,
            Script::Confirm,
            Script::Cancel,
            Script::OperatorAction,
            Script::Restock,
        ];
        for script in scripts {
            for (epoch, known, expected) in [
                ("another", known, Refusal::Epoch(live.epoch.to_string())),
                (&*live.epoch, known + 7, Refusal::Behind(known)),
            ] {
                let identity = sale.instance.sale.ledger_identity(epoch);
                let args = [&identity, &known.to_string(), "x", "1", "1", "-", "-"];
                let answer = sale.instance.redis_connection.call(&live, script, &sale.keys, &args).await;
                assert_eq!(answer, Err(Failure::Refused(expected)), "{script:?}");
            }
        }
        assert_eq!(sale.dump().await, before);
        sale.works().await;
    });
}
