//! Plays a recording as a scenario: each buyer does what it shows, at its times.

use goose::goose::{GooseUser, Scenario as GooseScenario, Transaction, TransactionResult};
use goose::transaction;

use crate::base::scenario::Scenario;
use crate::load::verbs::Verbs;
use crate::plan::recording::{Deed, What};

pub(super) fn scenario() -> GooseScenario {
    let played = transaction!(play).set_name("play the recording");
    GooseScenario::new(Scenario::REPLAY.name()).register_transaction(played)
}

async fn play(user: &mut GooseUser) -> TransactionResult {
    let deeds = user.buyer().await?.recorded();
    for Deed { at_us, what } in deeds {
        user.rest_until(at_us).await?;
        match what {
            What::Look => _ = user.look().await?,
            What::Time => user.read_time().await?,
            What::Stores(query) => _ = user.list_stores(&query).await?,
            What::Tap(selection) => {
                *user.buyer().await?.selection() = selection;
                user.tap().await?;
            }
            What::Amend(change) => user.amend(change).await?,
            What::Confirm => user.confirm().await?,
            What::Cancel => user.cancel().await?,
            What::Refund => user.refund().await?,
        }
    }
    Ok(())
}
