//! Checks the parameters of ops calls, and words their refusals.

use crate::api::reservations::sale_not_found;
use crate::domain::definition::Mistake;
use crate::domain::{operator_action, problem};
use crate::http::respond::Refused;
use crate::store::scripts::{Failure, Refusal};

/// The largest number of lines that a client may ask of a live stream: a day.
const FRAMES_MAX: u64 = 86_400;

/// The parameter `limit`; by default its maximum.
pub(in crate::ops) fn number_of(limit: Option<&str>, max: usize) -> Result<usize, Refused> {
    match limit.map(str::parse::<usize>) {
        None => Ok(max),
        Some(Ok(limit)) if (1..=max).contains(&limit) => Ok(limit),
        Some(_) => {
            Err(Refused::new(problem::INVALID_REQUEST, format!("limit must be a number from 1 to {max}.")))
        }
    }
}

/// The number of lines after which a stream ends.
pub(super) fn frames_of(frames: Option<&str>) -> Result<Option<u64>, Refused> {
    match frames.map(str::parse) {
        None => Ok(None),
        Some(Ok(frames)) if (1..=FRAMES_MAX).contains(&frames) => Ok(Some(frames)),
        Some(_) => Err(Refused::new(
            problem::INVALID_REQUEST,
            format!("frames must be a number from 1 to {FRAMES_MAX}."),
        )),
    }
}

pub(super) fn nothing_here() -> Refused {
    Refused::new(problem::NOT_FOUND, "No call of the ops listener has this path.")
}

pub(in crate::ops) fn check_reason(reason: Option<String>) -> Result<Option<String>, Refused> {
    operator_action::check_reason(reason).map_err(|why| Refused::invalid("/reason", why))
}

pub(super) fn invalid_definition(mistakes: &[Mistake]) -> Refused {
    let list: Vec<_> =
        mistakes.iter().map(|m| serde_json::json!({"pointer": m.place, "detail": m.what})).collect();
    let first = mistakes.first();
    let detail = first.map(|m| format!("{} mistakes; the first: {m}", mistakes.len())).unwrap_or_default();
    Refused::invalid(first.map_or("", |m| m.place.as_str()), detail).with("mistakes", list)
}

pub(in crate::ops) fn failed(sale: &str, failure: &Failure) -> Refused {
    match failure {
        Failure::Refused(Refusal::Missing) => sale_not_found(sale),
        Failure::Unknown(_) | Failure::NotReplicated { .. } => {
            tracing::warn!(sale, %failure, "the outcome of an admin call is unknown");
            Refused::unknown()
        }
        Failure::NotDone(why) | Failure::WrongServer(why) => {
            tracing::warn!(sale, %failure, "an admin call was not done");
            Refused::new(problem::TEMPORARY_REDUCED_CAPACITY, format!("Nothing was done: {why}"))
                .retry_after(1_000)
        }
        Failure::Refused(refusal) => {
            tracing::warn!(sale, %failure, "the ledger refused an admin call");
            Refused::new(problem::TEMPORARY_REDUCED_CAPACITY, format!("Nothing was done: {refusal}"))
                .retry_after(1_000)
        }
    }
}
