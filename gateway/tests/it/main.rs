//! Integration tests: the real binary and the real scripts against a real redis-server.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "a test binary exports nothing; each test uses a part of the harness"
)]
#![allow(clippy::unwrap_used, reason = "a test may fail this way")]
#![allow(missing_docs, reason = "tests are named for what they show")]

mod admission;
mod contract;
mod faults;
mod hostile;
mod launch;
mod model;
mod operations;
mod recovery;
mod structure;
mod transport;
