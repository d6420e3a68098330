//! Defines the built-in scenarios: goose scenarios, written with the verbs that any scenario has.

use std::time::Duration;

use goose::goose::{GooseUser, Scenario as GooseScenario, Transaction, TransactionResult};
use goose::transaction;
use serde_json::json;

use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::load::replay;
use crate::load::session::TurnEnd;
use crate::load::verbs::{Settled, Verbs};

/// How often a buyer of `abandon`'s second wave asks again: holds of the first one expire one by one.
const ASKS_AGAIN: u32 = 3;
/// An expired hold's stock is free within a second.
const SOON: Duration = Duration::from_secs(1);
/// How many keys a client of `retry-storm` uses that forgets its keys.
const KEYS_MAX: u32 = 4;
/// Percentage of `soak`'s winners that change their packages.
const AMEND: u32 = 20;

/// The scenarios that this program has: the built-in ones, and its own.
#[derive(Default)]
pub(crate) struct Scenarios(pub(crate) Vec<GooseScenario>);

impl Scenarios {
    pub(crate) fn named(&self, scenario: Scenario) -> Option<GooseScenario> {
        let own = || self.0.iter().find(|own| &*own.name == scenario.name()).cloned();
        built_in(scenario).or_else(own)
    }
}

fn built_in(scenario: Scenario) -> Option<GooseScenario> {
    let of = |transactions: Vec<Transaction>| {
        let empty = GooseScenario::new(scenario.name());
        transactions.into_iter().fold(empty, GooseScenario::register_transaction)
    };
    Some(match scenario {
        // All buyers hold a warm connection and tap at the opening by the server's clock, or at `--arrivals` after it. Winners
        // pay, cancel or abandon the hold.
        Scenario::SPIKE => {
            of(vec![transaction!(tap).set_name("tap"), transaction!(settle).set_name("settle")])
        }
        // A whole day. Buyers arrive before the opening, poll as the server asks, and tap at the opening; others come later.
        // After "sold out" some look again and some of those wait in the queue; who gets a hold pays, cancels or lets it
        // expire.
        Scenario::CROWD => of(vec![
            transaction!(look_and_wait).set_name("look and wait"),
            transaction!(tap_and_look_again).set_name("tap and look again"),
            transaction!(wait_for_what_comes_back).set_name("wait in the queue"),
            transaction!(settle).set_name("settle"),
        ]),
        // Buyers reserve with `accept_partial`, browse the stores of their city, change store and packages, and pay for the
        // version shown last.
        Scenario::CUSTOMISE => of(vec![
            transaction!(tap_for_parts).set_name("tap"),
            transaction!(change_store).set_name("change store"),
            transaction!(change_packages).set_name("change packages"),
            transaction!(pay).set_name("pay"),
        ]),
        // A first wave reserves and neither pays nor cancels; its holds expire. A second wave gets the returned stock and pays.
        // This needs a short hold, such as a rehearsal's `hold = "20s"`.
        Scenario::ABANDON => {
            of(vec![transaction!(tap_in_waves).set_name("tap"), transaction!(pay).set_name("pay")])
        }
        // Clients give up after 300 ms and retry at once with the same key; some take a new key, like an app that lost it. A
        // slower gateway gets more of them.
        Scenario::RETRY_STORM => {
            of(vec![transaction!(tap_impatiently).set_name("tap"), transaction!(settle).set_name("settle")])
        }
        // Few accounts on many connections, without pauses and with a new key for every tap. Some requests carry expired or
        // forged tokens. Thresholds count bots only by name; their wins are proved like any other.
        Scenario::BOTS => of(vec![transaction!(tap_without_pause).set_name("tap without pause")]),
        // A steady mix for hours. Some buyers amend; winners pay and are refunded later, cancel, or let the hold expire. Stock
        // returns as fast as it sells, so the last hour equals the first.
        Scenario::SOAK => of(vec![
            transaction!(look).set_name("look"),
            transaction!(tap_to_give_back).set_name("tap"),
            transaction!(give_back).set_name("give back"),
        ]),
        // Buyers sign up, some of them twice; some change their choices, some withdraw.
        Scenario::SIGN_UP => of(vec![
            transaction!(sign_up).set_name("sign up"),
            transaction!(look_at_sign_up).set_name("look at it"),
        ]),
        // Buyers sign up. The operator draws. Winners pay, cancel or let the hold expire, and so do those who are granted
        // in the queues what comes back.
        Scenario::DRAW_DAY => of(vec![
            transaction!(sign_up).set_name("sign up"),
            transaction!(wait_for_draw).set_name("wait for the draw"),
            transaction!(settle).set_name("settle"),
        ]),
        Scenario::LOOK => of(vec![transaction!(look).set_name("look")]),
        Scenario::REPLAY => replay::scenario(),
        _ => return None,
    })
}

