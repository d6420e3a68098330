//! Tests admission: tokens, subjects, limits, shedding, refusals by the read model.

pub mod fleet;
pub mod limits;
pub mod refusals;
pub mod shed;
pub mod subjects;
pub mod tokens;
