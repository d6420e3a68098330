//! Plays a goose scenario as journeys: each pass of a goose user over its transactions is one buyer's journey, from the
//! next intended start. Goose by itself starts a user's next pass after the last one, which is a closed loop.

use std::sync::Arc;
use std::time::Instant;

use goose::goose::{GooseUser, Scenario, Transaction, TransactionFunction, TransactionResult};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::base::outcome::StepEnd;
use crate::base::scenario::Arrive;
use crate::load::Load;
use crate::load::queue::Taken;
use crate::load::session::Session;

/// Where a goose user keeps the session of the buyer whose journey it plays.
#[derive(Clone, Default)]
pub(crate) struct Journey(Arc<Mutex<Option<Session>>>);

impl Journey {
    /// The session; a user that plays no scenario of this program has none.
    pub(crate) async fn of(user: &GooseUser) -> OwnedMutexGuard<Option<Session>> {
        let journey = user.get_session_data::<Journey>().cloned().unwrap_or_default();
        journey.0.lock_owned().await
    }
}

/// The scenario with an arrival before its transactions. Their order and their weights stay.
pub(crate) fn play(written: &Scenario, load: &Arc<Load>, queue: usize) -> Scenario {
    let first = arrival(load, queue).set_name("arrive").set_sequence(1);
    let mut played = Scenario::new(&written.name).register_transaction(first);
    for transaction in &written.transactions {
        let mut step = Transaction::new(within_journey(transaction, &written.name));
        step.name = transaction.name.clone();
        step.weight = transaction.weight;
        // Goose runs those without a sequence after all others.
        step.sequence = if transaction.sequence == 0 { 0 } else { transaction.sequence + 1 };
        played = played.register_transaction(step);
    }
    played
}

/// Waits for the next start of the queue with the buyer that comes to it; ends the user when none is left.
fn arrival(load: &Arc<Load>, queue: usize) -> Transaction {
    let load = Arc::clone(load);
    Transaction::new(Arc::new(move |user| {
        let load = Arc::clone(&load);
        Box::pin(async move {
            let journey = Journey::default();
            // The journey before is over.
            user.set_session_data(journey.clone());
            let Some(Taken { start, overdue }) = load.queues[queue].take(&load).await else {
                user.config.iterations = Some(user.get_iterations() + 1);
                return TransactionResult::Ok(());
            };
            let mut session = Session::new(&load, start, overdue);
            if session.buyer.scenario.arrive() == Arrive::AtOpening {
                session.prepare().await;
            }
            let has_begun = session.begin().await;
            report(user, &mut session).await;
            if has_begun {
                *journey.0.lock().await = Some(session);
            }
            Ok(())
        })
    }))
}

/// Runs the transaction for a buyer on a journey, and not at all without one.
fn within_journey(transaction: &Transaction, scenario: &str) -> TransactionFunction {
    let step = Arc::clone(&transaction.function);
    let name: Arc<str> = format!("{scenario}: {}", transaction.name.name_for_transaction()).into();
    Arc::new(move |user| {
        let (step, name) = (Arc::clone(&step), Arc::clone(&name));
        Box::pin(async move {
            if !Journey::of(user).await.as_ref().is_some_and(Session::goes_on) {
                return TransactionResult::Ok(());
            }
            let ended = step(user).await;
            let mut journey = Journey::of(user).await;
            let Some(session) = journey.as_mut() else { return ended };
            session.ended = Instant::now();
            // A verb that the end of the run cut short has not failed.
            if session.is_cut_short() {
                return Ok(());
            }
            if ended.is_err() {
                session.load.figures().step_ended(&name, StepEnd::Undecided);
            }
            ended
        })
    })
}

/// Passes to goose what the session has recorded since.
pub(crate) async fn report(user: &mut GooseUser, session: &mut Session) {
    for request in session.take_requests() {
        request.report(user).await;
    }
}
