//! The offset between this host's clock and Redis's, as last measured.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwapOption;
use redis::RedisResult;
use redis::aio::ConnectionLike;

/// A round trip longer than a second makes the measurement too uncertain.
const ERROR_S_MAX: f64 = 0.5;

/// Redis's clock minus this host's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// Positive when this host's clock is behind.
    pub seconds: f64,
    /// The uncertainty: half of the round trip.
    pub error_s: f64,
    /// The time of the measurement.
    pub at: Instant,
}

impl Offset {
    /// Measures Redis's clock against this host's.
    pub async fn measure(conn: &mut impl ConnectionLike) -> RedisResult<Self> {
        let (sent, ours) = (Instant::now(), SystemTime::now());
        let (seconds, micros): (f64, f64) = redis::cmd("TIME").query_async(conn).await?;
        let half_s = sent.elapsed().as_secs_f64() / 2.0;
        let ours_s = ours.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let seconds = seconds + micros / 1e6 - (ours_s + half_s);
        Ok(Self { seconds, error_s: half_s, at: Instant::now() })
    }

    /// The least offset that is certain.
    pub fn certain_s(&self) -> f64 {
        (self.seconds.abs() - self.error_s).max(0.0)
    }
}

/// The latest offset, shared by all threads.
#[derive(Debug, Default)]
pub struct ClockOffset(ArcSwapOption<Offset>);

impl ClockOffset {
    /// The latest offset; `None` before the first measurement.
    pub fn latest(&self) -> Option<Offset> {
        self.0.load().as_deref().copied()
    }

    /// Stores an offset.
    pub fn note(&self, offset: Offset) {
        self.0.store(Some(Arc::new(offset)));
    }

    /// Measures the offset, and stores it if it is certain enough.
    pub async fn read(&self, conn: &mut impl ConnectionLike) -> RedisResult<()> {
        let offset = Offset::measure(conn).await?;
        if offset.error_s <= ERROR_S_MAX {
            self.note(offset);
        }
        Ok(())
    }
}
