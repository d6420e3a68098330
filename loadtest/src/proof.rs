//! The proof against the ledger: what buyers were told, held against what the journal has.

pub(crate) mod admin;
pub(crate) mod ledger;
pub(crate) mod reconcile;
pub(crate) mod run_record;
