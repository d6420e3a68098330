//! Proves the run: compares what buyers were acknowledged with the journal.

pub(crate) mod admin;
pub(crate) mod ledger;
pub(crate) mod reconcile;
pub(crate) mod rules;
pub(crate) mod run_record;
