//! Tests that a late refusal or a shown end stays, when `TIME` steps back and after a failover.

use gateway::domain::decision::Decision;
use gateway::domain::reservation::{Reservation, State};
use gateway::reserve::changes::{Change, Payment, Requester, confirm};

use super::{GRACE, HOLD, HOUR, TimedSale, refused};
use crate::model::crash::Past;
use crate::model::sale::Model;
use crate::model::{START, World, paid, simple};

/// How it comes up that a hold is over.
#[derive(Debug, Clone, Copy)]
enum LateCall {
    Confirm,
    Cancel,
    Amend,
    Read,
    Replay,
    /// A late payment of another version.
    LatePayment,
}

const CALLS: [LateCall; 6] = [
    LateCall::Confirm,
    LateCall::Cancel,
    LateCall::Amend,
    LateCall::Read,
    LateCall::Replay,
    LateCall::LatePayment,
];

impl LateCall {
    /// The state that it is refused for, or shown in.
    async fn state(self, sale: &TimedSale, id: &str) -> State {
        match self {
            Self::Confirm => refused(&sale.confirm(id).await),
            Self::Cancel => refused(&sale.cancel(id).await),
            Self::Amend => refused(&sale.move_to(id, Requester::Service, None, Some("s2")).await),
            Self::Read => sale.states("ada").await[0],
            Self::Replay => match sale.tap("ada", "k0").await {
                Decision::Replayed(r, _) => r.state,
                other => panic!("{other:?}"),
            },
            Self::LatePayment => {
                let payment = Payment { accepts_late: true, ..paid(9) };
                match confirm(&sale.instance.redis_connection, &sale.instance.sale, id, payment).await {
                    Change::Changed(r) => r.state,
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

/// A hold that is over in a second.
async fn nearly_over(world: &World) -> (TimedSale, Reservation) {
    let mut sale = TimedSale::open(world, |_| ()).await;
    let hold = sale.win("ada", "k0").await;
    sale.run(HOLD + GRACE - 1_000).await;
    (sale, hold)
}

#[test]
fn a_hold_that_was_over_once_is_over_for_good() {
    let world = World::start();
    world.run(async {
        for call in CALLS {
            let (mut sale, hold) = nearly_over(&world).await;
            // No tick has seen it.
            sale.pass(1_000).await;
            assert_eq!(call.state(&sale, &hold.id).await, State::Expired, "{call:?}");
            sale.pass(-1_000).await;
            for again in CALLS {
                assert_eq!(again.state(&sale, &hold.id).await, State::Expired, "{again:?} after {call:?}");
            }
            sale.pass(-HOUR).await;
            assert_eq!(LateCall::Confirm.state(&sale, &hold.id).await, State::Expired, "{call:?}");
            assert_eq!(sale.instance.sweep_all(64).await, (1, 1));
            assert_eq!(sale.m1().await, (3, 0, 0));
        }
    });
}

#[test]
fn a_deadline_that_was_over_once_is_over_for_good() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, |_| ()).await;
        let hold = sale.win("ada", "k0").await;
        sale.run(HOLD - 1_000).await;
        sale.pass(1_000).await;
        let by = Requester::Buyer(&hold.id[..20]);
        assert_eq!(refused(&sale.move_to(&hold.id, by, None, Some("s2")).await), State::Held);
        sale.pass(-1_000).await;
        assert_eq!(refused(&sale.move_to(&hold.id, by, None, Some("s2")).await), State::Held);
        assert!(super::is_done(&sale.confirm(&hold.id).await));
    });
}

#[test]
fn what_is_confirmed_can_be_changed_until_an_instant_that_does_not_come_back() {
    let world = World::start();
    world.run(async {
        let until = jiff::Timestamp::from_millisecond(START + 9_000).unwrap();
        let mut sale = TimedSale::open(&world, |d| d.sale.configure_until = Some(until)).await;
        let hold = sale.win("ada", "k0").await;
        assert!(super::is_done(&sale.confirm(&hold.id).await));
        let by = Requester::Buyer(&hold.id[..20]);
        sale.pass(8_999).await;
        assert!(super::is_done(&sale.move_to(&hold.id, by, Some("m2"), None).await));
        let mut past = Past::new(&sale.ledger, 1);
        past.note(&sale.ledger, &sale.id, Model::new(simple(&sale.id)).clocks(), true).await;
        sale.pass(1).await;
        assert_eq!(refused(&sale.move_to(&hold.id, by, None, Some("s2")).await), State::Confirmed);
        // Neither a step of TIME nor a loss of what Redis noted brings it back.
        sale.pass(-HOUR).await;
        assert_eq!(refused(&sale.move_to(&hold.id, by, None, Some("s2")).await), State::Confirmed);
        past.crash(&sale.ledger, std::slice::from_ref(&sale.instance), 0).await;
        assert_eq!(refused(&sale.move_to(&hold.id, by, None, Some("s2")).await), State::Confirmed);
        assert!(super::is_done(&sale.move_to(&hold.id, Requester::Service, None, Some("s2")).await));
    });
}

#[test]
fn a_sale_that_was_closed_once_is_closed_for_good() {
    let world = World::start();
    world.run(async {
        let closes = jiff::Timestamp::from_millisecond(START + 9_000).unwrap();
        let mut sale = TimedSale::open(&world, |d| d.sale.closes_at = closes).await;
        sale.instance.tick().await;
        sale.pass(9_000).await;
        assert_eq!(sale.tap("cyd", "k").await, Decision::Closed);
        sale.pass(-HOUR).await;
        assert_eq!(sale.tap("cyd", "k").await, Decision::Closed);
    });
}

/// Redis comes back without what it noted of the clocks when it refused; the gateway remembers.
#[test]
fn a_hold_that_was_over_once_is_over_after_a_failover() {
    let world = World::start();
    world.run(async {
        for call in CALLS {
            let (mut sale, hold) = nearly_over(&world).await;
            let mut past = Past::new(&sale.ledger, 1);
            past.note(&sale.ledger, &sale.id, Model::new(simple(&sale.id)).clocks(), true).await;
            sale.pass(1_000).await;
            assert_eq!(call.state(&sale, &hold.id).await, State::Expired, "{call:?}");
            sale.pass(-1_000).await;
            past.crash(&sale.ledger, std::slice::from_ref(&sale.instance), 0).await;
            for again in CALLS {
                assert_eq!(again.state(&sale, &hold.id).await, State::Expired, "{again:?} after {call:?}");
            }
            assert_eq!(sale.instance.sweep_all(64).await, (1, 1));
            assert_eq!(sale.m1().await, (3, 0, 0));
        }
    });
}
