//! placeholder
pub mod identify;
