//! Waits for conditions, and never for a time.

use std::future::Future;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::Failed;

/// How long a condition may take to come true. Far more than it needs: the machine is shared.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two checks of a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until a condition returns a value; panics with what it waited for if it never does.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "never came true: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// The same for callers without a runtime.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> Result<T, Failed> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if start.elapsed() > PATIENCE {
            return Err(Failed::Outside(format!("never came true: {what}")));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Runs a future for callers without a runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime().block_on(future)
}

/// The one runtime of callers without one: a client's idle connections live on it.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
}
