//! Operations on a sale: definitions, operator actions, the audit, the archive.

pub mod admin;
pub mod archive;
pub mod audit;
pub mod file_error;
