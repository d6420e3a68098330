//! Tests time in the ledger with a movable clock: opening, deadlines, grace, freeze, outages, steps
//! of TIME, sweeps.

mod http;
mod late;
mod late_payment;
mod sweeps;

use std::rc::Rc;

use gateway::domain::decision::{Decision, Header};
use gateway::domain::definition::Definition;
use gateway::domain::identity::buyer_part;
use gateway::domain::reservation::{Reservation, State};
use gateway::manage::admin::OperatorAction;
use gateway::manage::audit::AuditVerdict;
use gateway::reserve::changes::{Amendment, Change, Requester, amend, cancel, confirm, read};

use crate::model::instance::Instance;
use crate::model::world::Ledger;
use crate::model::{START, World, paid, simple, tap};

/// Of [`simple`], ms.
const HOLD: i64 = 5_000;
const GRACE: i64 = 2_000;
const HOUR: i64 = 3_600_000;

/// A sale, a gateway, and `TIME`.
struct TimedSale {
    ledger: Rc<Ledger>,
    id: String,
    instance: Instance,
    time: i64,
}

impl TimedSale {
    async fn open(world: &World, change: impl FnOnce(&mut Definition)) -> Self {
        let ledger = world.ledger.clone();
        let id = ledger.fresh();
        let mut definition = simple(&id);
        change(&mut definition);
        ledger.set_time(START).await;
        ledger.apply(&definition).await;
        let instance = ledger.instance(0, &id).await;
        Self { ledger, id, instance, time: START }
    }

    /// `TIME` moves without a clock tick.
    async fn pass(&mut self, ms: i64) {
        self.time += ms;
        self.ledger.set_time(self.time).await;
    }

    /// `TIME` moves as the sale clock does: with a tick at least every 2 s.
    async fn run(&mut self, ms: i64) -> Header {
        for step in [vec![2_000; usize::try_from(ms / 2_000).unwrap()], vec![ms % 2_000]].concat() {
            self.pass(step).await;
            self.instance.tick().await;
        }
        self.instance.tick().await
    }

    async fn tap(&self, buyer: &'static str, key: &'static str) -> Decision {
        self.instance.reserve(&[tap(buyer, key)], false).await.remove(0)
    }

    async fn win(&self, buyer: &'static str, key: &'static str) -> Reservation {
        match self.tap(buyer, key).await {
            Decision::Won(r, _) => *r,
            other => panic!("{other:?}"),
        }
    }

    async fn confirm(&self, id: &str) -> Change {
        confirm(&self.instance.redis_connection, &self.instance.sale, id, paid(1)).await
    }

    async fn cancel(&self, id: &str) -> Change {
        cancel(&self.instance.redis_connection, &self.instance.sale, id, Requester::Buyer(&id[..20])).await
    }

    async fn move_to(&self, id: &str, by: Requester<'_>, model: Option<&str>, store: Option<&str>) -> Change {
        let (model, store) = (model.map(str::to_owned), store.map(str::to_owned));
        let wanted = Amendment { model, store, ..Amendment::default() };
        amend(&self.instance.redis_connection, &self.instance.sale, id, by, &wanted).await
    }

    /// What the buyer is shown.
    async fn states(&self, buyer: &str) -> Vec<State> {
        let part = buyer_part(&self.id, buyer);
        let (list, _) = read(&self.instance.redis_connection, &self.instance.sale, &part).await.unwrap();
        list.iter().map(|r| r.state).collect()
    }

    /// Free, held and confirmed of `model:m1`; the audit must balance.
    async fn m1(&self) -> (i64, i64, i64) {
        let report = self.ledger.audit(&self.id).await;
        assert_eq!((report.verdict, &report.problems), (AuditVerdict::Balanced, &Vec::new()));
        let item = report.items.iter().find(|i| i.item == "model:m1").unwrap();
        (item.free.unwrap(), item.held, item.confirmed)
    }
}

fn is_done(change: &Change) -> bool {
    matches!(change, Change::Done(..))
}

/// Refused, and shown in this state.
fn refused(change: &Change) -> State {
    match change {
        Change::NotHeld(r) => r.state,
        other => panic!("{other:?}"),
    }
}

