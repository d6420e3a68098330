//! Draws: who the entrants are, in which order they are served, and what anybody can check of it.
//!
//! Every gateway follows every draw: once sign-up is over, one of them fixes the entrants; once it is drawn, each ranks
//! them, and whichever comes first allocates to the next batch in order of rank. The ledger decides each step once.

pub(crate) mod entrants;
pub mod file;
pub mod follow;
