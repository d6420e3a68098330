//! Alarms: problems that a gateway finds.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most characters of an alarm's text.
pub(crate) const ALARM_CHARS_MAX: usize = 400;

/// The severity of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Needs action now: the live page turns red.
    Fault,
    /// Needs a look.
    Warning,
}

/// A problem that a gateway found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alarm {
    /// Severity.
    pub level: Level,
    /// Kind of alarm, such as `ledger-drift`.
    pub name: String,
    /// The sale, if it concerns one.
    #[serde(default)]
    pub sale: Option<String>,
    /// The problem in words.
    pub text: String,
    /// Number of occurrences, if counted; the counts of several gateways add up.
    #[serde(default)]
    pub count: Option<u64>,
}

impl Alarm {
    /// An alarm about the gateway or the fleet.
    pub fn new(level: Level, name: &str, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        if let Some((end, _)) = text.char_indices().nth(ALARM_CHARS_MAX) {
            text.truncate(end);
            text.push('…');
        }
        Self { level, name: name.to_owned(), sale: None, text, count: None }
    }

    /// Sets the number of occurrences.
    pub fn times(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    /// An alarm about a sale.
    pub fn of(self, sale: &str) -> Self {
        Self { sale: Some(sale.to_owned()), ..self }
    }
}