#[test]
fn after_the_deadline_a_buyer_can_cancel_but_not_change_and_a_service_can_confirm() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, |_| ()).await;
        let (ada, bob) = (sale.win("ada", "k").await, sale.win("bob", "k").await);
        let cyd = sale.win("cyd", "k").await;
        assert_eq!((ada.deadline, ada.held_at), (HOLD, START));

        sale.run(HOLD - 1).await;
        assert!(is_done(&sale.move_to(&ada.id, Requester::Buyer(&ada.id[..20]), Some("m2"), None).await));
        sale.run(1).await;
        let by = Requester::Buyer(&ada.id[..20]);
        assert_eq!(refused(&sale.move_to(&ada.id, by, None, Some("s2")).await), State::Held);
        let moved = sale.move_to(&ada.id, Requester::Service, Some("m1"), Some("s2")).await;
        assert!(matches!(&moved, Change::Done(r, _) if r.version == 3 && r.deadline == HOLD), "{moved:?}");

        // The last millisecond of the grace.
        sale.run(GRACE - 1).await;
        assert!(is_done(&sale.cancel(&ada.id).await));
        assert!(is_done(&sale.confirm(&bob.id).await));
        assert_eq!(sale.instance.sweep_all(64).await, (0, 0));
        sale.run(1).await;
        assert_eq!(refused(&sale.confirm(&cyd.id).await), State::Expired);
        assert_eq!(sale.instance.sweep_all(64).await, (1, 1));
        assert_eq!(sale.m1().await, (2, 0, 1));
    });
}

#[test]
fn past_the_grace_every_call_treats_a_hold_as_expired_before_the_sweep_comes_by() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, |d| d.models[0].stock = Some(2)).await;
        let hold = sale.win("ada", "k0").await;
        sale.run(HOLD + GRACE).await;

        assert_eq!(sale.states("ada").await, [State::Expired]);
        assert_eq!(refused(&sale.confirm(&hold.id).await), State::Expired);
        assert_eq!(refused(&sale.cancel(&hold.id).await), State::Expired);
        assert_eq!(
            refused(&sale.move_to(&hold.id, Requester::Service, None, Some("s2")).await),
            State::Expired
        );
        let replay = sale.tap("ada", "k0").await;
        assert!(matches!(&replay, Decision::Replayed(r, _) if r.state == State::Expired), "{replay:?}");
        // Nothing of that has changed the ledger: the stock comes back with the sweep.
        assert_eq!(sale.m1().await, (1, 1, 0));
        // It does not count against the purchase limit any more.
        sale.win("ada", "k1").await;
        let sold_out = sale.tap("bob", "k0").await;
        let one = vec!["model:m1".to_owned()];
        assert_eq!(sold_out, Decision::SoldOut { items: one, is_final: false });

        assert_eq!(sale.instance.sweep_all(64).await, (1, 1));
        assert_eq!(sale.m1().await, (1, 1, 0));
        assert_eq!(sale.states("ada").await, [State::Expired, State::Held]);
        sale.win("bob", "k0").await;
    });
}

#[test]
fn a_freeze_gives_the_time_back() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, |_| ()).await;
        let hold = sale.win("ada", "k").await;
        sale.run(3_000).await;
        sale.pass(500).await;
        assert!(sale.ledger.perform(&sale.id, OperatorAction::Freeze).await);
        assert!(!sale.ledger.perform(&sale.id, OperatorAction::Freeze).await);
        assert_eq!(sale.run(10 * (HOLD + GRACE)).await.sale_clock, 3_500);
        assert_eq!(sale.instance.sweep_all(64).await, (0, 0));
        // New holds begin on the frozen clock.
        assert_eq!(sale.win("bob", "k").await.deadline, 3_500 + HOLD);
        sale.pass(700).await;
        assert!(sale.ledger.perform(&sale.id, OperatorAction::Unfreeze).await);
        assert_eq!(sale.run(HOLD - 3_501).await.sale_clock, HOLD - 1);
        let by = Requester::Buyer(&hold.id[..20]);
        assert!(is_done(&sale.move_to(&hold.id, by, None, Some("s2")).await));
        sale.run(GRACE + 1).await;
        assert_eq!(sale.states("ada").await, [State::Expired]);
        assert_eq!(sale.states("bob").await, [State::Held]);
    });
}

