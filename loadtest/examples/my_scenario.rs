//! A load test with a scenario of its own: buyers who think twice, and pay for fewer packages than they tapped for.

use std::process::ExitCode;

use goose::prelude::*;
use loadtest::{Arrive, Program, Verbs};
use serde_json::json;

/// Waits for the opening, thinks, and leaves if nothing is left by then.
async fn hesitate(user: &mut GooseUser) -> TransactionResult {
    user.wait_for_opening().await?;
    user.think().await?;
    let model = user.buyer().await?.selection().model.clone();
    if user.look().await?.is_some_and(|page| !page.has_left(&model)) {
        user.leave().await?;
    }
    Ok(())
}

async fn buy(user: &mut GooseUser) -> TransactionResult {
    if user.tap().await?.holds() {
        user.think().await?;
        user.amend(json!({ "packages": [] })).await?;
        user.confirm().await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let hesitant = scenario!("hesitant")
        .register_transaction(transaction!(hesitate).set_name("hesitate"))
        .register_transaction(transaction!(buy).set_name("buy"));
    Program::new().scenario(Arrive::BeforeOpening, hesitant).run().await
}
