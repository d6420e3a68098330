//! Lists the scenarios.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What a share of the buyers does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// All buyers wait for the opening and tap at once.
    Spike,
    /// The whole day: buyers arrive, look, wait, tap, retry, give up.
    Crowd,
    /// Winners change store and packages, then pay.
    Customise,
    /// Holds expire and their stock returns; a second wave gets it.
    Abandon,
    /// Impatient clients that give up after 300 ms and retry.
    RetryStorm,
    /// Few accounts on many connections, with stale and forged tokens, too.
    Bots,
    /// A steady mix for hours; stock comes back.
    Soak,
    /// Only looks: one read of the sale's status an arrival.
    Look,
}

impl Scenario {
    /// As on the command line, in the profile and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::Spike => "spike",
            Scenario::Crowd => "crowd",
            Scenario::Customise => "customise",
            Scenario::Abandon => "abandon",
            Scenario::RetryStorm => "retry-storm",
            Scenario::Bots => "bots",
            Scenario::Soak => "soak",
            Scenario::Look => "look",
        }
    }

    /// Bots are not buyers: a threshold counts their waits and refusals only if it names them.
    pub(crate) fn is_honest(self) -> bool {
        self != Scenario::Bots
    }
}