#[test]
fn opening_and_closing_go_by_time_which_does_not_run_backwards() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, |d| {
            let at = |ms: i64| jiff::Timestamp::from_millisecond(START + ms).unwrap();
            (d.sale.opens_at, d.sale.closes_at) = (at(1_500), at(9_000));
        })
        .await;
        sale.pass(1_499).await;
        assert_eq!(sale.tap("ada", "k").await, Decision::NotOpen(START + 1_499));
        sale.pass(1).await;
        let won = sale.win("ada", "k").await;
        assert_eq!(won.held_at, START + 1_500);

        sale.pass(-HOUR).await;
        assert_eq!(sale.win("bob", "k").await.held_at, START + 1_500, "opened once, opened for good");
        sale.pass(HOUR + 7_500).await;
        assert_eq!(sale.tap("cyd", "k").await, Decision::Closed);
        let replay = sale.tap("ada", "k").await;
        assert!(matches!(replay, Decision::Replayed(..)), "{replay:?}");
        sale.instance.tick().await;
        sale.pass(-HOUR).await;
        assert_eq!(sale.instance.tick().await.time, START + 9_000);
        assert_eq!(sale.tap("cyd", "k").await, Decision::Closed, "closed once, closed for good");
    });
}

#[test]
fn time_stepping_an_hour_moves_the_sale_clock_by_two_seconds_at_most() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, |_| ()).await;
        let hold = sale.win("ada", "k").await;
        sale.run(1_000).await;

        sale.pass(HOUR).await;
        assert_eq!(sale.states("ada").await, [State::Held]);
        assert_eq!(sale.instance.tick().await.sale_clock, 3_000);
        assert_eq!(sale.instance.tick().await.sale_clock, 3_000, "once");
        assert_eq!(sale.instance.sweep_all(64).await, (0, 0));
        sale.pass(-HOUR).await;
        assert_eq!(sale.instance.tick().await.sale_clock, 3_000);
        assert_eq!(sale.run(1_500).await.sale_clock, 4_500, "it goes on at once");
        sale.pass(-HOUR).await;
        assert_eq!(sale.instance.tick().await.sale_clock, 4_500);
        assert_eq!(sale.run(HOLD + GRACE - 4_501).await.sale_clock, HOLD + GRACE - 1);
        assert!(is_done(&sale.confirm(&hold.id).await));
    });
}

#[test]
fn no_hold_expires_while_redis_or_all_gateways_are_away() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, |_| ()).await;
        let (ada, bob) = (sale.win("ada", "k").await, sale.win("bob", "k").await);
        sale.run(2_500).await;
        // No tick for a day.
        sale.pass(24 * HOUR - 4_000).await;
        assert_eq!(sale.states("ada").await, [State::Held]);
        assert!(is_done(&sale.confirm(&ada.id).await));
        assert_eq!(sale.instance.tick().await.sale_clock, 4_500);
        assert_eq!(sale.instance.sweep_all(64).await, (0, 0));
        let by = Requester::Buyer(&bob.id[..20]);
        assert!(is_done(&sale.move_to(&bob.id, by, None, Some("s2")).await));
        sale.run(HOLD + GRACE - 4_500).await;
        assert_eq!(sale.instance.sweep_all(64).await, (1, 1));
        assert_eq!(sale.m1().await, (2, 0, 1));
    });
}

/// Between two ticks a hold is over, and its buyer takes another. TIME stepping back must not bring the first one back.
#[test]
fn what_was_decided_by_the_sale_clock_stays_when_time_steps_back() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, |_| ()).await;
        let first = sale.win("ada", "k0").await;
        sale.run(HOLD + GRACE - 1_000).await;
        sale.pass(1_000).await;
        let second = sale.win("ada", "k1").await;
        sale.pass(-1_000).await;
        assert_eq!(sale.states("ada").await, [State::Expired, State::Held]);
        assert_eq!(refused(&sale.confirm(&first.id).await), State::Expired);
        assert!(second.deadline >= first.deadline, "holds end in the order in which they began");
        assert_eq!(sale.instance.sweep_all(64).await, (1, 1));
    });
}
