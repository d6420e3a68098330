//! Reproduces launch day against a gateway and proves the ledger afterwards.
//!
//! The program `loadtest` has the built-in scenarios. A program of your own adds its scenarios to them: goose scenarios
//! whose transactions use [`Verbs`], registered with a [`Program`]. See `loadtest/docs/write-a-scenario.md`.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a panic shows where a test failed"))]

mod base;
mod cli;
mod client;
mod figures;
mod launch;
mod live;
mod load;
#[path = "../../gateway/src/domain/nearest.rs"]
#[allow(dead_code, reason = "the gateway uses all of it")]
mod nearest;
mod plan;
mod program;
mod proof;
mod report;
mod self_monitoring;
mod threshold;
#[path = "../../gateway/src/config/variables.rs"]
#[allow(unreachable_pub, reason = "the gateway's library shows it to its program")]
mod variables;
mod verdict;

pub use base::failure::Failure;
pub use base::outcome::Outcome;
pub use base::scenario::{Arrive, Scenario};
pub use load::history::{Amend, Exchange, ExchangeLog, Hold, SoldOut, Step, TapHistory, WantedChange};
pub use load::session::{SalePage, TurnEnd};
pub use load::verbs::{BuyerView, Settled, Stop, Verbs};
pub use plan::selection::Selection;
pub use program::Program;
pub use proof::rules::{Rule, Violation};
pub use proof::run_record::RunRecord;
pub use verdict::{Arrived, Quantiles, RequestLatency, RequestSummary, VerdictSummary, Word};
