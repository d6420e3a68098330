//! Describes a request as goose's report shows it.

use std::time::Duration;

use goose::goose::GooseUser;

use crate::client::Answer;

/// A request that our own client has sent.
#[derive(Debug)]
pub(crate) struct GooseRequest {
    name: &'static str,
    /// The answer in a word, where it is not just an answer.
    word: &'static str,
    took: Duration,
    /// The answer is one that the contract allows, also when it is a "no".
    is_good: bool,
    status: Option<u16>,
    /// Why there is no answer. Not the error's text: it has addresses in it, and goose keeps a row a text.
    lost: Option<&'static str>,
}

/// Goose labels requests that are not its own.
const LABEL: &str = "API";

impl GooseRequest {
    pub(crate) fn new(
        name: &'static str,
        word: &'static str,
        answer: &Answer,
        is_good: bool,
    ) -> GooseRequest {
        let lost = answer.reply.as_ref().err().map(|lost| lost.kind());
        GooseRequest { name, word, took: answer.took, is_good, status: answer.status(), lost }
    }

    /// Adds it to goose's metrics.
    pub(crate) async fn report(self, user: &mut GooseUser) {
        let GooseRequest { name, word, took, is_good, status, lost } = self;
        let named;
        let name = match word {
            "" => name,
            word => {
                named = format!("{name} ({word})");
                &named
            }
        };
        let error = match (lost, status) {
            _ if is_good => None,
            (Some(why), _) => Some(format!("{name}: {why}")),
            (None, status) => Some(format!("{name}: {}", status.unwrap_or_default())),
        };
        // It fails only when goose is shutting down.
        let _ =
            user.record_custom_request_duration(LABEL, name, took, is_good, status, error.as_deref()).await;
    }
}
