//! What the tests start and talk to: redis-server, gateways, and callers with tokens. Everything ends with its owner.

pub mod balancer;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod delay;
pub mod frames;
pub mod gateway;
pub mod inside;
pub mod keys;
pub mod metrics;
pub mod proxy;
pub mod raw;
pub mod redis;
pub mod sale;
pub mod terminal;
pub mod tls;

use std::future::Future;
use std::time::{Duration, Instant};

/// How long a condition may take to come true. Far more than it needs: the machine is shared.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a condition gives something, and says what it waited for if it never does.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
