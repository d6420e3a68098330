//! Asks Redis, this machine, files and the gateway that runs here; what it means is judged elsewhere.

pub(super) mod gateway;
pub(super) mod host;
pub(super) mod keys;
pub(super) mod redis;
pub(super) mod sales;
