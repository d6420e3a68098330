//! Sweeps: their bound, their order, and several gateways sweeping at once.

use gateway::domain::decision::Header;
use gateway::domain::definition::Definition;
use gateway::domain::identity::reservation_id;
use gateway::manage::admin::{Fence, JournalRead};
use gateway::store::journal::Cursor;
use gateway::store::scripts::{Script, text};

use super::{GRACE, HOLD, TimedSale, is_done};
use crate::model::{Tap, World, tap};

/// Taps of so many buyers of their own.
fn crowd(from: usize, count: usize) -> Vec<Tap> {
    let name = |n: usize| -> &'static str { format!("buyer-{n}").leak() };
    (from..from + count).map(|n| tap(name(n), "k")).collect()
}

fn plenty(definition: &mut Definition) {
    (definition.models[0].stock, definition.stores[0].capacity) = (Some(5_000), Some(5_000));
}

#[test]
fn a_sweep_is_bounded_and_ends_holds_in_the_order_in_which_they_began() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, plenty).await;
        for n in 0..40 {
            sale.instance.reserve(&crowd(n * 3, 3), false).await;
            sale.run(50).await;
        }
        sale.run(HOLD + GRACE - 1_000).await;
        // 20 of the 40 batches are due. A sweep looks at 8 entries.
        let mut ended = Vec::new();
        loop {
            let (_, n, more) = sale.instance.sweep(8).await;
            assert!(n <= 8 * 3, "{n}");
            ended.push(n);
            if !more {
                break;
            }
        }
        assert_eq!(ended.iter().sum::<u64>(), 21 * 3, "{ended:?}");
        assert_eq!(ended.len(), 3, "{ended:?}");
        let read = sale.ledger.admin.journal(&sale.id, Cursor::START, 1_000, Fence::Respect).await;
        let JournalRead::Page(page) = read.unwrap() else { panic!("a start is never forked") };
        let numbers: Vec<u64> = page
            .lines
            .iter()
            .filter(|(_, line)| line["kind"] == "expire")
            .map(|(_, line)| line["number"].as_u64().unwrap())
            .collect();
        assert_eq!(numbers, (1..=63).collect::<Vec<u64>>());
        assert_eq!(sale.m1().await, (5_000 - 57, 57, 0));
    });
}

#[test]
fn one_sweep_ends_few_holds_more_than_its_bound_however_large_the_batches_were() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, plenty).await;
        for n in 0..20 {
            sale.instance.reserve(&crowd(n * 64, 64), false).await;
        }
        sale.run(HOLD + GRACE).await;
        let mut ended = Vec::new();
        loop {
            let (header, n, more) = sale.instance.sweep(64).await;
            ended.push(n);
            assert_eq!(header.held, 20 * 64 - ended.iter().sum::<u64>());
            if !more {
                break;
            }
        }
        assert_eq!(ended, [512, 512, 256]);
        assert_eq!(sale.m1().await, (5_000, 0, 0));
    });
}

#[test]
fn several_gateways_sweeping_at_once_end_each_hold_once() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, plenty).await;
        for n in 0..30 {
            sale.instance.reserve(&crowd(n * 10, 10), false).await;
        }
        let paid = reservation_id(&sale.id, "buyer-7", "k");
        assert!(is_done(&sale.confirm(&paid).await));
        sale.run(HOLD + GRACE).await;
        let other = sale.ledger.instance(1, &sale.id).await;
        let sweeps = [&sale.instance, &other, &sale.instance, &other].map(|instance| instance.sweep_all(2));
        let ended = futures_util::future::join_all(sweeps).await;
        let all: u64 = ended.iter().map(|(holds, _)| holds).sum();
        assert_eq!(all, 299, "{ended:?}");
        assert!(ended.iter().filter(|(holds, _)| *holds > 0).count() > 1, "they took turns: {ended:?}");
        assert_eq!(sale.m1().await, (4_999, 0, 1));
    });
}

#[test]
fn a_sweep_returns_when_its_first_remaining_batch_is_due() {
    let world = World::start();
    world.run(async {
        let mut sale = TimedSale::open(&world, plenty).await;
        let left = async |sale: &TimedSale| {
            let reply = sale.instance.call(Script::Expire, &["64"]).await.unwrap();
            (Header::of(&reply).unwrap().sale_clock, text(&reply[4]).unwrap())
        };
        assert_eq!(left(&sale).await.1, "", "no holds");
        sale.instance.reserve(&crowd(0, 3), false).await;
        let (began, answered) = left(&sale).await;
        let first = format!("{} 3", began + HOLD + GRACE);
        assert_eq!(answered, first);
        sale.run(HOLD).await;
        sale.instance.reserve(&crowd(3, 2), false).await;
        let (began, answered) = left(&sale).await;
        assert_eq!(answered, first);
        sale.run(GRACE).await;
        // The first is swept now.
        assert_eq!(left(&sale).await.1, format!("{} 2", began + HOLD + GRACE));
        // If more than one sweep is due, it returns the first of the rest.
        for n in 0..10 {
            sale.instance.reserve(&crowd(100 + n * 64, 64), false).await;
        }
        sale.run(HOLD + GRACE).await;
        let (clock, answered) = left(&sale).await;
        let (due, made) = answered.split_once(' ').unwrap();
        assert_eq!(made, "64");
        assert!(
            due.parse::<i64>().unwrap() <= clock,
            "it is due and left to the next sweep: {answered} at {clock}"
        );
    });
}
