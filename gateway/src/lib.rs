//! placeholder
pub mod identify;
pub mod ops_tokens;