async fn look(user: &mut GooseUser) -> TransactionResult {
    user.look().await.map(drop)
}

async fn tap(user: &mut GooseUser) -> TransactionResult {
    user.tap().await.map(drop)
}

async fn settle(user: &mut GooseUser) -> TransactionResult {
    user.settle().await.map(drop)
}

async fn look_and_wait(user: &mut GooseUser) -> TransactionResult {
    user.look().await?;
    user.read_time().await?;
    if !user.wait_for_opening().await? {
        user.think().await?;
    }
    Ok(())
}

async fn tap_and_look_again(user: &mut GooseUser) -> TransactionResult {
    let looks_again = user.buyer().await?.profile().crowd.looks_again;
    let mut outcome = user.tap().await?;
    for _ in 0..looks_again {
        if outcome != Outcome::SoldOut || !user.sees_something_come_back().await? {
            break;
        }
        outcome = user.tap().await?;
    }
    Ok(())
}

/// Of those who are refused as sold out.
async fn wait_for_what_comes_back(user: &mut GooseUser) -> TransactionResult {
    if user.buyer().await?.may_join() && user.join_queue().await? {
        user.wait_in_queue().await?;
    }
    Ok(())
}

async fn sign_up(user: &mut GooseUser) -> TransactionResult {
    let mut is_in = user.sign_up().await?;
    let (changes, withdraws) = {
        let mut buyer = user.buyer().await?;
        let (roll, signup) = (buyer.rng().u32(0..100), &buyer.profile().signup);
        (roll < signup.change, (signup.change..signup.change + signup.withdraw).contains(&roll))
    };
    if changes {
        user.think().await?;
        is_in = user.sign_up().await?;
    } else if withdraws {
        user.think().await?;
        user.withdraw().await?;
        is_in = false;
    }
    if is_in { Ok(()) } else { user.leave().await }
}

async fn look_at_sign_up(user: &mut GooseUser) -> TransactionResult {
    user.think().await?;
    user.look_at_sign_up().await
}

async fn wait_for_draw(user: &mut GooseUser) -> TransactionResult {
    if user.wait_for_draw().await? == TurnEnd::Waits {
        user.wait_in_queue().await?;
    }
    Ok(())
}

async fn tap_for_parts(user: &mut GooseUser) -> TransactionResult {
    user.buyer().await?.selection().accept_partial = true;
    if !user.tap().await?.holds() {
        user.leave().await?;
    }
    Ok(())
}

async fn change_store(user: &mut GooseUser) -> TransactionResult {
    user.think().await?;
    if let Some(store) = user.browse().await? {
        user.think().await?;
        user.amend(json!({ "store": store })).await?;
    }
    Ok(())
}

async fn change_packages(user: &mut GooseUser) -> TransactionResult {
    user.think().await?;
    user.change_packages().await
}

async fn pay(user: &mut GooseUser) -> TransactionResult {
    user.think().await?;
    user.confirm().await
}

async fn tap_in_waves(user: &mut GooseUser) -> TransactionResult {
    let mut outcome = user.tap().await?;
    if !user.buyer().await?.is_of_second_wave() {
        return user.leave().await;
    }
    for _ in 0..ASKS_AGAIN {
        if outcome != Outcome::SoldOut {
            break;
        }
        user.rest(SOON).await?;
        outcome = user.tap().await?;
    }
    if outcome.holds() { Ok(()) } else { user.leave().await }
}

async fn tap_impatiently(user: &mut GooseUser) -> TransactionResult {
    let (patience, new_key) = {
        let buyer = user.buyer().await?;
        let storm = &buyer.profile().retry_storm;
        (storm.patience.0, storm.new_key)
    };
    for _ in 0..KEYS_MAX {
        if user.tap_impatiently(patience, new_key).await? != Outcome::Unknown {
            break;
        }
    }
    Ok(())
}

async fn tap_without_pause(user: &mut GooseUser) -> TransactionResult {
    loop {
        let mut buyer = user.buyer().await?;
        let (roll, bots) = (buyer.rng().u32(0..100), &buyer.profile().bots);
        let (stale, bad) = (bots.stale, bots.stale + bots.forged);
        if buyer.since_start() >= bots.lasts.0 {
            return Ok(());
        }
        drop(buyer);
        if roll < bad {
            user.try_bad_token(roll < stale).await?;
        } else {
            user.tap_once().await?;
        }
    }
}

async fn tap_to_give_back(user: &mut GooseUser) -> TransactionResult {
    if !user.tap().await?.holds() {
        return user.leave().await;
    }
    user.think().await?;
    let changes = user.buyer().await?.rng().u32(0..100) < AMEND;
    if changes { user.change_packages().await } else { Ok(()) }
}

async fn give_back(user: &mut GooseUser) -> TransactionResult {
    if user.settle().await? == Settled::Confirmed {
        user.think().await?;
        user.refund().await?;
    }
    Ok(())
}
