//! Who gets in: tokens, subjects, limits, shedding, refusals from the read model.

pub mod fleet;
pub mod limits;
pub mod refusals;
pub mod shed;
pub mod subjects;
pub mod tokens;
