//! Checks the parameters of ops calls, and words their refusals.

use crate::api::reservations::sale_not_found;
use crate::domain::definition::Mistake;
use crate::domain::operator_action::check_reason;
use crate::domain::problem;
use crate::http::respond::Refused;
use crate::manage::admin::Actor;
use crate::store::scripts::{Failure, Refusal};

/// The number in a query parameter, from 1 to `max`.
pub(in crate::ops) fn number_of(
    name: &str,
    value: Option<String>,
    max: usize,
) -> Result<Option<usize>, Refused> {
    let number = value.map(|value| value.parse().ok().filter(|number| (1..=max).contains(number)));
    match number {
        Some(None) => {
            let detail = format!("{name} must be a number from 1 to {max}.");
            Err(Refused::new(problem::INVALID_REQUEST, detail))
        }
        number => Ok(number.flatten()),
    }
}

pub(super) fn nothing_here() -> Refused {
    Refused::new(problem::NOT_FOUND, "No call of the ops listener has this path.")
}

/// The operator of a change, with a valid reason.
pub(in crate::ops) fn actor(who: &str, reason: Option<String>) -> Result<Actor, Refused> {
    let reason = check_reason(reason).map_err(|why| Refused::invalid("/reason", why))?;
    Ok(Actor { who: who.to_owned(), reason })
}

pub(super) fn invalid_definition(mistakes: &[Mistake]) -> Refused {
    let list: Vec<_> =
        mistakes.iter().map(|m| serde_json::json!({"pointer": m.place, "detail": m.what})).collect();
    let first = mistakes.first();
    let detail = match (first, mistakes.len()) {
        (Some(only), 1) => only.to_string(),
        (first, count) => first.map(|m| format!("{count} mistakes; the first: {m}")).unwrap_or_default(),
    };
    Refused::invalid(first.map_or("", |m| m.place.as_str()), detail).with("mistakes", list)
}

/// Words the failure of a call about this sale.
pub(in crate::ops) fn failed(sale: &str) -> impl Fn(Failure) -> Refused {
    move |failure| {
        let why = match &failure {
            Failure::Refused(Refusal::Missing) => return sale_not_found(sale),
            Failure::Unknown(_) | Failure::NotReplicated { .. } => {
                tracing::warn!(sale, %failure, "the outcome of an admin call is unknown");
                return Refused::unknown();
            }
            Failure::NotDone(why) | Failure::WrongServer(why) => {
                tracing::warn!(sale, %failure, "an admin call was not done");
                why.clone()
            }
            Failure::Refused(refusal) => {
                tracing::warn!(sale, %failure, "the ledger refused an admin call");
                refusal.to_string()
            }
        };
        Refused::new(problem::TEMPORARY_REDUCED_CAPACITY, format!("Nothing was done: {why}"))
            .retry_after(1_000)
    }
}
