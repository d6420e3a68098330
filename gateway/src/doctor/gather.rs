//! Collects the facts of Redis, this host, the files and the gateway on this host; the checks are elsewhere.

pub(super) mod gateway;
pub(super) mod host;
pub(super) mod keys;
pub(super) mod redis;
pub(super) mod sales;
