//! Something that a gateway finds wrong, in words.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Characters of one.
pub(crate) const ALARM_CHARS_MAX: usize = 400;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something must be done now: the page turns red.
    Fault,
    /// Somebody should look.
    Warning,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alarm {
    /// How bad it is.
    pub level: Level,
    /// Which kind of alarm it is, such as `ledger-drift`.
    pub name: String,
    /// The sale, where it is about one.
    #[serde(default)]
    pub sale: Option<String>,
    /// What is wrong, in words.
    pub text: String,
    /// How often, where it is counted: gateways' counts of the same can be added up.
    #[serde(default)]
    pub count: Option<u64>,
}

impl Alarm {
    /// About the gateway, or all of them.
    #[must_use]
    pub fn new(level: Level, name: &str, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        if let Some((end, _)) = text.char_indices().nth(ALARM_CHARS_MAX) {
            text.truncate(end);
            text.push('…');
        }
        Self { level, name: name.to_owned(), sale: None, text, count: None }
    }

    /// So many times.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    /// About a sale.
    #[must_use]
    pub fn of(self, sale: &str) -> Self {
        Self { sale: Some(sale.to_owned()), ..self }
    }
}
