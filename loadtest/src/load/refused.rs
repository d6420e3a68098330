//! Records refusals of confirms, cancels and amendments as the proof needs them.

use serde::Deserialize;

use crate::client::{Answer, Request};
use crate::load::Load;
use crate::load::answer::AnswerReading;
use crate::load::history::{RefusedChange, SoldOut, Step, WantedChange};

/// What the bodies of changes may have.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Change {
    version: Option<u64>,
    #[serde(flatten)]
    wanted: WantedChange,
}

/// The refusal in an answer, if it is one for good. `after_lost`: an earlier try of the same change has no answer.
pub(crate) fn refused_change(
    load: &Load,
    (name, request): (&str, &Request),
    answer: &Answer,
    reading: &AnswerReading<Step>,
    after_lost: bool,
) -> Option<RefusedChange> {
    let Step::Refused(why) = &reading.result else { return None };
    let (asked, answered) = load.exchanged(answer);
    let change: Change =
        request.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    reading.ends.then(|| RefusedChange {
        request: name.to_owned(),
        reservation: reservation_of(&request.path).to_owned(),
        why: why.clone(),
        version: change.version,
        wanted: change.wanted.items(),
        answer: SoldOut {
            items: reading.problem.items.clone(),
            last: reading.problem.r#final,
            asked,
            answered,
        },
        after_lost,
        after_settling: false,
        as_service: request.bearer.is_some() && request.bearer == load.tokens.service,
        began: None,
    })
}

/// The id in `/v1/sales/{sale}/reservations/{id}/confirm`.
fn reservation_of(path: &str) -> &str {
    path.split('/').nth(5).unwrap_or_default()
}

impl WantedChange {
    fn items(&self) -> Vec<String> {
        let model = self.model.iter().map(|id| format!("model:{id}"));
        let packages = self.packages.iter().flatten().map(|id| format!("package:{id}"));
        let store = self.store.iter().map(|id| format!("store:{id}"));
        model.chain(packages).chain(store).collect()
    }
}

#[cfg(test)]
mod tests;
