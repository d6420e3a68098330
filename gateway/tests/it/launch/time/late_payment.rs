//! Tests payments that arrive after the hold has ended: taken again in one step, or refused for good.

use gateway::domain::decision::Decision;
use gateway::domain::reservation::{Reservation, State};
use gateway::reserve::changes::{Change, Payment, Requester, confirm};

use super::{GRACE, HOLD, TimedSale, is_done, refused};
use crate::model::World;
use crate::model::crash::Past;
use crate::model::sale::Model;
use crate::model::simple;

impl TimedSale {
    async fn pay_late(&self, id: &str, reference: &str) -> Change {
        let payment = Payment { reference, version: 1, accepts_late: true };
        confirm(&self.instance.redis_connection, &self.instance.sale, id, payment).await
    }

    /// A hold of `m1` that has ended, before its sweep or after.
    async fn ended(&mut self, buyer: &'static str, is_swept: bool) -> Reservation {
        let hold = self.win(buyer, "k").await;
        self.run(HOLD + GRACE).await;
        if is_swept {
            assert_eq!(self.instance.sweep_all(64).await, (1, 1));
        }
        hold
    }
}

#[test]
fn a_hold_that_has_ended_is_taken_again_for_its_payment() {
    let world = World::start();
    world.run(async {
        for is_swept in [false, true] {
            let mut sale = TimedSale::open(&world, |d| d.sale.attempts = 1).await;
            let hold = sale.ended("ada", is_swept).await;
            // Without `accept_late` it stays refused, and that leaves nothing.
            assert_eq!(refused(&sale.confirm(&hold.id).await), State::Expired);
            let wrong = Payment { reference: "pay", version: 2, accepts_late: true };
            let sales = (&sale.instance.redis_connection, &sale.instance.sale);
            match confirm(sales.0, sales.1, &hold.id, wrong).await {
                Change::Changed(r) => assert_eq!((r.state, r.version), (State::Expired, 1)),
                other => panic!("{other:?}"),
            }
            match sale.pay_late(&hold.id, "pay").await {
                Change::Done(r, _) => {
                    let is = (r.state, r.number, r.version, r.held_at, r.payment.as_deref());
                    let was = (State::Confirmed, hold.number, hold.version, hold.held_at, Some("pay"));
                    assert_eq!(is, was);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(sale.m1().await, (2, 0, 1));
            // It is paid like any other: by this payment, once, and no sweep ends it.
            assert!(is_done(&sale.pay_late(&hold.id, "pay").await));
            assert!(is_done(&sale.confirm(&hold.id).await));
            assert!(matches!(sale.pay_late(&hold.id, "pay-2").await, Change::PaymentConflict(_)));
            assert_eq!(sale.instance.sweep_all(64).await, (0, 0));
            assert_eq!(sale.m1().await, (2, 0, 1));
            assert_eq!(sale.states("ada").await, [State::Confirmed]);
        }
    });
}

#[test]
fn a_hold_that_was_cancelled_is_taken_again_but_no_refunded_reservation() {
    let world = World::start();
    world.run(async {
        let sale = TimedSale::open(&world, |_| ()).await;
        let hold = sale.win("ada", "k").await;
        assert!(is_done(&sale.cancel(&hold.id).await));
        assert_eq!(refused(&sale.confirm(&hold.id).await), State::Cancelled);
        assert!(is_done(&sale.pay_late(&hold.id, "pay").await));
        assert_eq!(sale.m1().await, (2, 0, 1));
        let (redis_connection, id) = (&sale.instance.redis_connection, &hold.id);
        let refund =
            gateway::reserve::changes::cancel(redis_connection, &sale.instance.sale, id, Requester::Service);
        assert!(is_done(&refund.await));
        for payment in ["pay", "pay-2"] {
            assert_eq!(refused(&sale.pay_late(&hold.id, payment).await), State::Cancelled);
        }
        assert_eq!(sale.m1().await, (3, 0, 0));
    });
}

/// The payment is refunded then: a doubled or delayed call must not take the car for it.
#[test]
fn a_late_payment_that_was_refused_stays_refused() {
    let world = World::start();
    world.run(async {
        for is_swept in [false, true] {
            // Its buyer has another one by now.
            let mut sale = TimedSale::open(&world, |_| ()).await;
            let hold = sale.ended("ada", is_swept).await;
            let other = sale.win("ada", "k2").await;
            assert_eq!(refused(&sale.pay_late(&hold.id, "pay").await), State::Expired);
            assert_eq!(sale.m1().await, (2, 1, 0), "with its refusal it is over, swept or not");
            assert!(is_done(&sale.cancel(&other.id).await));
            for payment in ["pay", "pay-2"] {
                assert_eq!(refused(&sale.pay_late(&hold.id, payment).await), State::Expired);
            }
            assert_eq!(sale.instance.sweep_all(64).await, (0, 0));
            assert_eq!(sale.states("ada").await, [State::Expired, State::Cancelled]);
            assert_eq!(sale.m1().await, (3, 0, 0));
        }
        // One of its items is gone by now, and comes back later.
        let mut sale = TimedSale::open(&world, |d| d.stores[0].capacity = Some(1)).await;
        let hold = sale.ended("ada", true).await;
        let other = sale.win("bob", "k").await;
        assert_eq!(refused(&sale.pay_late(&hold.id, "pay").await), State::Expired);
        assert_eq!(sale.m1().await, (2, 1, 0));
        assert!(is_done(&sale.cancel(&other.id).await));
        assert_eq!(refused(&sale.pay_late(&hold.id, "pay").await), State::Expired);
        assert_eq!(sale.m1().await, (3, 0, 0));
    });
}

/// Redis loses either outcome, and only this gateway's answer is left of it.
#[test]
fn what_a_late_payment_was_told_holds_after_a_failover() {
    let world = World::start();
    world.run(async {
        for (is_swept, has_other) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut sale = TimedSale::open(&world, |_| ()).await;
            let hold = sale.ended("ada", is_swept).await;
            if has_other {
                sale.win("ada", "k2").await;
            }
            let mut past = Past::new(&sale.ledger, 1);
            past.note(&sale.ledger, &sale.id, Model::new(simple(&sale.id)).clocks(), true).await;
            let paid = sale.pay_late(&hold.id, "pay").await;
            assert_eq!(is_done(&paid), !has_other, "{paid:?}");
            past.crash(&sale.ledger, std::slice::from_ref(&sale.instance), 0).await;
            let again = sale.pay_late(&hold.id, "pay").await;
            assert_eq!(is_done(&again), !has_other, "{again:?}");
            let expected = if has_other { (2, 1, 0) } else { (2, 0, 1) };
            assert_eq!(sale.m1().await, expected);
        }
    });
}

/// A retry of the tap buys nothing, whatever became of its hold.
#[test]
fn the_key_of_a_hold_that_was_taken_again_shows_it() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, |_| ()).await;
        let hold = sale.ended("ada", true).await;
        assert!(is_done(&sale.pay_late(&hold.id, "pay").await));
        match sale.tap("ada", "k").await {
            Decision::Replayed(r, _) => assert_eq!((r.state, &r.id), (State::Confirmed, &hold.id)),
            other => panic!("{other:?}"),
        }
        assert!(matches!(sale.tap("ada", "k2").await, Decision::PurchaseLimit(..)));
    });
}
